//! How the service is: `judge` decides, `readings` are what it decides by, and here it is kept, told and acted upon.
//! Beyond the breakers' limits videos are accepted and made with less work; only when disk or memory is short are they
//! refused.

mod judge;
mod readings;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::http::{HeaderValue, header};
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
use crate::metrics::{self, Refusal};
use crate::problem::{Kind, Problem};

pub use judge::{Breaker, Judgement, OverloadArgs, Seen, Shortage};
pub use readings::{Memory, Workers};

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the store may take; disk and memory are not looked at meanwhile.
const STORE_PATIENCE: Duration = Duration::from_secs(10);
/// How often it is published though nothing changed.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// How the service is, as last looked at.
pub struct Load {
    args: OverloadArgs,
    process: String,
    now: RwLock<Arc<Now>>,
}

struct Now {
    seen: Seen,
    judgement: Judgement,
    since: Timestamp,
}

impl Load {
    /// Knows nothing yet, which is as good as all well.
    pub fn new(args: OverloadArgs) -> Self {
        let process = format!("ingest-{}", uuid::Uuid::new_v4().simple());
        let now = Now { seen: Seen::default(), judgement: Judgement::default(), since: Timestamp::now() };
        Self { args, process, now: RwLock::new(Arc::new(now)) }
    }

    /// Says whether videos are made with less work.
    pub fn is_degraded(&self) -> bool {
        self.now().judgement.is_degraded()
    }

    /// Sees that there is room for an upload; `bytes` is its length if that is known.
    ///
    /// # Errors
    /// When disk or memory is short, with the time after which to come again.
    pub fn check_room(&self, bytes: Option<u64>) -> Result<(), Problem> {
        let now = self.now();
        let Some(shortage) = self.args.shortage(&now.seen, bytes.unwrap_or(0)) else { return Ok(()) };
        metrics::refused(match shortage {
            Shortage::Disk { .. } => Refusal::Disk,
            Shortage::Memory { .. } => Refusal::Memory,
        });
        let problem = Problem::new(Kind::Overloaded, format!("{}; try again later.", shortage.public()));
        let seconds = HeaderValue::from(shortage.retry_after().as_secs());
        Err(problem.with_header(header::RETRY_AFTER, seconds))
    }

    /// Judges by what is `seen` now, and tells what changed; says whether anything did.
    pub fn observe(&self, seen: Seen, at: Timestamp) -> bool {
        let before = self.now();
        let judgement = self.args.judge(&before.judgement, &seen, at);
        let shortage = self.args.shortage(&seen, 0).map(|shortage| shortage.to_string());
        let was_short = self.args.shortage(&before.seen, 0).is_some();
        metrics::set_load(&judgement, &seen);
        let (was, is) = (before.judgement.is_degraded(), judgement.is_degraded());
        match (was, is) {
            (false, true) => {
                tracing::warn!(
                    reasons = judgement.reasons().join("; "),
                    "degraded: new videos go without optional work"
                );
            }
            (true, false) => tracing::info!(since = %before.since, "no longer degraded: new videos get all work again"),
            _ => {}
        }
        match &shortage {
            Some(reason) if !was_short => tracing::error!(reason, "new videos are refused"),
            None if was_short => tracing::info!("new videos are accepted again"),
            _ => {}
        }
        let changed = judgement.open() != before.judgement.open() || shortage.is_some() != was_short;
        let since = if was == is { before.since } else { at };
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Now { seen, judgement, since });
        changed
    }

    /// Returns what is published of it.
    pub fn state(&self, at: Timestamp) -> SystemState {
        let now = self.now();
        let (seen, memory) = (&now.seen, now.seen.memory.unwrap_or_default());
        SystemState {
            process: self.process.clone(),
            at_ms: at.as_millisecond(),
            degraded: now.judgement.is_degraded(),
            since_ms: now.since.as_millisecond(),
            reasons: now.judgement.reasons(),
            refusing: self.args.shortage(seen, 0).map(|shortage| shortage.to_string()).unwrap_or_default(),
            unfinished_videos: seen.unfinished.unwrap_or(0),
            unfinished_limit: self.args.degrade_at_queue,
            memory_bytes: memory.used_bytes,
            memory_limit_bytes: memory.limit_bytes,
            disk_free_bytes: seen.disk_free_bytes.unwrap_or(0),
            outside_failures: seen.outside_failures,
        }
    }

    fn now(&self) -> Arc<Now> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Looks, judges and tells until `stop`. `disks` are folders on the disks that are written to.
pub async fn run(app: App, disks: Vec<PathBuf>, stop: CancellationToken) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: Option<Instant> = None;
    while stop.run_until_cancelled(looks.tick()).await.is_some() {
        let changed = app.load.observe(see(&app, &disks).await, Timestamp::now());
        if !changed && told.is_some_and(|at| at.elapsed() < TELL_EVERY) {
            continue;
        }
        told = Some(Instant::now());
        tell(&app).await;
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
        memory: readings::memory(app.load.args.memory_limit),
        disk_free_bytes: readings::free_bytes(disks),
        outside_failures: app.workers.outside_failures(Timestamp::now()),
    }
}

async fn tell(app: &App) {
    let state = app.load.state(Timestamp::now());
    let (topic, lane, unit_key) = (Topic::SystemState, Lane::Standard, state.process.clone());
    let envelope = Envelope { topic, lane, key: None, unit_key, body: state.encode_to_vec() };
    let published = tokio::time::timeout(app.limits.publish_wait, app.events.publish(envelope)).await;
    if let Ok(Err(failure)) = published {
        tracing::debug!(error = %format_args!("{:#}", anyhow::Error::from(failure)), "state of the service not told");
    }
}
