//! The simulation itself: a heap of events, a queue a lane, a pool of workers a stage.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use pipeline::lane::Lane;
use pipeline::runner::{RunnerArgs, Turns};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64Mcg;

use super::flow::{Flow, StageSpec};
use super::load::Load;
use super::outcome::{Outcome, StageOutcome, VideoOutcome};
use super::pool::Pool;
use super::scaler::Scaler;
use crate::observation::{self, Observation, Starting, Workers};

const LANES: usize = Lane::ALL.len();

/// Runs `load` through `flow` for `length_s` seconds, scaled by `scaler`.
///
/// Every stage starts with its fewest workers, ready. Service times depend on the load's seed, the video, the stage and
/// the unit alone: two policies meet the same work.
pub fn run(flow: &Flow, load: &Load, scaler: &mut dyn Scaler, length_s: f64) -> Outcome {
    let mut engine = Engine::new(flow, load, length_s);
    engine.run(scaler);
    engine.finish()
}

#[derive(Clone, Copy, Debug)]
enum What {
    Arrive { video: u32 },
    Ready { stage: u16, worker: u32 },
    Finish { stage: u16, worker: u32, lane: u8, video: u32, service_s: f32 },
    Tick,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    at: f64,
    /// Of equal times the earlier made comes first.
    order: u64,
    what: What,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Event {}
impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Event {
    /// The earliest is the greatest, since the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.total_cmp(&self.at).then(other.order.cmp(&self.order))
    }
}

/// A unit that waits.
#[derive(Clone, Copy, Debug)]
struct Unit {
    arrived_at: f64,
    video: u32,
    service_s: f32,
}

/// A stage's queues, workers and counts.
struct Stage {
    queues: [VecDeque<Unit>; LANES],
    in_work: [u32; LANES],
    arrived: [u64; LANES],
    done: [u64; LANES],
    lanes: Vec<Lane>,
    turns: Turns,
    pool: Pool,
    busy_seconds_done: f64,
    media_done_s: f64,
    outcome: StageOutcome,
}

/// How far a video is.
#[derive(Clone, Debug)]
struct Progress {
    /// Units at each stage that are not done; `None` before they arrived.
    left: Vec<Option<u32>>,
    /// Its longest wait at each stage.
    waited_s: Vec<f32>,
}

struct Engine<'a> {
    flow: &'a Flow,
    load: &'a Load,
    length_s: f64,
    now: f64,
    events: BinaryHeap<Event>,
    made: u64,
    stages: Vec<Stage>,
    progress: Vec<Option<Progress>>,
    videos: Vec<VideoOutcome>,
    next_video: usize,
    startups: Pcg64Mcg,
}

impl<'a> Engine<'a> {
    fn new(flow: &'a Flow, load: &'a Load, length_s: f64) -> Self {
        let mut lanes: Vec<Lane> = Lane::ALL.into_iter().filter(|l| load.videos.iter().any(|v| v.lane == *l)).collect();
        if lanes.is_empty() {
            lanes.push(Lane::Standard);
        }
        let stages = flow.stages.iter().map(|spec| Stage::new(spec, &lanes)).collect();
        let videos =
            load.videos.iter().map(|v| VideoOutcome { arrived_at: v.arrives_at, ..Default::default() }).collect();
        Self {
            flow,
            load,
            length_s,
            now: 0.0,
            events: BinaryHeap::new(),
            made: 0,
            stages,
            progress: vec![None; load.videos.len()],
            videos,
            next_video: 0,
            startups: Pcg64Mcg::seed_from_u64(load.seed ^ 0x5eed),
        }
    }

    fn push(&mut self, at: f64, what: What) {
        self.made += 1;
        self.events.push(Event { at, order: self.made, what });
    }

    fn run(&mut self, scaler: &mut dyn Scaler) {
        for (stage, spec) in self.flow.stages.iter().enumerate() {
            for _ in 0..spec.min_replicas {
                let worker = self.stages[stage].pool.ask(0.0, 0.0);
                self.stages[stage].pool.ready(worker);
            }
        }
        self.push(0.0, What::Tick);
        self.next_arrival();
        while let Some(event) = self.events.pop() {
            if event.at > self.length_s {
                break;
            }
            self.now = event.at;
            match event.what {
                What::Arrive { video } => {
                    self.arrive(video);
                    self.next_arrival();
                }
                What::Ready { stage, worker } => {
                    self.stages[stage as usize].pool.ready(worker);
                    self.begin(stage as usize);
                }
                What::Finish { stage, worker, lane, video, service_s } => {
                    self.unit_done(stage as usize, worker, usize::from(lane), video, service_s);
                }
                What::Tick => {
                    self.tick(scaler);
                    self.push(self.now + self.flow.tick_s, What::Tick);
                }
            }
        }
        self.now = self.length_s;
    }

