//! Keeps watch over a unit while it is worked on: renews its claim, sees that it makes progress, and tells it to
//! stop when its claim is lost, its video is unwanted, or the worker ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::RunnerArgs;
use super::unit::UnitSink;
use super::unwanted::Unwanted;
use crate::event::Job;
use crate::failure::Failure;
use crate::outbox::{Pulse, Standing};
use crate::store::{self, Lease, SharedStore};

/// How long a unit may take to stop after the drain's grace is over, before it is left behind.
const LEAVE_BEHIND_AFTER: Duration = Duration::from_secs(3);

/// Why a unit was told to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// It made no progress.
    Stuck,
    /// Somebody else has its claim.
    Lost,
    /// Its video was cancelled or deleted.
    Unwanted,
    /// The worker ends.
    Draining,
}

/// What is watched, and with what.
pub(super) struct Watch<'a> {
    pub(super) args: &'a RunnerArgs,
    pub(super) store: &'a SharedStore,
    pub(super) unwanted: &'a Unwanted,
    /// Cancelled when the drain's grace is over.
    pub(super) cutoff: &'a CancellationToken,
    /// The claim to renew, of units that have one.
    pub(super) lease: Option<&'a Lease>,
    pub(super) job: &'a Job,
    pub(super) pulse: &'a Pulse,
}

impl Watch<'_> {
    /// Runs `work` to its end and says why it was told to stop, if it was. `lost` is called as soon as the claim is.
    /// There is no result only if the work did not stop in time while the worker ends.
    pub(super) async fn over<T>(&self, work: impl Future<Output = T>, lost: impl Fn()) -> (Option<T>, Option<Ending>) {
        let ending = Mutex::new(None);
        let result = tokio::select! {
            biased;
            result = work => Some(result),
            () = self.keep(&ending, lost) => None,
        };
        let ending = *ending.lock().unwrap_or_else(PoisonError::into_inner);
        (result, ending)
    }

    /// Watches until the unit must be left behind.
    async fn keep(&self, ending: &Mutex<Option<Ending>>, lost: impl Fn()) {
        let mut renewed = Instant::now();
        let mut told: Option<(Ending, Instant)> = None;
        loop {
            let left_behind = matches!(told, Some((Ending::Draining, at)) if at.elapsed() >= LEAVE_BEHIND_AFTER);
            if left_behind {
                return;
            }
            if let Some((Ending::Stuck | Ending::Lost | Ending::Unwanted, at)) = told
                && at.elapsed() >= self.args.hard_limit.saturating_sub(self.args.soft_limit)
            {
                end_process(self.job);
            }
            let cutoff = async {
                match told {
                    Some((Ending::Draining, at)) => tokio::time::sleep_until(at + LEAVE_BEHIND_AFTER).await,
                    _ => self.cutoff.cancelled().await,
                }
            };
            tokio::select! {
                () = cutoff => {}
                () = tokio::time::sleep(self.period()) => {}
            }
            let why = match told {
                _ if self.cutoff.is_cancelled() && !matches!(told, Some((Ending::Draining, _))) => {
                    Some(Ending::Draining)
                }
                None => self.look(&mut renewed).await,
                Some((Ending::Lost, _)) => None,
                Some(_) => self.renew(&mut renewed).await,
            };
            if let Some(why) = why {
                told = Some((why, Instant::now()));
                *ending.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
                if why == Ending::Lost {
                    lost();
                }
                self.pulse.stop().cancel();
            }
        }
    }

    /// Looks whether the work may go on.
    async fn look(&self, renewed: &mut Instant) -> Option<Ending> {
        if self.pulse.idle() >= self.args.soft_limit {
            warn!(limit = ?self.args.soft_limit, "no progress: telling the unit to stop");
            return Some(Ending::Stuck);
        }
        // A gatherer has no claim, and sees for itself whether the video is wanted.
        self.lease?;
        if let Some(lost) = self.renew(renewed).await {
            return Some(lost);
        }
        // A store that does not answer says nothing about the video.
        self.unwanted.is(self.job).await.unwrap_or(false).then_some(Ending::Unwanted)
    }

    async fn renew(&self, renewed: &mut Instant) -> Option<Ending> {
        let lease = self.lease?;
        let asked = Instant::now();
        match renew(self.store, lease, self.args.claim_lease).await {
            Ok(true) => *renewed = asked,
            Ok(false) => return Some(Ending::Lost),
            Err(error) => {
                warn!(error = format!("{:#}", anyhow::Error::from(error)), "claim not renewed");
                if renewed.elapsed() >= self.args.claim_lease {
                    return Some(Ending::Lost);
                }
            }
        }
        None
    }

    fn period(&self) -> Duration {
        (self.args.claim_lease / 3).min(self.args.soft_limit / 4)
    }
}

/// Answers a stage that asks whether its unit is still this worker's.
pub(super) struct Held {
    pub(super) store: SharedStore,
    pub(super) lease: Lease,
    /// For how long an answer is good.
    pub(super) claim_lease: Duration,
    /// Closed once the claim is lost.
    pub(super) sink: Arc<UnitSink>,
}

#[async_trait]
impl Standing for Held {
    async fn holds(&self) -> Result<bool, Failure> {
        let holds = renew(&self.store, &self.lease, self.claim_lease).await?;
        if !holds {
            self.sink.close();
        }
        Ok(holds)
    }
}

/// Renews a claim for another `claim_lease`; false: somebody else has it.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn renew(store: &SharedStore, lease: &Lease, claim_lease: Duration) -> store::Result<bool> {
    let holds = store.renew(lease, Timestamp::now() + claim_lease).await?;
    if !holds {
        warn!(attempt = lease.attempt, "claim lost: the unit is left to whoever has it");
    }
    Ok(holds)
}

/// Ends the process: a thread that does not stop when told can only be stopped with it.
fn end_process(job: &Job) {
    error!(video = %job.video(), "the unit did not stop within the hard limit: ending the process");
    std::process::abort();
}
