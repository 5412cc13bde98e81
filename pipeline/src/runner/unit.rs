//! One input of a stage on its way to being acknowledged: it waits, goes ahead, is tried again or given up.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::Either;

use super::Shop;
use super::breaker::Pass;
use super::input::Unit;
use super::letters::bury_unreadable;
use super::slots::Slot;
use crate::event::{Envelope, ReadError};
use crate::failure::Failure;
use crate::kafka::{Batch, Producer, Record, Ticket};
use crate::lane::Lane;
use crate::late_span::{self, UnitNames};
use crate::outbox::{Sink, Stopped};
use crate::stage::{Kind, Stage};
use crate::telemetry;

/// How long the work of a probe may go on before the dependencies count as reached: none takes longer to be found
/// away, and a unit may work for hours while all others wait for its word.
const PROBE_PATIENCE: Duration = Duration::from_secs(60);

/// What is to be done with a unit after an attempt at it.
pub(super) enum Next {
    /// It has its answer: acknowledge it.
    Done,
    /// Somebody else will see to it.
    Leave,
    /// Look at it again later.
    Wait(Duration),
    /// A dependency is down.
    Down(String),
}

impl Next {
    /// Turns a failure that is not the unit's own fault into what follows from it.
    pub(super) fn after_trouble(failure: Failure, later: Duration) -> Self {
        let down = matches!(failure, Failure::Unavailable(_));
        let text = format!("{:#}", anyhow::Error::from(failure));
        if down {
            return Self::Down(text);
        }
        tracing::error!(error = text, "unit put off");
        Self::Wait(later)
    }
}

/// Sees `record` through to its acknowledgement, or leaves it to the next owner of its partition. It is read at once:
/// what works on a unit in hand has no room for its record.
pub(super) fn handle<S: Stage>(
    shop: &Shop<S>,
    lane: Lane,
    record: Record,
    slot: Option<Slot>,
) -> impl Future<Output = ()> + Send {
    match Unit::read::<S>(lane, record) {
        Ok((unit, input, ticket)) => Either::Left(see_through(shop, unit, Some(input), ticket, slot)),
        Err((record, error)) => Either::Right(Box::pin(set_aside(shop, lane, record, error, slot))),
    }
}

/// Sees a unit through to its acknowledgement, or leaves it.
async fn see_through<S: Stage>(
    shop: &Shop<S>,
    unit: Unit,
    mut input: Option<S::In>,
    ticket: Ticket,
    mut slot: Option<Slot>,
) {
    let names = UnitNames { stage: S::NAME, lane: unit.lane, video: unit.job.video(), unit: unit.key.clone() };
    let traced = || {
        let span = names.span();
        unit.headers.make_parent_of(&span);
        span
    };
    let span = telemetry::sends_spans().then(traced);
    let pursued = pin!(pursue(shop, &unit, &mut input, &mut slot));
    if late_span::within(names, span, pursued).await {
        ticket.finish();
    }
}

/// Tries `unit` until it has its answer, the first time with `input`. False: it was left.
async fn pursue<S: Stage>(shop: &Shop<S>, unit: &Unit, input: &mut Option<S::In>, slot: &mut Option<Slot>) -> bool {
    let mut wait = None;
    let mut attempt = 0;
    loop {
        if wait.is_some() || shop.breaker.closed().is_err() {
            *input = None;
        }
        let Some(mut pass) = go_ahead(shop, unit, slot, wait.take()).await else { return false };
        attempt += 1;
        let tried = pin!(async {
            match S::KIND {
                Kind::Work if shop.args.claims => Box::pin(shop.attempt_claimed(unit, input, slot)).await,
                Kind::Work | Kind::Gather => shop.attempt_unclaimed(unit, input, attempt).await,
            }
        });
        let next = tokio::select! {
            biased;
            next = tried => next,
            never = pass.reached_after(PROBE_PATIENCE) => match never {},
        };
        match next {
            Next::Done => {
                pass.reached();
                return true;
            }
            Next::Leave => return false,
            Next::Wait(time) => {
                pass.reached();
                wait = Some(time);
            }
            Next::Down(why) => {
                tracing::warn!(why, "dependency unavailable: the stage pauses");
                pass.missed(why);
            }
        }
    }
}

/// Waits as long as it must, without a slot if its memory allows that, then for a slot. `None`: it is to be left.
async fn go_ahead<'a, S: Stage>(
    shop: &'a Shop<S>,
    unit: &Unit,
    slot: &mut Option<Slot>,
    wait: Option<Duration>,
) -> Option<Pass<'a>> {
    if unit.revoked.is_cancelled() || shop.stop.is_cancelled() {
        return None;
    }
    let must_wait = wait.is_some() || shop.breaker.closed().is_err();
    let parked = must_wait.then(|| shop.slots.park(unit.body.len())).flatten();
    if parked.is_some() {
        *slot = None;
    }
    let pass = pin!(async {
        if let Some(wait) = wait {
            tokio::time::sleep(wait).await;
        }
        loop {
            shop.breaker.ready().await;
            if slot.is_none() {
                *slot = Some(shop.slots.one().await);
            }
            if let Some(pass) = shop.breaker.try_enter() {
                return pass;
            }
            // Another unit probes, and may need all slots for itself.
            *slot = None;
        }
    });
    // Mostly there is nothing to wait for, and then nothing else is listened to: that costs more than looking.
    tokio::select! {
        biased;
        pass = pass => Some(pass),
        () = unit.revoked.cancelled() => None,
        () = shop.stop.cancelled() => None,
    }
}

/// Puts a message that cannot be read among the dead letters; holds its slot until it is there.
async fn set_aside<S: Stage>(shop: &Shop<S>, lane: Lane, record: Record, error: ReadError, _slot: Option<Slot>) {
    let why = format!("{:#}", anyhow::Error::from(error));
    loop {
        let buried = bury_unreadable::<S>(&shop.producer, record.headers.clone(), lane, &record.body, why.clone());
        match buried.await {
            Ok(()) => return record.ticket.finish(),
            Err(failure) => tracing::warn!(%failure, "dead letter not published"),
        }
        tokio::select! {
            () = record.ticket.tracker().revoked().cancelled() => return,
            () = shop.stop.cancelled() => return,
            () = tokio::time::sleep(shop.args.backoff_max) => {}
        }
    }
}

/// Where one attempt's outputs go; closed when the attempt has lost its claim.
pub(super) struct UnitSink {
    producer: Producer,
    batch: Batch,
    closed: AtomicBool,
}

impl UnitSink {
    pub(super) fn new(producer: Producer) -> Self {
        Self { producer, batch: Batch::default(), closed: AtomicBool::new(false) }
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Waits until all that was put in is acknowledged.
    pub(super) async fn acknowledged(&self) -> Result<(), Failure> {
        self.batch.acknowledged().await
    }
}

#[async_trait]
impl Sink for UnitSink {
    async fn publish(&self, envelope: Envelope) -> Result<(), Failure> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Stopped.into());
        }
        self.producer.send(&envelope, &self.batch).await
    }

    async fn flush(&self) -> Result<(), Failure> {
        self.acknowledged().await
    }
}