    /// Puts the next video's arrival among the events: one at a time keeps the heap small.
    fn next_arrival(&mut self) {
        if let Some(video) = self.load.videos.get(self.next_video) {
            let number = self.next_video as u32;
            self.next_video += 1;
            self.push(video.arrives_at, What::Arrive { video: number });
        }
    }

    fn arrive(&mut self, video: u32) {
        let stages = self.flow.stages.len();
        self.progress[video as usize] = Some(Progress { left: vec![None; stages], waited_s: vec![0.0; stages] });
        self.pass_on(video);
    }

    /// Gives every stage whose predecessors are done with the video its units.
    fn pass_on(&mut self, video: u32) {
        let load = self.load;
        let described = &load.videos[video as usize];
        let kind = &load.kinds[described.kind];
        let lane = described.lane.index();
        for (index, spec) in self.flow.stages.iter().enumerate() {
            let Some(progress) = &mut self.progress[video as usize] else { return };
            let is_due = progress.left[index].is_none() && spec.after.iter().all(|s| progress.left[*s] == Some(0));
            if !is_due {
                continue;
            }
            let work = kind.work[index];
            progress.left[index] = Some(work.units);
            let seed = load.seed ^ (u64::from(video) << 8 | index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut rng = Pcg64Mcg::seed_from_u64(seed);
            let stage = &mut self.stages[index];
            for _ in 0..work.units {
                let service_s = work.service.draw(StandardNormal.sample(&mut rng)) as f32;
                stage.queues[lane].push_back(Unit { arrived_at: self.now, video, service_s });
                stage.arrived[lane] += 1;
            }
            self.begin(index);
        }
        let progress = &self.progress[video as usize];
        if progress.as_ref().is_some_and(|p| p.left.iter().all(|left| *left == Some(0))) {
            let progress = self.progress[video as usize].take();
            let outcome = &mut self.videos[video as usize];
            outcome.done_at = Some(self.now);
            outcome.waited_s = progress.map_or(0.0, |p| p.waited_s.iter().map(|w| f64::from(*w)).sum());
        }
    }

    /// Begins what there are slots for.
    fn begin(&mut self, index: usize) {
        let spec = &self.flow.stages[index];
        let cap = spec.partitions.saturating_mul(spec.slots_per_worker);
        loop {
            let now = self.now;
            let stage = &mut self.stages[index];
            let waited = std::array::from_fn(|lane| {
                let head = stage.queues[lane].front().filter(|_| stage.in_work[lane] < cap)?;
                Some(Duration::from_secs_f64((now - head.arrived_at).max(0.0)))
            });
            if waited.iter().all(Option::is_none) {
                return;
            }
            let Some(worker) = stage.pool.take() else { return };
            let Some(lane) = stage.turns.choose(waited).map(Lane::index) else { return };
            let Some(unit) = stage.queues[lane].pop_front() else { return };
            stage.in_work[lane] += 1;
            let wait_s = (now - unit.arrived_at) as f32;
            stage.outcome.waits_s.push(wait_s);
            let service_s = f64::from(unit.service_s);
            stage.outcome.busy_s += service_s.min(self.length_s - now);
            if let Some(progress) = &mut self.progress[unit.video as usize] {
                progress.waited_s[index] = progress.waited_s[index].max(wait_s);
            }
            let (stage, lane, video) = (index as u16, lane as u8, unit.video);
            self.push(now + service_s, What::Finish { stage, worker, lane, video, service_s: unit.service_s });
        }
    }

    fn unit_done(&mut self, index: usize, worker: u32, lane: usize, video: u32, service_s: f32) {
        let kind = &self.load.kinds[self.load.videos[video as usize].kind];
        let stage = &mut self.stages[index];
        stage.pool.give(self.now, worker);
        stage.in_work[lane] -= 1;
        stage.done[lane] += 1;
        stage.busy_seconds_done += f64::from(service_s);
        stage.media_done_s += kind.media_s / f64::from(kind.work[index].units.max(1));
        let left = self.progress[video as usize].as_mut().and_then(|progress| progress.left[index].as_mut());
        let is_last = left.is_some_and(|left| {
            *left -= 1;
            *left == 0
        });
        self.begin(index);
        if is_last {
            self.pass_on(video);
        }
    }

    fn tick(&mut self, scaler: &mut dyn Scaler) {
        let seen = self.observe();
        let wanted = scaler.scale(&seen);
        for (index, spec) in self.flow.stages.iter().enumerate() {
            let Some(target) = wanted.get(index) else { continue };
            let target = (*target).clamp(spec.min_replicas, spec.max_replicas);
            let stage = &mut self.stages[index];
            let current = stage.pool.replicas();
            stage.outcome.peak_replicas = stage.outcome.peak_replicas.max(target);
            if target != current {
                stage.pool.changes += 1;
                stage.outcome.scales.push((self.now, target));
            }
            if target < current {
                stage.pool.shrink(self.now, target);
            }
            for _ in current..target {
                let startup_s = spec.startup.draw(StandardNormal.sample(&mut self.startups));
                self.stages[index].outcome.started += 1;
                let worker = self.stages[index].pool.ask(self.now, self.now + startup_s);
                self.push(self.now + startup_s, What::Ready { stage: index as u16, worker });
            }
        }
    }

    fn observe(&mut self) -> Observation {
        let now = self.now;
        let stages = self.stages.iter_mut().zip(&self.flow.stages);
        let stages = stages.map(|(stage, spec)| {
            let waiting = stage.queues.iter().map(VecDeque::len).sum::<usize>();
            stage.outcome.backlog.push((now, waiting as u32));
            stage.observe(spec, now)
        });
        Observation { at: now, stages: stages.collect(), ..Observation::default() }
    }

    fn finish(self) -> Outcome {
        let length_s = self.length_s;
        let stages = self.stages.into_iter().zip(&self.flow.stages).map(|(stage, spec)| {
            let mut outcome = stage.outcome;
            let left = stage.queues.iter().flatten();
            outcome.unbegun_waits_s = left.map(|unit| (length_s - unit.arrived_at) as f32).collect();
            outcome.paid_s = stage.pool.paid_s(length_s);
            outcome.changes = stage.pool.changes;
            outcome.slots_per_worker = spec.slots_per_worker;
            outcome
        });
        Outcome { stages: stages.collect(), videos: self.videos, length_s }
    }
}

impl Stage {
    fn new(spec: &StageSpec, lanes: &[Lane]) -> Self {
        Self {
            queues: Default::default(),
            in_work: [0; LANES],
            arrived: [0; LANES],
            done: [0; LANES],
            lanes: lanes.to_vec(),
            turns: Turns::new(&RunnerArgs::default()),
            pool: Pool::new(spec.slots_per_worker.max(1)),
            busy_seconds_done: 0.0,
            media_done_s: 0.0,
            outcome: StageOutcome::default(),
        }
    }

