//! What a worker tells about itself: heartbeats to `worker.report`, gauges, and whether it is ready.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use jiff::Timestamp;
use prost::Message;
use slab::Slab;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Shop;
use super::breaker::Breaker;
use super::letters::bounded;
use super::slots::Slots;
use crate::event::{LaneDone, UnitInHand, WorkerReport, WorkerState};
use crate::id::VideoId;
use crate::kafka::{Batch, BrokerArgs, Consumer, Headers, Post, Producer};
use crate::lane::Lane;
use crate::media_time::MediaTime;
use crate::memory;
use crate::metrics;
use crate::outside::Quota;
use crate::stage::{Stage, StageName};
use crate::topic::Topic;

/// How many times rarer are the heartbeats of a worker that has nothing new to say: those of many idle workers are most
/// of what a broker does then (`docs/adr/0009-idle-workers-report-seldom.md`).
const IDLE_TIMES: u32 = 5;

/// What a worker does now and has done.
#[derive(Default)]
pub(super) struct Activity {
    in_hand: Mutex<Slab<InHand>>,
    done: Mutex<[Done; Lane::ALL.len()]>,
    heads: AtomicUsize,
    /// When the oldest of them was published, in milliseconds since the Unix epoch.
    oldest_head_ms: AtomicI64,
    outside: Mutex<Outside>,
}

/// What a stage knows of an outside service that it asks.
#[derive(Clone, Default)]
pub(super) struct Outside {
    /// Requests that failed in a row.
    pub(super) failures: u32,
    /// What it allows, and what was used of that.
    pub(super) quota: Quota,
}

/// A unit that is worked on.
struct InHand {
    video: VideoId,
    unit: Arc<str>,
    lane: Lane,
    since: Instant,
}

#[derive(Clone, Copy, Default)]
struct Done {
    units: u64,
    busy: Duration,
    media_s: f64,
}

impl Activity {
    /// Notes that a unit is worked on until the result is dropped.
    pub(super) fn begin(self: &Arc<Self>, video: VideoId, unit: &Arc<str>, lane: Lane) -> Begun {
        let since = Instant::now();
        let number = self.lock().insert(InHand { video, unit: unit.clone(), lane, since });
        Begun { activity: self.clone(), number, lane, since }
    }

