//! How a worker ends: what it has in hand is finished or handed back, and what waits in its partitions is left to others.

use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Shop, crashed};
use crate::kafka::Consumer;
use crate::stage::{Kind, Stage};

/// How long a worker that takes no more keeps its partitions, so that it acknowledges itself what it soon finishes. After
/// that nothing is to wait there for it: whoever has them next finds what is in hand claimed, and waits for its result.
const KEEP_PARTITIONS: Duration = Duration::from_secs(5);
/// How long units may take to hand themselves back once the drain's grace is over.
const HAND_BACK: Duration = Duration::from_secs(5);

/// Waits for work in hand for as long as a unit may take, or until `stop`.
pub(super) async fn unhurried<S: Stage>(
    shop: &Shop<S>,
    consumer: &Consumer,
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Result<()> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        finished = finish(shop, consumer, tasks, shop.args.hard_limit) => finished.map(drop),
    }
}

/// Waits for work in hand, for the grace period; then it is handed back.
pub(super) async fn hurried<S: Stage>(shop: &Shop<S>, consumer: &Consumer, mut tasks: JoinSet<()>) -> Result<()> {
    if finish(shop, consumer, &mut tasks, shop.args.drain_grace).await? {
        return Ok(());
    }
    warn!(working = shop.activity.count(), "handing back what is not finished");
    shop.cutoff.cancel();
    match timeout(HAND_BACK, ended(&mut tasks)).await {
        Ok(ended) => ended,
        Err(_) => {
            tasks.shutdown().await;
            Err(anyhow!("work did not stop in time"))
        }
    }
}

/// Waits up to `limit` for work in hand, and says whether all of it ended.
async fn finish<S: Stage>(
    shop: &Shop<S>,
    consumer: &Consumer,
    tasks: &mut JoinSet<()>,
    limit: Duration,
) -> Result<bool> {
    if !tasks.is_empty() {
        info!(working = shop.activity.count(), "finishing what is in hand");
    }
    let keeps = KEEP_PARTITIONS.min(limit);
    if let Ok(ended) = timeout(keeps, ended(tasks)).await {
        return ended.map(|()| true);
    }
    // What is gathered is not claimed: it stays with who has it in hand.
    if S::KIND == Kind::Work && shop.args.claims {
        consumer.leave();
    }
    match timeout(limit - keeps, ended(tasks)).await {
        Ok(ended) => ended.map(|()| true),
        Err(_) => Ok(false),
    }
}

async fn ended(tasks: &mut JoinSet<()>) -> Result<()> {
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(crashed)?;
    }
    Ok(())
}