    fn observe(&self, spec: &StageSpec, now: f64) -> observation::Stage {
        let lanes = self.lanes.iter().map(|lane| {
            let index = lane.index();
            let head = self.queues[index].front();
            observation::Lane {
                lane: lane.to_string(),
                partitions: spec.partitions,
                end_offset_total: self.arrived[index] as f64,
                committed_total: self.done[index] as f64,
                arrived_total: self.arrived[index] as f64,
                head_age_s: head.map_or(0.0, |unit| now - unit.arrived_at),
            }
        });
        let starting: Vec<Starting> =
            self.pool.starting().map(|at| Starting { ready_in_s: (at - now).max(0.0) }).collect();
        let replicas = self.pool.replicas();
        let workers = Workers {
            ready: replicas - starting.len() as u32,
            busy: self.pool.busy_workers(),
            starting,
            draining: self.pool.draining(),
        };
        observation::Stage {
            stage: spec.name.clone(),
            lanes: lanes.collect(),
            workers,
            replicas,
            min_replicas: spec.min_replicas,
            max_replicas: spec.max_replicas,
            slots_per_worker: spec.slots_per_worker,
            slots_busy: f64::from(self.pool.busy_slots()),
            wait_slo_s: spec.wait_slo_s,
            done_total: self.done.iter().sum::<u64>() as f64,
            busy_seconds_total: self.busy_seconds_done,
            work_done_media_s_total: self.media_done_s,
            cost_per_worker_hour: Some(spec.cost_per_worker_hour),
            ..observation::Stage::default()
        }
    }
}
