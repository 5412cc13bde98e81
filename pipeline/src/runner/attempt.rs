//! One attempt at a unit: claim it, work, publish, finish by compare-and-set.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Shop;
use super::input::Unit;
use super::keep::{Ending, Held, Watch, renew};
use super::letters::{Verdict, bounded, bury};
use super::report::{Begun, Outside};
use super::slots::Slot;
use super::unit::{Next, UnitSink};
use crate::event::{Envelope, Event, Happened, UnitDone, UnitRetried, VideoEvent};
use crate::failure::{Code, Failure};
use crate::metrics::{self, Outcome};
use crate::outbox::{Outbox, Pulse, Sink};
use crate::stage::Stage;
use crate::store::{Claim, Lease, Release};

/// The longest wait before a unit that somebody else has is looked at again, and the shortest.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How often a store that does not answer is asked to finish a unit whose outputs are out.
const FINISH_AGAIN: Duration = Duration::from_millis(250);

/// How the work of an attempt ended.
pub(super) struct Worked {
    pub(super) result: Option<Result<(), Failure>>,
    pub(super) ending: Option<Ending>,
    pub(super) begun: Begun,
    /// When it began, in milliseconds since the Unix epoch.
    pub(super) started_ms: i64,
}

impl<S: Stage> Shop<S> {
    /// Tries a unit of a stage that claims its units.
    pub(super) async fn attempt_claimed(
        &self,
        unit: &Unit,
        input: &mut Option<S::In>,
        slot: &mut Option<Slot>,
    ) -> Next {
        match self.unwanted.is(&unit.job).await {
            Ok(true) => return Next::Done,
            Ok(false) => {}
            Err(error) => return self.trouble(error),
        }
        let now = Timestamp::now();
        match self.store.claim(unit.id::<S>(), &self.worker, now, self.args.claim_lease).await {
            Err(error) => self.trouble(error),
            Ok(Claim::Finished) => Next::Done,
            Ok(Claim::Held { until }) => {
                let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
                Next::Wait(left.clamp(LOOK_AGAIN.0, LOOK_AGAIN.1))
            }
            Ok(Claim::Granted { lease, failures, suspect, lone_deaths }) => {
                if lone_deaths >= self.args.lone_deaths {
                    let detail = format!("the worker died {lone_deaths} times with this unit alone in it");
                    let verdict = Verdict::new(Code::Crashed, detail, failures + lone_deaths);
                    return self.give_up(unit, Some(&lease), &verdict).await;
                }
                if failures >= self.args.attempts {
                    let verdict = Verdict::new(Code::AttemptsExhausted, "no attempt is left".to_owned(), failures);
                    return self.give_up(unit, Some(&lease), &verdict).await;
                }
                if suspect && let Err(next) = self.be_alone(unit, &lease, slot).await {
                    return next;
                }
                let worked = self.work(unit, input, Some(&lease), failures + 1).await;
                self.settle(unit, &lease, failures, worked).await
            }
        }
    }

