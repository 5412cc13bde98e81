//! The simulation itself: events in the order of time move units through the stages.

use pipeline::lane::Lane;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64Mcg;

use super::event::{Events, What};
use super::flow::Flow;
use super::load::Load;
use super::outcome::{First, Outcome, VideoOutcome};
use super::scaler::Scaler;
use super::stage::{Stage, Unit};
use crate::observation::Observation;

/// A stage has not been given a video's units yet.
const NOT_YET: u32 = u32::MAX;
const HOUR_S: f64 = 3600.0;

/// Runs `load` through `flow` for `length_s` seconds, scaled by `scaler`.
///
/// Every stage starts with its fewest workers, ready. Service times depend on the load's seed, the video, the stage and
/// the unit alone: two policies meet the same work. Workers of a stage share its queues, so no worker is idle while a
/// partition that may still be read has a record; `split`'s pieces arrive when it is done, not while it reads.
pub fn run(flow: &Flow, load: &Load, scaler: &mut dyn Scaler, length_s: f64) -> Outcome {
    let mut engine = Engine::new(flow, load, length_s);
    engine.run(scaler, &|| false);
    engine.finish()
}

/// As [`run`], but gives up and returns nothing once `stop` says so, which is asked at each decision.
pub fn run_until(
    flow: &Flow,
    load: &Load,
    scaler: &mut dyn Scaler,
    length_s: f64,
    stop: &dyn Fn() -> bool,
) -> Option<Outcome> {
    let mut engine = Engine::new(flow, load, length_s);
    engine.run(scaler, stop).then(|| engine.finish())
}

struct Engine<'a> {
    flow: &'a Flow,
    load: &'a Load,
    length_s: f64,
    now: f64,
    events: Events,
    stages: Vec<Stage>,
    /// Units that are not done, by video and stage.
    left: Vec<u32>,
    /// The longest wait, by video and stage.
    waited_s: Vec<f32>,
    firsts: Vec<First>,
    videos: Vec<VideoOutcome>,
    next_video: usize,
    startups: Pcg64Mcg,
    lanes: Vec<Lane>,
    seen: Observation,
}

impl<'a> Engine<'a> {
    fn new(flow: &'a Flow, load: &'a Load, length_s: f64) -> Self {
        let mut lanes: Vec<Lane> = Lane::ALL.into_iter().filter(|l| load.videos.iter().any(|v| v.lane == *l)).collect();
        if lanes.is_empty() {
            lanes.push(Lane::Standard);
        }
        let videos = load.videos.iter().map(|v| VideoOutcome { arrived_at: v.arrives_at, ..Default::default() });
        let places = load.videos.len() * flow.stages.len();
        let described = flow.stages.iter().map(|spec| Stage::described(flow, spec, &lanes)).collect();
        let seen = Observation { stages: described, budget_per_hour: flow.budget_per_hour, ..Observation::default() };
        Self {
            flow,
            load,
            length_s,
            now: 0.0,
            events: Events::default(),
            stages: flow.stages.iter().map(Stage::new).collect(),
            left: vec![NOT_YET; places],
            waited_s: vec![0.0; places],
            firsts: vec![First::default(); places],
            videos: videos.collect(),
            next_video: 0,
            startups: Pcg64Mcg::seed_from_u64(load.seed ^ 0x5eed),
            lanes,
            seen,
        }
    }

    /// Returns whether it came to its end.
    fn run(&mut self, scaler: &mut dyn Scaler, stop: &dyn Fn() -> bool) -> bool {
        for (stage, spec) in self.stages.iter_mut().zip(&self.flow.stages) {
            for _ in 0..spec.min_replicas {
                let worker = stage.pool.ask(0.0, 0.0);
                stage.pool.ready(worker);
            }
        }
        self.events.push(0.0, What::Tick);
        if self.flow.stages.iter().any(|spec| spec.quota_per_hour.is_some()) {
            self.events.push(HOUR_S, What::Refill);
        }
        self.next_arrival();
        while let Some((at, what)) = self.events.pop() {
            if at > self.length_s {
                break;
            }
            self.now = at;
            match what {
                What::Arrive { video } => {
                    self.pass_on(video);
                    self.next_arrival();
                }
                What::Ready { stage, worker } => {
                    self.stages[stage as usize].pool.ready(worker);
                    self.begin(stage as usize);
                }
                What::Finish { stage, worker, lane, video, service_s } => {
                    self.unit_done(stage as usize, worker, usize::from(lane), video, service_s);
                }
                What::Refill => self.refill(),
                What::Tick => {
                    if stop() {
                        return false;
                    }
                    self.tick(scaler);
                    self.events.push(self.now + self.flow.tick_s, What::Tick);
                }
            }
        }
        self.now = self.length_s;
        true
    }

    /// Puts the next video's arrival among the events: one at a time keeps the heap small.
    fn next_arrival(&mut self) {
        if let Some(video) = self.load.videos.get(self.next_video) {
            let number = self.next_video as u32;
            self.next_video += 1;
            self.events.push(video.arrives_at, What::Arrive { video: number });
        }
    }

