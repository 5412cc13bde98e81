//! Runs a gathering stage: a task for each partition held, which handles its records strictly one after another
//! and ticks in between.

use std::any::Any;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::attempt::{Worked, verdict};
use super::input::Unit;
use super::keep::Ending;
use super::letters::Verdict;
use super::unit::{Next, UnitSink, handle};
use super::{Shop, crashed};
use crate::failure::{Code, Failure};
use crate::kafka::{Consumer, Record, Tracker};
use crate::lane::Lane;
use crate::metrics::Outcome;
use crate::outbox::{Outbox, Pulse, Source};
use crate::stage::Stage;
use crate::store::{Claim, Release};

/// Between a stage's ticks.
const TICK: Duration = Duration::from_secs(5);
/// How long counting a failed attempt at a unit may take.
const COUNTING_LEASE: Duration = Duration::from_secs(1);

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

impl<S: Stage> Shop<S> {
    /// Tries a unit of a gathering stage. It is not claimed, because its partition has one owner; only its
    /// failed attempts are counted in the store, so that one that ends its process each time does not do so for ever.
    pub(super) async fn attempt_unclaimed(&self, unit: &Unit, input: &mut Option<S::In>, attempt: u32) -> Next {
        let worked = AssertUnwindSafe(self.work(unit, input, None, attempt)).catch_unwind().await;
        let Worked { result, ending, begun, started_ms } = match worked {
            Ok(worked) => worked,
            Err(panic) => return Box::pin(self.after_panic(unit, panic)).await,
        };
        match result {
            Some(Ok(())) => {
                self.ended(unit, Outcome::Done, &begun);
                begun.done(unit.media);
                Next::Done
            }
            _ if ending == Some(Ending::Draining) => Next::Leave,
            None => Next::Leave,
            Some(Err(Failure::Retry(error))) => {
                let failures = match Box::pin(self.count_failure(unit)).await {
                    Ok(failures) => failures,
                    Err(error) => return self.trouble(error),
                };
                if failures >= self.args.attempts {
                    self.ended(unit, Outcome::Failed, &begun);
                    drop(begun);
                    let verdict = verdict(Failure::Retry(error), ending, failures).after(started_ms, &self.worker);
                    return Box::pin(self.give_up(unit, None, &verdict)).await;
                }
                self.ended(unit, Outcome::Retried, &begun);
                warn!(attempt = failures, error = format!("{error:#}"), "attempt failed");
                Next::Wait(self.args.backoff_after(failures))
            }
            Some(Err(failure @ Failure::Unavailable(_))) => Next::after_trouble(failure, self.args.backoff_max),
            Some(Err(failure @ Failure::Reject { .. })) => {
                self.ended(unit, Outcome::Failed, &begun);
                drop(begun);
                let verdict = verdict(failure, ending, 1).after(started_ms, &self.worker);
                Box::pin(self.give_up(unit, None, &verdict)).await
            }
        }
    }

    /// Counts a panic, a bug of ours that ends the process, unless it was the last that the unit may cause.
    async fn after_panic(&self, unit: &Unit, panic: Box<dyn Any + Send>) -> Next {
        match self.count_failure(unit).await {
            Ok(failures) if failures >= self.args.attempts => {
                let detail = format!("the work crashed {failures} times");
                self.give_up(unit, None, &Verdict::new(Code::Crashed, detail, failures)).await
            }
            Ok(failures) => {
                warn!(attempt = failures, "attempt crashed");
                std::panic::resume_unwind(panic)
            }
            Err(error) => {
                warn!(error = format!("{:#}", anyhow::Error::from(error)), "crash not counted");
                std::panic::resume_unwind(panic)
            }
        }
    }

    /// Counts a failed attempt at a unit that is not claimed, and returns how many there were.
    async fn count_failure(&self, unit: &Unit) -> crate::store::Result<u32> {
        match self.store.claim(unit.id::<S>(), &self.worker, Timestamp::now(), COUNTING_LEASE).await? {
            Claim::Granted { lease, failures, .. } => {
                self.store.release(&lease, Release::Failed).await?;
                Ok(failures + 1)
            }
            // The partition's owner before this one counts at this moment.
            Claim::Held { .. } | Claim::Finished => Ok(1),
        }
    }
}