    /// Notes how many records are looked at ahead, and when the oldest of them was published.
    pub(super) fn set_heads(&self, count: usize, oldest_ms: Option<i64>) {
        self.heads.store(count, Ordering::Relaxed);
        self.oldest_head_ms.store(oldest_ms.unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Notes how the outside service is that the stage asks.
    pub(super) fn set_outside(&self, outside: Outside) {
        *self.outside.lock().unwrap_or_else(PoisonError::into_inner) = outside;
    }

    /// Returns how many units are worked on.
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    fn units(&self) -> Vec<UnitInHand> {
        let told = |unit: &InHand| UnitInHand {
            video: unit.video.to_string(),
            unit: unit.unit.to_string(),
            lane: unit.lane as i32,
            age_ms: unit.since.elapsed().as_millis() as u64,
        };
        self.lock().iter().map(|(_, unit)| told(unit)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Slab<InHand>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A unit worked on now.
pub(super) struct Begun {
    activity: Arc<Activity>,
    number: usize,
    lane: Lane,
    since: Instant,
}

impl Begun {
    /// Returns for how long.
    pub(super) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Counts it as finished work.
    pub(super) fn done(self, media: MediaTime) {
        let mut of_lanes = self.activity.done.lock().unwrap_or_else(PoisonError::into_inner);
        let done = &mut of_lanes[self.lane.index()];
        done.units += 1;
        done.busy += self.since.elapsed();
        done.media_s += media.as_us() as f64 / 1e6;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.activity.lock().remove(self.number);
    }
}

/// Whether a worker can do its work; to be asked by `/readyz`. Cheap to clone.
#[derive(Clone, Default)]
pub struct Readiness(Arc<OnceLock<Started>>);

struct Started {
    assignments: watch::Receiver<u64>,
    producer: Producer,
    breaker: Arc<Breaker>,
}

impl Readiness {
    pub(super) fn start(&self, consumer: &Consumer, producer: &Producer, breaker: &Arc<Breaker>) {
        let (producer, breaker) = (producer.clone(), breaker.clone());
        // A worker is started once; a second start of the same one would be told by its own readiness.
        let _ = self.0.set(Started { assignments: consumer.assignments(), producer, breaker });
    }

    /// Says whether the worker has joined its group.
    ///
    /// # Errors
    /// When it has not.
    pub fn group(&self) -> Result<(), String> {
        let started = self.started()?;
        if *started.assignments.borrow() > 0 { Ok(()) } else { Err("joining its group".to_owned()) }
    }

    /// Says whether records can be published.
    ///
    /// # Errors
    /// Why not.
    pub fn producer(&self) -> Result<(), String> {
        self.started()?.producer.serves()
    }

    /// Says whether the dependencies of the stage answer.
    ///
    /// # Errors
    /// Which one does not.
    pub fn breaker(&self) -> Result<(), String> {
        self.started()?.breaker.closed()
    }

    fn started(&self) -> Result<&Started, String> {
        self.0.get().ok_or_else(|| "starting".to_owned())
    }
}

/// Who reports, and what is seen.
pub(super) struct Reporter {
    stage: StageName,
    worker: String,
    /// Between heartbeats of a worker that has work, or whose state changed.
    every: Duration,
    slots: Arc<Slots>,
    topics: HashMap<String, Lane>,
    consumer: Arc<Consumer>,
    producer: Producer,
    breaker: Arc<Breaker>,
    activity: Arc<Activity>,
    stop: CancellationToken,
    /// What was sent and is not acknowledged. While the broker is away reports do not pile up.
    sent: Batch,
}

impl Reporter {
    /// Will report what the worker of `shop` does, which reads `topics`.
    pub(super) fn new<S: Stage>(shop: &Shop<S>, consumer: &Arc<Consumer>, topics: HashMap<String, Lane>) -> Self {
        Self {
            stage: S::NAME,
            worker: shop.worker.clone(),
            every: shop.args.report_every,
            slots: shop.slots.clone(),
            topics,
            consumer: consumer.clone(),
            producer: shop.producer.clone(),
            breaker: shop.breaker.clone(),
            activity: shop.activity.clone(),
            stop: shop.stop.clone(),
            sent: Batch::default(),
        }
    }

    /// Reports for ever.
    ///
    /// # Errors
    /// When the producer can never publish again: the process must start anew.
    pub(super) async fn run(&self) -> Result<()> {
        let mut seconds = tokio::time::interval(self.every);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said: Option<(WorkerReport, Instant)> = None;
        let mut is_draining = false;
        loop {
            tokio::select! {
                _ = seconds.tick() => {}
                // That it drains is said at once.
                () = self.stop.cancelled(), if !is_draining => is_draining = true,
            }
            if let Some(why) = self.producer.broken() {
                bail!("the producer cannot go on: {why}");
            }
            self.set_gauges();
            if self.sent.outstanding() > 0 {
                continue;
            }
            let report = self.report();
            if said
                .as_ref()
                .is_some_and(|(said, at)| at.elapsed() < IDLE_TIMES * self.every && is_idle_as_before(&report, said))
            {
                continue;
            }
            self.send(&report).await;
            said = Some((report, Instant::now()));
        }
    }

    /// Says what the worker came to, once nothing is in its hands: others count what it has done by it.
    pub(super) async fn last_word(&self) {
        if self.sent.outstanding() == 0 {
            self.send(&self.report()).await;
        }
    }

    async fn send(&self, report: &WorkerReport) {
        let (body, headers) = (report.encode_to_vec(), Headers::default());
        let key = Some(self.worker.as_bytes());
        let (topic, lane) = (Topic::WorkerReport, Lane::Standard);
        let post = Post { topic, lane, key, video: None, headers: &headers, body: &body };
        if let Err(error) = self.producer.post(post, &self.sent).await {
            debug!(error = format!("{:#}", anyhow::Error::from(error)), "heartbeat not sent");
        }
    }

    fn set_gauges(&self) {
        metrics::set_in_flight(self.stage, self.activity.count());
        metrics::set_breaker_open(self.stage, self.breaker.closed().is_err());
        for (topic, lag) in self.consumer.lag() {
            if let Some(lane) = self.topics.get(&topic) {
                metrics::set_lag(self.stage, *lane, lag);
            }
        }
    }

    fn report(&self) -> WorkerReport {
        let now_ms = Timestamp::now().as_millisecond();
        let done = *self.activity.done.lock().unwrap_or_else(PoisonError::into_inner);
        let units = self.activity.units();
        let (slots, starting) = self.slots.count();
        let outside = self.activity.outside.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let oldest_ms = self.activity.oldest_head_ms.load(Ordering::Relaxed);
        WorkerReport {
            worker: self.worker.clone(),
            stage: self.stage as i32,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at_ms: now_ms,
            state: self.state() as i32,
            slots,
            busy: units.len() as u32,
            queued: (self.consumer.queued() + self.activity.heads.load(Ordering::Relaxed)) as u32,
            head_age_ms: now_ms.saturating_sub(oldest_ms).max(0) as u64,
            done_total: done.iter().map(|of_lane| of_lane.units).sum(),
            busy_seconds_total: done.iter().map(|of_lane| of_lane.busy).sum::<Duration>().as_secs_f64(),
            work_media_s_total: done.iter().map(|of_lane| of_lane.media_s).sum(),
            memory_bytes: memory::resident_bytes(None).unwrap_or(0),
            units,
            pid: std::process::id(),
            outside_failures: outside.failures,
            outside_quota_left: outside.quota.left,
            outside_quota_used: outside.quota.sent.map(|sent| sent.within_hour(Timestamp::now())),
            outside_quota_limit: outside.quota.limit,
            paused_for: self.breaker.closed().err().map(bounded).unwrap_or_default(),
            slots_starting_ms: starting.iter().map(|left| left.as_millis() as u32).collect(),
            done_of: Lane::ALL.into_iter().zip(done).filter_map(done_of).collect(),
        }
    }

    fn state(&self) -> WorkerState {
        if self.stop.is_cancelled() {
            return WorkerState::Draining;
        }
        if *self.consumer.assignments().borrow() == 0 {
            return WorkerState::Starting;
        }
        if self.breaker.closed().is_err() { WorkerState::Paused } else { WorkerState::Ready }
    }
}

/// Tells what was done of a lane, if something was.
fn done_of((lane, done): (Lane, Done)) -> Option<LaneDone> {
    let told = LaneDone {
        lane: lane as i32,
        done_total: done.units,
        busy_seconds_total: done.busy.as_secs_f64(),
        work_media_s_total: done.media_s,
    };
    (done.units > 0).then_some(told)
}

/// Says whether a worker has nothing to do and had nothing to do when it said `before`.
fn is_idle_as_before(now: &WorkerReport, before: &WorkerReport) -> bool {
    let idle = |report: &WorkerReport| report.busy == 0 && report.queued == 0;
    let says = |report: &WorkerReport| (report.state, report.done_total, report.slots, report.slots_starting_ms.len());
    idle(now) && idle(before) && says(now) == says(before)
}

/// Returns which topic of a family is which lane.
pub(super) fn lanes_of(brokers: &BrokerArgs, topic: Topic) -> HashMap<String, Lane> {
    let lanes = if topic.spec().laned { &Lane::ALL[..] } else { &[Lane::Standard] };
    lanes.iter().map(|lane| (brokers.topic_name(topic, *lane), *lane)).collect()
}
