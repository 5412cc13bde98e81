//! Who works at the moment.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use prost::Message;
use tokio::time::Instant;

use super::{BrokerArgs, reader};
use crate::event::WorkerReport;
use crate::stage::StageName;
use crate::topic::Topic;

/// How long is listened: a worker with nothing to do reports each five seconds.
const LISTEN: Duration = Duration::from_secs(7);
/// How often is looked meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Listens until a worker reports and returns the stages heard; none within seven seconds means that none works.
///
/// # Errors
/// When the broker cannot be reached.
pub async fn stages(brokers: &BrokerArgs) -> Result<BTreeSet<StageName>> {
    let before = reader::spans(brokers, Topic::WorkerReport).await?;
    let deadline = Instant::now() + LISTEN;
    let mut alive = BTreeSet::new();
    while alive.is_empty() && Instant::now() < deadline {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = reader::spans(brokers, Topic::WorkerReport).await?;
        for (now, before) in now.iter().zip(&before) {
            let mut reports = reader::read(brokers, now.after(before))?;
            while let Some(report) = reports.recv().await {
                alive.insert(WorkerReport::decode(&*report?.body).context("read a worker's report")?.stage());
            }
        }
    }
    Ok(alive)
}
