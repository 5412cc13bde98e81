//! Whether a video is taken in, before any of its bytes is: room in the service, the tenant's quotas; and how it goes
//! on: its place among the tenant's others, and whether work is saved on it.

use std::sync::Arc;

use axum::http::{HeaderValue, header};
use jiff::Timestamp;
use pipeline::event::{Job, Options};
use pipeline::id::{TenantId, VideoId};
use pipeline::lane::Lane;
use pipeline::store::Video;

use crate::app::{App, Limits};
use crate::fair;
use crate::ledger::{Entry, UnderWay};
use crate::metrics::{self, Refusal};
use crate::problem::{Kind, Problem};
use crate::quota::{self, Over, Usage};
use crate::tenants::Account;

/// Leave to take a video in; its place is counted until this is dropped.
pub struct Admission {
    may_prioritise: bool,
    degraded: bool,
    /// How many lanes lower it goes.
    lanes_lower: u32,
    /// Where it is counted once it is accepted.
    entry: Option<Arc<Entry>>,
    _under_way: Option<UnderWay>,
}

/// Sees whether `account` may have one more `video`; `bytes` is its length if that is known.
///
/// # Errors
/// 503 when disk or memory is short, 429 when a quota of the tenant is used up, each with the time after which to come
/// again; or when the store is away.
pub async fn admit(app: &App, account: &Account, video: VideoId, bytes: Option<u64>) -> Result<Admission, Problem> {
    app.load.check_room(bytes)?;
    let (may_prioritise, degraded) = (account.may_prioritise, app.load.is_degraded());
    if app.tenants.is_one() {
        return Ok(Admission { may_prioritise, degraded, lanes_lower: 0, entry: None, _under_way: None });
    }
    let (now, tenants, tenant) = (Timestamp::now(), app.tenants.ids(), &account.tenant);
    let entry = app.ledger.of(tenant);
    if let Some(window) = quota::window(&account.quotas) {
        entry.read(&app.store, tenant, window, now).await?;
    }
    // Read before the decision, so that nobody waits for the store while others wait for their turn.
    app.queues.look(&app.store, &tenants).await?;
    let decided = entry.begin(video, |under_way| {
        // What was accepted is in here before it ceases to be under way.
        let unfinished = app.queues.now().ids_of(tenant);
        let under_way = under_way.keys().filter(|id| **id != video && !unfinished.contains(*id)).count();
        let usage = Usage { unfinished: unfinished.len(), under_way, created: entry.created(), next_end: None };
        match quota::check(&account.quotas, &usage, now) {
            Ok(()) => Ok(usage.unfinished + usage.under_way),
            Err(over) => Err((usage, over)),
        }
    });
    match decided {
        Ok((before, under_way)) => {
            let lanes_lower = fair::lanes_lower(before, app.fair_share.saturating_mul(account.weight as usize));
            metrics::lowered(lanes_lower);
            let entry = quota::window(&account.quotas).map(|_| entry);
            Ok(Admission { may_prioritise, degraded, lanes_lower, entry, _under_way: Some(under_way) })
        }
        Err((usage, over)) => {
            let queue = app.queues.look(&app.store, &tenants).await?;
            let next_end = app.forecasts.next_end(&app.store, &tenants, &queue, tenant).await?;
            let told = quota::check(&account.quotas, &Usage { next_end, ..usage }, now);
            Err(refusal(&told.err().unwrap_or(over)))
        }
    }
}

fn refusal(over: &Over) -> Problem {
    metrics::refused(Refusal::Quota);
    let seconds = over.retry_after.as_secs_f64().ceil() as u64;
    let problem = Problem::new(Kind::QuotaExceeded, format!("{}; try again in {seconds} s.", over.detail));
    problem.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
}

impl Admission {
    /// Makes the job of the video, in the lane that is guessed for it.
    pub fn job(&self, limits: &Limits, identity: (&TenantId, VideoId), options: &Options, bytes: Option<u64>) -> Job {
        let asks = options.priority && self.may_prioritise;
        // Of those with a right to the priority lane, losing it is the first lane lower.
        let lanes_lower = if asks { self.lanes_lower.saturating_sub(1) } else { self.lanes_lower };
        let lane = match asks && self.lanes_lower == 0 {
            true => Lane::Priority,
            false => limits.guess_lane(bytes).lower(lanes_lower),
        };
        let mut job = Job::new(identity.0, identity.1, lane, options.clone());
        (job.degraded, job.lanes_lower) = (self.degraded, lanes_lower);
        job
    }

    /// Notes that the video was accepted.
    pub fn accepted(&self, app: &App, video: &Video) {
        app.queues.accepted(video);
        if let Some(entry) = &self.entry {
            entry.accepted(video.new.created_at, video.new.job.video());
        }
    }
}
