//! Who works, as `worker.report` tells, and what workers are told by `worker.command`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use prost::Message;
use tokio::time::Instant;

use crate::event::{WorkerCommand, WorkerOrder, WorkerReport};
use crate::failure::Failure;
use crate::kafka::{BrokerArgs, Producer, reader};
use crate::stage::StageName;
use crate::topic::Topic;

/// How long a worker counts that says nothing: three times as long as one without work is silent.
pub const SILENCE: Duration = Duration::from_secs(15);

/// How long is listened for anybody at all: a worker with nothing to do reports each five seconds.
const LISTEN: Duration = Duration::from_secs(7);
/// How often is looked meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Returns what each worker said last that was heard within [`SILENCE`], in the order of the flow.
///
/// # Errors
/// When the brokers cannot be reached, or a report cannot be read.
pub async fn heard(brokers: &BrokerArgs) -> Result<Vec<WorkerReport>> {
    let since = Timestamp::now().saturating_sub(SILENCE).context("reckon with time")?;
    let mut last = BTreeMap::new();
    for span in reader::spans_since(brokers, Topic::WorkerReport, since).await? {
        let mut reports = reader::read(brokers, span)?;
        while let Some(report) = reports.recv().await {
            let report = decode(&report?.body)?;
            last.insert(report.worker.clone(), report);
        }
    }
    let mut reports: Vec<WorkerReport> = last.into_values().collect();
    reports.sort_by(|one, other| (one.stage, &one.worker).cmp(&(other.stage, &other.worker)));
    Ok(reports)
}

/// Listens until a worker reports and returns the stages heard; none within seven seconds means that none works.
///
/// # Errors
/// As [`heard`].
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
                alive.insert(decode(&report?.body)?.stage());
            }
        }
    }
    Ok(alive)
}

/// Tells `worker` to take no more, to finish what it has in hand, and to end. Whoever watches its process starts another.
/// `by` says for the worker's log who wants it. A worker that is not there does not hear it.
///
/// # Errors
/// When the brokers do not take it.
pub async fn drain(producer: &Producer, worker: &str, by: &str) -> Result<(), Failure> {
    let command = WorkerCommand {
        worker: worker.to_owned(),
        what: WorkerOrder::Drain as i32,
        at_ms: Timestamp::now().as_millisecond(),
        by: by.to_owned(),
    };
    producer.say(Topic::WorkerCommand, worker, &command.encode_to_vec()).await
}

fn decode(body: &[u8]) -> Result<WorkerReport> {
    WorkerReport::decode(body).context("read a worker's report")
}