    fn place(&self, video: u32, stage: usize) -> usize {
        video as usize * self.flow.stages.len() + stage
    }

    /// Gives every stage whose predecessors are done with the video its units.
    fn pass_on(&mut self, video: u32) {
        let load = self.load;
        let described = &load.videos[video as usize];
        let kind = &load.kinds[described.kind];
        let lane = described.lane.index();
        let from = self.place(video, 0);
        for (index, spec) in self.flow.stages.iter().enumerate() {
            let left = &mut self.left[from..from + self.flow.stages.len()];
            let is_due = left[index] == NOT_YET && spec.after.iter().all(|s| left[*s] == 0);
            if !is_due {
                continue;
            }
            left[index] = kind.work[index].units;
            self.firsts[from + index].arrived_at = self.now;
            for service_s in load.services(video, index) {
                self.stages[index].enqueue(lane, Unit { arrived_at: self.now, video, service_s });
            }
            self.begin(index);
        }
        if self.left[from..from + self.flow.stages.len()].iter().all(|left| *left == 0) {
            self.videos[video as usize].done_at = Some(self.now);
        }
    }

    /// Begins what there are slots for.
    fn begin(&mut self, index: usize) {
        let now = self.now;
        while let Some(begun) = self.stages[index].begin(now) {
            let Unit { arrived_at, video, service_s } = begun.unit;
            let place = self.place(video, index);
            self.waited_s[place] = self.waited_s[place].max((now - arrived_at) as f32);
            self.firsts[place].begun_at = self.firsts[place].begun_at.min(now);
            let lasts_s = f64::from(service_s);
            self.stages[index].outcome.busy_s += lasts_s.min(self.length_s - now);
            let (stage, lane, worker) = (index as u16, begun.lane, begun.worker);
            self.events.push(now + lasts_s, What::Finish { stage, worker, lane, video, service_s });
        }
    }

    fn unit_done(&mut self, index: usize, worker: u32, lane: usize, video: u32, service_s: f32) {
        let kind = &self.load.kinds[self.load.videos[video as usize].kind];
        let media_s = kind.media_s / f64::from(kind.work[index].units.max(1));
        self.stages[index].done(self.now, worker, lane, f64::from(service_s), media_s);
        let place = self.place(video, index);
        self.left[place] -= 1;
        let is_last = self.left[place] == 0;
        self.begin(index);
        if is_last {
            self.pass_on(video);
        }
    }

    fn refill(&mut self) {
        for index in 0..self.stages.len() {
            self.stages[index].refill(&self.flow.stages[index]);
            self.begin(index);
        }
        self.events.push(self.now + HOUR_S, What::Refill);
    }

    fn tick(&mut self, scaler: &mut dyn Scaler) {
        self.seen.at = self.now;
        for (stage, seen) in self.stages.iter_mut().zip(&mut self.seen.stages) {
            stage.note_backlog(self.now);
            stage.observe(self.now, &self.lanes, seen);
        }
        let wanted = scaler.scale(&self.seen);
        for (index, spec) in self.flow.stages.iter().enumerate() {
            let Some(target) = wanted.get(index) else { continue };
            let target = (*target).clamp(spec.min_replicas, spec.max_replicas);
            let stage = &mut self.stages[index];
            let current = stage.pool.replicas();
            stage.outcome.peak_replicas = stage.outcome.peak_replicas.max(target);
            if target != current {
                stage.outcome.changes += 1;
                stage.outcome.scales.push((self.now, target));
            }
            if target < current {
                stage.pool.shrink(self.now, target);
            }
            for _ in current..target {
                let startup_s = spec.startup.draw(StandardNormal.sample(&mut self.startups));
                stage.outcome.started += 1;
                let worker = stage.pool.ask(self.now, self.now + startup_s);
                self.events.push(self.now + startup_s, What::Ready { stage: index as u16, worker });
            }
        }
    }

    fn finish(mut self) -> Outcome {
        let length_s = self.length_s;
        for (index, stage) in self.stages.iter_mut().enumerate() {
            let mut unbegun = Vec::new();
            for unit in stage.left() {
                let wait_s = (length_s - unit.arrived_at) as f32;
                unbegun.push(wait_s);
                let waited_s = &mut self.waited_s[unit.video as usize * self.flow.stages.len() + index];
                *waited_s = waited_s.max(wait_s);
            }
            stage.outcome.unbegun_waits_s = unbegun;
            stage.outcome.paid_s = stage.pool.paid_s(length_s);
        }
        for (video, waited_s) in self.videos.iter_mut().zip(self.waited_s.chunks(self.flow.stages.len().max(1))) {
            video.waited_s = waited_s.iter().map(|wait_s| f64::from(*wait_s)).sum();
        }
        let stages = self.stages.into_iter().map(|stage| stage.outcome).collect();
        Outcome { stages, videos: self.videos, firsts: self.firsts, length_s }
    }
}
