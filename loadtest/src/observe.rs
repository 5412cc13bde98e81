//! Looks at workers and brokers while a load test runs: reports and decisions as they come, and what waits in each lane.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use pipeline::event::WorkerReport;
use pipeline::kafka::lag::{Lags, Read};
use pipeline::kafka::reader::Stored;
use pipeline::kafka::{BrokerArgs, tail};
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use pipeline::topic::Topic;
use planning::record::Recorded;
use prost::Message;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use crate::fleet::{Decided, Fleet, Heard};

/// How often everything is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What was seen.
#[derive(Default)]
struct Seen {
    heard: Heard,
    fleets: Vec<Fleet>,
}

/// Looks until it is dropped.
pub struct Observer {
    seen: Arc<Mutex<Seen>>,
    _looking: AbortOnDropHandle<()>,
}

impl Observer {
    /// Begins to look.
    ///
    /// # Errors
    /// When the brokers cannot be reached, or a topic is missing.
    pub async fn start(brokers: &BrokerArgs) -> Result<Self> {
        let since = tail::Since::Time(Timestamp::now() - Duration::from_secs(10));
        let reports = tail::follow(brokers, Topic::WorkerReport, since).await?;
        let decisions = tail::follow(brokers, Topic::AutoscalerDecision, since).await?;
        let lags = Lags::connect(brokers, &StageName::ALL).await.context("ask for what waits")?;
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(hear(reports, seen.clone(), |seen, record| {
            seen.heard.report(WorkerReport::decode(&*record.body).context("read a report")?);
            Ok(())
        }));
        tasks.spawn(hear(decisions, seen.clone(), |seen, record| decide(&mut seen.heard, record)));
        tasks.spawn(look(lags, seen.clone()));
        let looking = tokio::spawn(async move {
            // Each goes on as long as it can; what one cannot see is missing in the report.
            while tasks.join_next().await.is_some() {}
        });
        Ok(Self { seen, _looking: AbortOnDropHandle::new(looking) })
    }

    /// Returns how it stood at the last look.
    pub fn now(&self) -> Option<Fleet> {
        self.lock().fleets.last().cloned()
    }

    /// Returns how it stood over time, and what was decided.
    pub fn all(&self) -> (Vec<Fleet>, Vec<Decided>) {
        let seen = self.lock();
        (seen.fleets.clone(), seen.heard.changes.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn hear(
    mut records: mpsc::Receiver<Result<Stored>>,
    seen: Arc<Mutex<Seen>>,
    take: impl Fn(&mut Seen, Stored) -> Result<()>,
) {
    while let Some(record) = records.recv().await {
        let taken = record.and_then(|record| take(&mut lock(&seen), record));
        if let Err(error) = taken {
            warn!(error = format!("{error:#}"), "a report or decision cannot be read");
        }
    }
}

fn decide(heard: &mut Heard, record: Stored) -> Result<()> {
    let recorded: Recorded = serde_json::from_slice(&record.body).context("understand a decision")?;
    for stage in recorded.decided {
        let seen = recorded.seen.stages.iter().find(|seen| seen.stage == stage.stage);
        let slots = seen.map_or(1, |seen| seen.slots_per_worker.max(1));
        heard.decided(Decided {
            at_ms: record.published_ms,
            stage: stage.stage,
            had: seen.map_or(stage.replicas, |seen| seen.replicas).saturating_mul(slots),
            wanted: stage.replicas.saturating_mul(slots),
            reason: stage.reason,
        });
    }
    Ok(())
}

async fn look(lags: Lags, seen: Arc<Mutex<Seen>>) {
    let mut seconds = tokio::time::interval(LOOK_EVERY);
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        let read = lags.read().await;
        let mut seen = lock(&seen);
        let mut fleet = seen.heard.now(Timestamp::now().as_millisecond());
        match read {
            Ok(read) => add_lag(&mut fleet, read),
            Err(error) => debug!(error = format!("{error:#}"), "what waits is not known now"),
        }
        seen.fleets.push(fleet);
    }
}

fn add_lag(fleet: &mut Fleet, read: Read) {
    for (stage, lanes) in read {
        // A group that does not answer now is asked again in a second.
        let Ok(lanes) = lanes else { continue };
        let named = Lane::ALL.iter().map(|lane| lane.to_string());
        let lag = lanes.iter().map(|lane| (lane.end_total - lane.committed_total).max(0) as f64);
        fleet.lag.insert(stage.to_string(), named.zip(lag).collect());
    }
}
