//! Days and peaks, simulated under the policy and under its rivals.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;

use super::scenario::Scenario;
use super::system;
use crate::policy::Policy;
use crate::simulate::engine;
use crate::simulate::keda::{Keda, KedaScaler};
use crate::simulate::oracle::Oracle;
use crate::simulate::outcome::Outcome;
use crate::simulate::scaler::{Fixed, Planned, Scaler};

const HOUR_S: f64 = 3600.0;
const DAY_S: f64 = 24.0 * HOUR_S;
/// How long before the busiest hour its simulation begins, so that workers are there as they would be.
const BEFORE_S: f64 = HOUR_S;
/// How long after the start of the busiest hour it ends.
const AFTER_S: f64 = 2.0 * HOUR_S;

/// The share of each stage's wait target that the perfect forecast plans for: three stages lie before a video's first
/// segment, and their waits add up.
const FORESEEN: f64 = 0.8 / 3.0;

/// Who scales.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// This product's policy.
    Spillway,
    /// KEDA and the horizontal pod autoscaler with a lag threshold of 10 and all defaults.
    KedaDefault,
    /// The same with a threshold of 2, no rate limit and a down window of a minute: tuned by hand.
    KedaTuned,
    /// A policy that knows what will come.
    Perfect,
    /// The system that this one replaces.
    Old,
}

impl Scaling {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 5] = [Self::Spillway, Self::KedaDefault, Self::KedaTuned, Self::Perfect, Self::Old];

    /// Returns the name for tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spillway => "spillway",
            Self::KedaDefault => "KEDA, defaults",
            Self::KedaTuned => "KEDA, tuned",
            Self::Perfect => "perfect forecast",
            Self::Old => "old system",
        }
    }
}

/// A simulation to be made.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Job {
    /// Who scales.
    pub scaling: Scaling,
    /// What is drawn from.
    pub seed: u64,
    /// Which part of the time, in seconds.
    pub span: Span,
}

/// Which part of a scenario is simulated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Span {
    /// All of it.
    Whole,
    /// The busiest hour, from an hour before to an hour after.
    Peak,
}

/// What a simulation came to.
#[derive(Clone, Debug)]
pub struct Run {
    /// Which it was.
    pub job: Job,
    /// Where the busiest hour begins in it, in seconds.
    pub busiest_s: f64,
    /// So many pieces were simulated as one.
    pub grain: u32,
    /// What came of it.
    pub outcome: Outcome,
}

impl Run {
    /// Returns how long videos lay in queues until their first segment was begun, in seconds, of those that came in the
    /// busiest hour.
    pub fn queue_waits_s(&self) -> Vec<f64> {
        let waits = match self.job.scaling {
            Scaling::Old => self.outcome.queue_waits_s(&[], &[0]),
            _ => self.outcome.queue_waits_s(&system::BEFORE, &system::SEGMENTS),
        };
        self.of_busiest(waits)
    }

    /// Returns how long the first units of videos waited at the stage in place `stage`, in seconds, of those that came in the
    /// busiest hour.
    pub fn waits_at_s(&self, stage: usize) -> Vec<f64> {
        self.of_busiest(self.outcome.first_waits_s(stage))
    }

    /// Returns how long videos were worked on until their end, in seconds, of those that came in the busiest hour and were
    /// begun.
    pub fn processing_s(&self) -> Vec<f64> {
        self.of_busiest(self.outcome.processing_s()).into_iter().flatten().collect()
    }

    /// Returns the share of the busiest hour's videos that were not done when the simulation ended: what is told of their
    /// times is too short.
    pub fn unfinished(&self) -> f64 {
        let ends = self.of_busiest(self.outcome.videos.iter().map(|video| video.done_at).collect());
        ends.iter().filter(|done_at| done_at.is_none()).count() as f64 / ends.len().max(1) as f64
    }

    /// Returns the scale of all stages over time, from the start of the busiest hour: seconds and workers.
    pub fn workers(&self) -> Vec<(f64, f64)> {
        let mut now: Vec<f64> = vec![0.0; self.outcome.stages.len()];
        let all = self.outcome.stages.iter().enumerate();
        let mut changes: Vec<(f64, usize, u32)> =
            all.flat_map(|(place, stage)| stage.scales.iter().map(move |(at_s, to)| (*at_s, place, *to))).collect();
        changes.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut points: Vec<(f64, f64)> = Vec::new();
        for (at_s, place, to) in changes {
            now[place] = f64::from(to);
            let point = (at_s - self.busiest_s, now.iter().sum());
            match points.last_mut() {
                Some(last) if last.0 == point.0 => *last = point,
                _ => points.push(point),
            }
        }
        points
    }

