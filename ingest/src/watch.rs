//! Sees each second how the service is, lets [`crate::load`] judge, and tells it to all.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use pipeline::event::{Envelope, SystemState, WorkerReport};
use pipeline::kafka::reader::Stored;
use pipeline::lane::Lane;
use pipeline::topic::Topic;
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::load::{self, Seen, Workers};

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the store may take; disk and memory are not looked at meanwhile.
const STORE_PATIENCE: Duration = Duration::from_secs(10);
/// How often it is published though nothing changed.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Looks, judges and tells until `stop`. `disks` are folders on the disks that are written to.
pub async fn run(app: App, disks: Vec<PathBuf>, stop: CancellationToken) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: Option<(Instant, SystemState)> = None;
    while stop.run_until_cancelled(looks.tick()).await.is_some() {
        let changed = app.load.observe(see(&app, &disks).await, Timestamp::now());
        let state = app.load.state(Timestamp::now());
        let is_news = |told: &(Instant, SystemState)| {
            changed || uploads(&told.1) != uploads(&state) || told.0.elapsed() >= TELL_EVERY
        };
        if told.as_ref().is_none_or(is_news) {
            tell(&app, &state).await;
            told = Some((Instant::now(), state));
        }
    }
}

/// Hears what workers say on `worker.report` until `stop`, or until there is nothing more.
pub async fn hear(workers: &Workers, mut reports: mpsc::Receiver<anyhow::Result<Stored>>, stop: CancellationToken) {
    while let Some(Some(Ok(stored))) = stop.run_until_cancelled(reports.recv()).await {
        if let Ok(report) = WorkerReport::decode(&*stored.body) {
            workers.hear(&report);
        }
    }
}

async fn see(app: &App, disks: &[PathBuf]) -> Seen {
    // A store that is away says nothing: what was judged by it stays, and whoever asks for it is told.
    let tenants = app.tenants.ids();
    let queue = tokio::time::timeout(STORE_PATIENCE, app.queues.look(&app.store, &tenants)).await;
    Seen {
        unfinished: queue.ok().and_then(Result::ok).map(|queue| queue.videos().count() as u64),
        memory: load::memory(app.load.memory_limit()),
        disk_free_bytes: load::free_bytes(disks),
        outside_failures: app.workers.outside_failures(Timestamp::now()),
    }
}

/// Uploads announce videos: whoever has the workers there for them must hear of them at once.
fn uploads(state: &SystemState) -> (u64, u64) {
    (state.uploads_begun_total, state.uploads_ended_total)
}

async fn tell(app: &App, state: &SystemState) {
    let (topic, lane, unit_key) = (Topic::SystemState, Lane::Standard, state.process.clone());
    let envelope = Envelope { topic, lane, key: None, unit_key, body: state.encode_to_vec() };
    let published = tokio::time::timeout(app.limits.publish_wait, app.events.publish(envelope)).await;
    if let Ok(Err(failure)) = published {
        tracing::debug!(error = %format_args!("{:#}", anyhow::Error::from(failure)), "state of the service not told");
    }
}
