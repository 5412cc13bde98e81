//! Runs a gathering stage: a task for each partition held, which handles its records strictly one after another
//! and ticks in between.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::unit::{UnitSink, handle};
use super::{Shop, crashed};
use crate::failure::Failure;
use crate::kafka::{Consumer, Record, Tracker};
use crate::lane::Lane;
use crate::outbox::{Outbox, Pulse, Source};
use crate::stage::Stage;

/// Between a stage's ticks.
const TICK: Duration = Duration::from_secs(5);

/// Takes work until told to stop; what is in hand then goes on in `tasks`.
///
/// # Errors
/// When a task crashed.
pub(super) async fn take<S: Stage>(
    shop: &Arc<Shop<S>>,
    consumer: &Arc<Consumer>,
    tasks: &mut JoinSet<()>,
) -> Result<()> {
    let mut assignments = consumer.assignments();
    // By partition, the assignment its task serves.
    let mut served: HashMap<i32, Arc<Tracker>> = HashMap::new();
    loop {
        served.retain(|_, tracker| !tracker.revoked().is_cancelled());
        for tracker in consumer.held() {
            if served.get(&tracker.partition()).is_none_or(|old| !Arc::ptr_eq(old, &tracker)) {
                served.insert(tracker.partition(), tracker.clone());
                let (shop, consumer) = (shop.clone(), consumer.clone());
                tasks.spawn(async move { serve(&shop, &consumer, &tracker).await });
            }
        }
        tokio::select! {
            () = shop.stop.cancelled() => return Ok(()),
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => ended.map_err(crashed)?,
            changed = assignments.changed() => changed?,
        }
    }
}

/// Serves one assignment of a partition.
async fn serve<S: Stage>(shop: &Shop<S>, consumer: &Consumer, tracker: &Tracker) {
    // Partitions tick out of step.
    let since = Instant::now();
    let first = since + TICK.mul_f64(rand::random());
    let mut ticks = interval_at(first, TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = tracker.revoked().cancelled() => return,
            () = shop.stop.cancelled() => return,
            // Records come before deadlines: an answer that waits in the partition is no answer that is missing.
            record = next(consumer, tracker.partition()) => handle(shop, Lane::Standard, record, None).await,
            _ = ticks.tick() => tick(shop, tracker, since.elapsed()).await,
        }
    }
}

async fn next(consumer: &Consumer, partition: i32) -> Record {
    loop {
        if let Some(record) = consumer.take(partition as usize) {
            return record;
        }
        consumer.arrived_in(partition).await;
    }
}

/// Lets the stage see to its deadlines. It is told again soon, so a failure is only noted.
async fn tick<S: Stage>(shop: &Shop<S>, tracker: &Tracker, held: Duration) {
    let Some(pass) = shop.breaker.try_enter() else { return };
    let stop = CancellationToken::new();
    let _stop_when_dropped = stop.clone().drop_guard();
    let sink = Arc::new(UnitSink::new(shop.producer.clone()));
    let source = Source { partition: tracker.partition(), offset: -1 };
    let outbox = Outbox::new(sink.clone(), source, Pulse::new(stop));
    let ticked = async {
        shop.stage.tick(tracker.partition(), held, &outbox).await?;
        sink.acknowledged().await
    };
    let result = tokio::select! {
        result = ticked => result,
        () = shop.cutoff.cancelled() => return,
    };
    match result {
        Ok(()) => pass.reached(),
        Err(failure @ Failure::Unavailable(_)) => pass.missed(format!("{:#}", anyhow::Error::from(failure))),
        Err(failure) => {
            pass.reached();
            warn!(error = format!("{:#}", anyhow::Error::from(failure)), "tick failed");
        }
    }
}