    fn of_busiest<T>(&self, values: Vec<T>) -> Vec<T> {
        let hour = self.busiest_s..self.busiest_s + HOUR_S;
        let videos = self.outcome.videos.iter().zip(values);
        videos.filter(|(video, _)| hour.contains(&video.arrived_at)).map(|(_, value)| value).collect()
    }
}

/// How much is simulated, and by how much of the machine.
#[derive(Clone, Copy)]
pub struct Effort<'a> {
    /// How many times the busiest hour is simulated; the rivals get a fifth.
    pub seeds: u32,
    /// How many simulations go on at once.
    pub threads: usize,
    /// Says when to give up; asked at each decision of each simulation.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

impl Effort<'_> {
    /// Takes all cores and as long as it takes.
    pub fn all(seeds: u32) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { seeds, threads, stop: &|| false }
    }
}

/// Runs `jobs`; the results are in their order. Returns nothing if it was stopped.
pub fn run_all(scenario: &Scenario, jobs: &[Job], effort: &Effort<'_>) -> Option<Vec<Run>> {
    each(jobs, effort.threads, |job| run(scenario, *job, effort.stop))
}

/// Makes something of each of `items` on so many threads; the results are in their order. Returns nothing once one of them is
/// nothing.
pub(super) fn each<T, R>(items: &[T], threads: usize, make: impl Fn(&T) -> Option<R> + Sync) -> Option<Vec<R>>
where
    T: Sync,
    R: Send,
{
    let results: Mutex<Vec<(usize, R)>> = Mutex::default();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(place) else { return };
                    let Some(result) = make(item) else { return };
                    if let Ok(mut results) = results.lock() {
                        results.push((place, result));
                    }
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_by_key(|(place, _)| *place);
    (results.len() == items.len()).then(|| results.into_iter().map(|(_, result)| result).collect())
}

/// Makes one simulation. Returns nothing if it was stopped.
pub fn run(scenario: &Scenario, job: Job, stop: &dyn Fn() -> bool) -> Option<Run> {
    let busiest_s = scenario.arrivals.busiest_hour_s();
    let end_s = scenario.arrivals.length_s();
    let (from_s, until_s) = match job.span {
        Span::Whole => (0.0, end_s),
        Span::Peak => ((busiest_s - BEFORE_S).max(0.0), (busiest_s + AFTER_S).min(end_s)),
    };
    let length_s = until_s - from_s;
    let videos = scenario.arrivals.videos_per_day() * length_s / DAY_S + f64::from(scenario.arrivals.burst);
    let is_old = job.scaling == Scaling::Old;
    let grain = if is_old { 1 } else { system::grain(scenario, videos) };
    let (flow, load) = if is_old {
        (system::old_flow(scenario.machines.tick_s), system::old_load(scenario, (from_s, until_s), job.seed))
    } else {
        (system::flow(scenario), system::load(scenario, (from_s, until_s), job.seed, grain))
    };
    let keda = |keda: Keda| KedaScaler::grained(keda, system::stands_for(grain));
    let mut scaler: Box<dyn Scaler> = match job.scaling {
        Scaling::Spillway => Box::new(Planned::new(policy(scenario))),
        Scaling::KedaDefault => Box::new(keda(Keda::with_defaults(10.0))),
        Scaling::KedaTuned => Box::new(keda(Keda::fast(2.0))),
        Scaling::Perfect => Box::new(Oracle::within(&flow, &load, length_s, FORESEEN)),
        Scaling::Old => Box::new(Fixed(vec![system::OLD_WORKERS])),
    };
    // The old system's queue has no end within the hour: what is still there a day later waits for longer than is told.
    let simulated_s = if is_old { length_s + DAY_S } else { length_s };
    let outcome = engine::run_until(&flow, &load, scaler.as_mut(), simulated_s, stop)?;
    Some(Run { job, busiest_s: busiest_s - from_s, grain, outcome })
}

fn policy(scenario: &Scenario) -> Policy {
    let machines = &scenario.machines;
    Policy { tick_s: machines.tick_s, startup_s: machines.startup_s, ..Policy::default() }
}
