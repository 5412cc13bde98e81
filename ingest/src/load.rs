//! How the service is: `judge` decides, `readings` are what it decides by, and here it is kept and acted upon.
//! Beyond the breakers' limits videos are accepted and made with less work; only when disk or memory is short are they
//! refused.

mod judge;
mod readings;
mod uploads;

use std::sync::{Arc, PoisonError, RwLock};

use axum::http::{HeaderValue, header};
use jiff::Timestamp;
use pipeline::event::SystemState;

use crate::metrics::{self, Refusal};
use crate::problem::{Kind, Problem};

pub use judge::{Breaker, Judgement, OverloadArgs, Seen, Shortage};
pub use readings::{Memory, Workers};
pub(crate) use readings::{free_bytes, memory};
pub use uploads::Upload;
use uploads::Uploads;

/// How the service is, as last looked at.
pub struct Load {
    args: OverloadArgs,
    process: String,
    now: RwLock<Arc<Now>>,
    uploads: Uploads,
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
        Self { args, process, now: RwLock::new(Arc::new(now)), uploads: Uploads::default() }
    }

    /// Returns what this process may take at most, if that was said.
    pub(crate) fn memory_limit(&self) -> Option<u64> {
        self.args.memory_limit
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

    /// Counts an upload of a new video as under way until the result is dropped.
    pub fn upload_begins(&self) -> Upload {
        self.uploads.begin()
    }

    /// Judges by what is `seen` now, and tells what changed; says whether anything did.
    pub fn observe(&self, seen: Seen, at: Timestamp) -> bool {
        let before = self.now();
        let judgement = self.args.judge(&before.judgement, &seen, at);
        let shortage = self.args.shortage(&seen, 0).map(|shortage| shortage.to_string());
        let was_short = self.args.shortage(&before.seen, 0).is_some();
        let open = judgement.open();
        let breakers = Breaker::ALL.map(|breaker| (breaker.as_str(), open.contains(&breaker)));
        metrics::set_load(breakers, judgement.is_degraded(), seen.unfinished);
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
        let (uploads_begun_total, uploads_ended_total) = self.uploads.totals();
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
            uploads_begun_total,
            uploads_ended_total,
        }
    }

    fn now(&self) -> Arc<Now> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
