//! One simulated stage: a queue a lane, a pool of workers, and what is counted of both.

use std::collections::VecDeque;
use std::time::Duration;

use pipeline::lane::Lane;
use pipeline::runner::{RunnerArgs, Turns};

use super::flow::{Flow, StageSpec};
use super::outcome::StageOutcome;
use super::pool::Pool;
use crate::observation::{self, Starting};

pub(super) const LANES: usize = Lane::ALL.len();

/// A unit that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    pub(super) arrived_at: f64,
    pub(super) video: u32,
    pub(super) service_s: f32,
}

/// A unit that begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    pub(super) unit: Unit,
    pub(super) lane: u8,
    pub(super) worker: u32,
}

/// A stage's queues, workers and counts.
pub(super) struct Stage {
    queues: [VecDeque<Unit>; LANES],
    waiting: u32,
    in_work: [u32; LANES],
    /// Most units of a lane at once: its partitions' slots.
    most_in_work: u32,
    arrived: [u64; LANES],
    done: [u64; LANES],
    turns: Turns,
    pub(super) pool: Pool,
    busy_s: [f64; LANES],
    media_s: [f64; LANES],
    quota_left: Option<f64>,
    pub(super) outcome: StageOutcome,
}

impl Stage {
    pub(super) fn new(spec: &StageSpec) -> Self {
        Self {
            queues: Default::default(),
            waiting: 0,
            in_work: [0; LANES],
            most_in_work: spec.partitions.saturating_mul(spec.slots_per_worker),
            arrived: [0; LANES],
            done: [0; LANES],
            turns: Turns::new(&RunnerArgs::default()),
            pool: Pool::new(spec.slots_per_worker.max(1)),
            busy_s: [0.0; LANES],
            media_s: [0.0; LANES],
            quota_left: spec.quota_per_hour,
            outcome: StageOutcome { slots_per_worker: spec.slots_per_worker, ..StageOutcome::default() },
        }
    }

    pub(super) fn enqueue(&mut self, lane: usize, unit: Unit) {
        self.queues[lane].push_back(unit);
        self.arrived[lane] += 1;
        self.waiting += 1;
    }

    /// Takes the unit whose turn it is and a slot for it, if there are both.
    pub(super) fn begin(&mut self, now: f64) -> Option<Begun> {
        if self.waiting == 0 || self.quota_left.is_some_and(|left| left < 1.0) || !self.pool.has_free() {
            return None;
        }
        let waited = std::array::from_fn(|lane| {
            let head = self.queues[lane].front().filter(|_| self.in_work[lane] < self.most_in_work)?;
            Some(Duration::from_secs_f64((now - head.arrived_at).max(0.0)))
        });
        let lane = self.turns.choose(waited)?.index();
        let worker = self.pool.take()?;
        let unit = self.queues[lane].pop_front()?;
        self.waiting -= 1;
        self.in_work[lane] += 1;
        self.outcome.peak_in_work = self.outcome.peak_in_work.max(self.in_work[lane]);
        if let Some(left) = &mut self.quota_left {
            *left -= 1.0;
        }
        self.outcome.waits_s.push((now - unit.arrived_at) as f32);
        Some(Begun { unit, lane: lane as u8, worker })
    }

    /// Counts a unit that stood for `media_s` seconds as done.
    pub(super) fn done(&mut self, now: f64, worker: u32, lane: usize, service_s: f64, media_s: f64) {
        self.pool.give(now, worker);
        self.in_work[lane] -= 1;
        self.done[lane] += 1;
        self.busy_s[lane] += service_s;
        self.media_s[lane] += media_s;
    }

    /// An hour of the outside API begins.
    pub(super) fn refill(&mut self, spec: &StageSpec) {
        self.quota_left = spec.quota_per_hour;
    }

    pub(super) fn note_backlog(&mut self, now: f64) {
        self.outcome.backlog.push((now, self.waiting));
    }

    /// Units that were never begun.
    pub(super) fn left(&self) -> impl Iterator<Item = &Unit> {
        self.queues.iter().flatten()
    }

    /// Makes the observation of a stage that has `lanes`, with all that never changes.
    pub(super) fn described(flow: &Flow, spec: &StageSpec, lanes: &[Lane]) -> observation::Stage {
        let lane = |lane: &Lane| observation::Lane {
            lane: lane.to_string(),
            partitions: spec.partitions,
            ..observation::Lane::default()
        };
        observation::Stage {
            stage: spec.name.clone(),
            lanes: lanes.iter().map(lane).collect(),
            min_replicas: spec.min_replicas,
            max_replicas: spec.max_replicas,
            slots_per_worker: spec.slots_per_worker,
            wait_slo_s: spec.wait_slo_s,
            cost_per_worker_hour: Some(spec.cost_per_worker_hour),
            fed_by: Some(spec.after.iter().map(|before| flow.stages[*before].name.clone()).collect()),
            ..observation::Stage::default()
        }
    }

    /// Writes what changes into `seen`: no tick takes memory of its own.
    pub(super) fn observe(&self, now: f64, lanes: &[Lane], seen: &mut observation::Stage) {
        for (lane, seen) in lanes.iter().map(|lane| lane.index()).zip(&mut seen.lanes) {
            seen.end_offset_total = self.arrived[lane] as f64;
            seen.committed_total = self.done[lane] as f64;
            seen.arrived_total = self.arrived[lane] as f64;
            seen.done_total = self.done[lane] as f64;
            seen.busy_seconds_total = self.busy_s[lane];
            seen.work_done_media_s_total = self.media_s[lane];
            seen.head_age_s = self.queues[lane].front().map_or(0.0, |unit| now - unit.arrived_at);
        }
        let replicas = self.pool.replicas();
        let workers = &mut seen.workers;
        workers.starting.clear();
        workers.starting.extend(self.pool.starting().map(|at| Starting { ready_in_s: (at - now).max(0.0) }));
        workers.ready = replicas - workers.starting.len() as u32;
        workers.busy = self.pool.busy_workers();
        workers.draining = self.pool.draining();
        seen.replicas = replicas;
        seen.slots_busy = f64::from(self.pool.busy_slots());
        seen.done_total = self.done.iter().sum::<u64>() as f64;
        seen.busy_seconds_total = self.busy_s.iter().sum();
        seen.work_done_media_s_total = self.media_s.iter().sum();
        seen.quota_left = self.quota_left;
    }
}