    /// Works on a claimed suspect alone: takes every slot, so that a death of the process is its doing.
    async fn be_alone(&self, unit: &Unit, lease: &Lease, slot: &mut Option<Slot>) -> Result<(), Next> {
        *slot = None;
        info!("a worker died with this unit in hand: waiting to run it alone");
        let pulse = Pulse::new(CancellationToken::new());
        let waiting = async {
            tokio::select! {
                biased;
                () = unit.revoked.cancelled() => None,
                () = self.stop.cancelled() => None,
                // Others may be slow: waiting for them is no lack of progress.
                all = beating(&pulse, self.slots.all()) => Some(all),
            }
        };
        let (all, ending) = self.watch(unit, Some(lease), &pulse).over(waiting, || ()).await;
        match (all.flatten(), ending) {
            (_, Some(Ending::Lost)) => return Err(Next::Wait(LOOK_AGAIN.0)),
            (Some(all), _) => *slot = Some(all),
            (None, _) => {
                self.release(lease, Release::HandedBack).await;
                return Err(Next::Leave);
            }
        }
        match self.store.run_alone(lease).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Next::Wait(LOOK_AGAIN.0)),
            Err(error) => Err(self.trouble(error)),
        }
    }

    /// Lets the stage work, waits for the acknowledgement of its outputs, and tells that the unit is done. Without
    /// `input` the message is decoded anew.
    pub(super) async fn work(
        &self,
        unit: &Unit,
        input: &mut Option<S::In>,
        lease: Option<&Lease>,
        attempt: u32,
    ) -> Worked {
        let begun = self.activity.begin(unit.job.video(), &unit.key, unit.lane);
        debug!(attempt, "unit begun");
        let started_ms = Timestamp::now().as_millisecond();
        if attempt == 1 {
            let waited_ms = started_ms.saturating_sub(unit.first_published_ms).max(0) as u64;
            metrics::waited(S::NAME, unit.lane, Duration::from_millis(waited_ms));
        }
        let pulse = Pulse::new(CancellationToken::new());
        let sink = Arc::new(UnitSink::new(self.producer.clone()));
        let mut outbox = Outbox::new(sink.clone(), unit.source, pulse.clone());
        if let Some(lease) = lease {
            let (store, claim_lease) = (self.store.clone(), self.args.claim_lease);
            outbox = outbox.claimed(Arc::new(Held { store, lease: lease.clone(), claim_lease, sink: sink.clone() }));
        }
        let work = pin!(async {
            let input = match input.take() {
                Some(input) => input,
                None => {
                    S::In::take(unit.body.clone()).map_err(|error| Failure::reject(Code::MessageUnreadable, error))?
                }
            };
            self.stage.process(input, &outbox).await?;
            sink.acknowledged().await?;
            if lease.is_none() {
                return Ok(());
            }
            let done = UnitDone {
                stage: S::NAME as i32,
                unit: unit.key.to_string(),
                worker: self.worker.clone(),
                attempt,
                queued_ms: unit.first_published_ms,
                started_ms,
                finished_ms: Timestamp::now().as_millisecond(),
            };
            Box::pin(self.tell(unit, Happened::UnitDone(done))).await
        });
        let (result, ending) = self.watch(unit, lease, &pulse).over(work, || sink.close()).await;
        let (failures, quota) = (self.stage.outside_failures(), self.stage.outside_quota());
        self.activity.set_outside(Outside { failures, quota });
        Worked { result, ending, begun, started_ms }
    }

    /// Draws the conclusion from an attempt at a claimed unit.
    async fn settle(&self, unit: &Unit, lease: &Lease, failures: u32, worked: Worked) -> Next {
        let Worked { result, mut ending, begun, started_ms } = worked;
        // A process that stood still finds deadlines passed before it hears that its claim has: what failed for that is
        // somebody else's.
        if ending.is_none() && matches!(result, Some(Err(_))) {
            match renew(&self.store, lease, self.args.claim_lease).await {
                Ok(true) => {}
                Ok(false) => ending = Some(Ending::Lost),
                Err(error) => {
                    self.ended(unit, Outcome::HandedBack, &begun);
                    return self.trouble(error);
                }
            }
        }
        match (result, ending) {
            (_, Some(Ending::Lost)) => {
                self.ended(unit, Outcome::Dropped, &begun);
                Next::Wait(LOOK_AGAIN.0)
            }
            (Some(Ok(())), _) => {
                self.ended(unit, Outcome::Done, &begun);
                begun.done(unit.media);
                self.finish(lease).await
            }
            (_, Some(Ending::Unwanted)) => {
                self.ended(unit, Outcome::Dropped, &begun);
                self.finish(lease).await
            }
            (_, Some(Ending::Draining)) | (None, _) => {
                self.ended(unit, Outcome::HandedBack, &begun);
                self.release(lease, Release::HandedBack).await;
                Next::Leave
            }
            (Some(Err(Failure::Retry(error))), _) if failures + 1 < self.args.attempts => {
                self.ended(unit, Outcome::Retried, &begun);
                self.try_again(unit, lease, failures + 1, &error, started_ms).await
            }
            (Some(Err(failure @ Failure::Unavailable(_))), _) => {
                self.ended(unit, Outcome::HandedBack, &begun);
                self.release(lease, Release::HandedBack).await;
                Next::after_trouble(failure, self.args.backoff_max)
            }
            (Some(Err(failure)), ending) => {
                self.ended(unit, Outcome::Failed, &begun);
                drop(begun);
                let verdict = verdict(failure, ending, failures + 1).after(started_ms, &self.worker);
                self.give_up(unit, Some(lease), &verdict).await
            }
        }
    }

    async fn try_again(
        &self,
        unit: &Unit,
        lease: &Lease,
        attempt: u32,
        error: &anyhow::Error,
        started_ms: i64,
    ) -> Next {
        let text = format!("{error:#}");
        warn!(attempt, error = text, "attempt failed");
        let wait = self.args.backoff_after(attempt);
        self.release(lease, Release::Failed).await;
        let (stage, key) = (S::NAME as i32, unit.key.to_string());
        let (letter, worker) = (unit.letter().to_owned(), self.worker.clone());
        let retried = UnitRetried { stage, unit: key, attempt, error: bounded(text), letter, started_ms, worker };
        if let Err(failure) = self.tell(unit, Happened::UnitRetried(retried)).await {
            // Only progress shown to the user is poorer for it.
            warn!(error = format!("{:#}", anyhow::Error::from(failure)), "retry not told");
        }
        Next::Wait(wait)
    }

    /// Publishes the dead letter and all that follows from it.
    pub(super) async fn give_up(&self, unit: &Unit, lease: Option<&Lease>, verdict: &Verdict) -> Next {
        let pulse = Pulse::new(CancellationToken::new());
        let burial = bury::<S>(&self.producer, unit, verdict);
        let (buried, ending) = self.watch(unit, lease, &pulse).over(burial, || ()).await;
        let Some(lease) = lease else {
            return match buried {
                Some(Ok(())) => Next::Done,
                Some(Err(failure)) => Next::after_trouble(failure, self.args.backoff_max),
                None => Next::Leave,
            };
        };
        match (buried, ending) {
            (_, Some(Ending::Lost)) => Next::Wait(LOOK_AGAIN.0),
            (Some(Ok(())), _) => {
                let next = self.finish(lease).await;
                if matches!(next, Next::Done)
                    && let Ok(input) = S::In::take(unit.body.clone())
                {
                    self.stage.given_up(&input, verdict.code).await;
                }
                next
            }
            (Some(Err(failure)), _) => {
                self.release(lease, Release::HandedBack).await;
                Next::after_trouble(failure, self.args.backoff_max)
            }
            (None, _) => {
                self.release(lease, Release::HandedBack).await;
                Next::Leave
            }
        }
    }

    /// Finishes the unit; its outputs are out, so a store that is away is waited for as long as the claim is good.
    async fn finish(&self, lease: &Lease) -> Next {
        let begun = Instant::now();
        loop {
            match self.store.finish(lease).await {
                Ok(true) => return Next::Done,
                Ok(false) => return Next::Wait(LOOK_AGAIN.0),
                Err(error) if begun.elapsed() >= self.args.claim_lease => return self.trouble(error),
                Err(error) => warn!(error = format!("{:#}", anyhow::Error::from(error)), "unit not finished yet"),
            }
            tokio::time::sleep(FINISH_AGAIN).await;
        }
    }

    async fn release(&self, lease: &Lease, how: Release) {
        if let Err(error) = self.store.release(lease, how).await {
            warn!(error = format!("{:#}", anyhow::Error::from(error)), "claim not released: it ends with its lease");
        }
    }

    async fn tell(&self, unit: &Unit, what: Happened) -> Result<(), Failure> {
        self.producer.publish(Envelope::of(&VideoEvent::new(&unit.job, Timestamp::now(), what))).await
    }

    fn watch<'a>(&'a self, unit: &'a Unit, lease: Option<&'a Lease>, pulse: &'a Pulse) -> Watch<'a> {
        let Self { args, store, unwanted, cutoff, .. } = self;
        Watch { args, store, unwanted, cutoff, lease, job: &unit.job, pulse }
    }

    pub(super) fn trouble(&self, error: crate::store::Error) -> Next {
        Next::after_trouble(error.into(), self.args.backoff_max)
    }

    pub(super) fn ended(&self, unit: &Unit, outcome: Outcome, begun: &Begun) {
        metrics::attempt_ended(S::NAME, unit.lane, outcome, begun.elapsed());
    }
}

/// Says why a unit is given up after its last failure.
pub(super) fn verdict(failure: Failure, ending: Option<Ending>, attempts: u32) -> Verdict {
    let code = if ending == Some(Ending::Stuck) { Code::Stuck } else { failure.code() };
    let seen = match failure {
        Failure::Reject { source, .. } | Failure::Retry(source) | Failure::Unavailable(source) => source,
    };
    Verdict::new(code, format!("{seen:#}"), attempts)
}

/// Awaits `future` while showing progress.
async fn beating<T>(pulse: &Pulse, future: impl Future<Output = T>) -> T {
    tokio::pin!(future);
    loop {
        tokio::select! {
            biased;
            result = &mut future => return result,
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                // Being told to stop is seen by who selects on it.
                let _ = pulse.beat();
            }
        }
    }
}
