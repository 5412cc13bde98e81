//! A scaler that knows what will come: the limit of what a forecast can gain.
//!
//! With hindsight the work of each stage is a curve of slot-seconds over time. Work can be done once it has arrived, and
//! must be done so long after that its wait stays within the target: between these two curves the plan is a string pulled
//! tight, which starts the fewest workers and has the lowest peak of all plans that keep the target. Workers are asked
//! for a start-up time before the plan needs them. What a stage is done with arrives at the next, so that later stages
//! are planned as exactly. It is a plan of averages: single units may still wait longer, and the scale is whole workers.

use super::flow::{Flow, StageSpec};
use super::load::Load;
use super::scaler::Scaler;
use super::string::tight;
use crate::observation::{Observation, Stage};

/// The part of a wait target that [`Oracle::new`] plans for: the rest is for what averages hide.
const PLANNED: f64 = 0.8;
/// By how much a target is loosened until the peak fits within the most workers.
const LOOSENED: f64 = 1.25;

/// The plan.
#[derive(Clone, Debug)]
pub struct Oracle {
    tick_s: f64,
    stages: Vec<Planned>,
}

/// One stage's plan.
#[derive(Clone, Debug)]
struct Planned {
    /// Workers by tick.
    scale: Vec<u32>,
    /// Work that has arrived and is not done, by tick, in slot-seconds.
    left_s: Vec<f64>,
    /// The wait that it keeps to, in seconds.
    wait_s: f64,
    /// Mean time of a unit, in seconds.
    service_s: f64,
}

/// Work over time.
struct Curves {
    /// Work that has arrived by each tick, in slot-seconds.
    arrived: Vec<f64>,
    /// Work that is to be done by each tick.
    line: Vec<f64>,
    wait_s: f64,
    service_s: f64,
}

/// Work of one video at one stage.
#[derive(Clone, Copy, Debug)]
struct Piece {
    at_s: f64,
    video: u32,
    work_s: f64,
    longest_s: f64,
}

impl Oracle {
    /// Plans for all that `load` brings within `length_s` seconds.
    pub fn new(flow: &Flow, load: &Load, length_s: f64) -> Self {
        Self::within(flow, load, length_s, PLANNED)
    }

    /// Plans for waits at each stage within `share` of its target.
    pub fn within(flow: &Flow, load: &Load, length_s: f64, share: f64) -> Self {
        let ticks = (length_s / flow.tick_s).ceil() as usize + 1;
        let mut done_at: Vec<Vec<f64>> = Vec::new();
        let mut stages = Vec::new();
        for (stage, spec) in flow.stages.iter().enumerate() {
            let arrived_at = |video: usize| {
                let before = spec.after.iter().map(|earlier| done_at[*earlier][video]);
                before.fold(load.videos[video].arrives_at, f64::max)
            };
            let mut pieces: Vec<Piece> = (0..load.videos.len())
                .map(|video| {
                    let services = || load.services(video as u32, stage).map(f64::from);
                    let (work_s, longest_s) = (services().sum(), services().fold(0.0, f64::max));
                    Piece { at_s: arrived_at(video), video: video as u32, work_s, longest_s }
                })
                .collect();
            pieces.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
            let curves = plan(spec, &pieces, flow.tick_s, ticks, share);
            done_at.push(ends(&pieces, &curves.line, flow.tick_s, load.videos.len()));
            stages.push(Planned {
                scale: workers(spec, &curves.line, flow.tick_s),
                left_s: curves.arrived.iter().zip(&curves.line).map(|(arrived, done)| arrived - done).collect(),
                wait_s: curves.wait_s,
                service_s: curves.service_s,
            });
        }
        Self { tick_s: flow.tick_s, stages }
    }
}

impl Scaler for Oracle {
    fn scale(&mut self, seen: &Observation) -> Vec<u32> {
        let tick = (seen.at / self.tick_s).round() as usize;
        let planned = self.stages.iter().zip(&seen.stages);
        planned.map(|(stage, seen)| stage.scale(tick, seen)).collect()
    }
}

impl Planned {
    /// Returns the planned workers, and beside them those that work off what should no longer wait: partitions or a quota
    /// may have held it up.
    fn scale(&self, tick: usize, seen: &Stage) -> u32 {
        let planned = self.scale[tick.min(self.scale.len() - 1)];
        let slots = f64::from(seen.slots_per_worker.max(1));
        let lags = || seen.lanes.iter().map(|lane| (lane.lag_records() / slots, f64::from(lane.partitions)));
        let waiting_s = (lags().map(|(lag, _)| lag * slots).sum::<f64>() - seen.slots_busy).max(0.0) * self.service_s;
        let late_s = waiting_s - self.left_s[tick.min(self.left_s.len() - 1)].max(0.0);
        let behind = (late_s / self.wait_s / slots).max(0.0) as u32;
        // More workers than these have no partition to read.
        let useful = lags().map(|(lag, partitions)| lag.min(partitions)).sum::<f64>().ceil() as u32;
        planned + behind.min(useful.saturating_sub(planned))
    }
}

/// Returns what arrives at a stage and the plan for it.
fn plan(spec: &StageSpec, pieces: &[Piece], tick_s: f64, ticks: usize, share: f64) -> Curves {
    let mut arrived = vec![0.0; ticks];
    for piece in pieces {
        let tick = (piece.at_s / tick_s).ceil() as usize;
        if let Some(sum) = arrived.get_mut(tick) {
            *sum += piece.work_s;
        }
    }
    for tick in 1..ticks {
        arrived[tick] += arrived[tick - 1];
    }
    let slots = |workers: u32| f64::from(workers.saturating_mul(spec.slots_per_worker.max(1)));
    let first_s = slots(spec.min_replicas) * tick_s;
    let startup = (spec.startup.mean_s / tick_s).ceil() as usize;
    // Until the first that are asked for are there, the fewest workers do what they can.
    let mut upper = arrived.clone();
    for tick in 1..startup.min(ticks) {
        upper[tick] = upper[tick].min(upper[tick - 1] + first_s);
    }
    let units: f64 = pieces.iter().map(|piece| piece.work_s / piece.longest_s.max(f64::MIN_POSITIVE)).sum();
    let service_s = pieces.iter().map(|piece| piece.work_s).sum::<f64>() / units.max(1.0);
    let mut wait_s = share * spec.wait_slo_s + service_s / 2.0;
    loop {
        let late = (wait_s / tick_s).floor() as usize;
        let mut lower: Vec<f64> =
            (0..ticks).map(|tick| tick.checked_sub(late).map_or(0.0, |earlier| arrived[earlier])).collect();
        ease_start(&mut lower, &upper, startup.min(ticks - 1), late);
        // All that arrived is done in the end.
        let line = tight(&lower, &upper);
        let peak = line.windows(2).map(|pair| (pair[1] - pair[0]) / tick_s).fold(0.0, f64::max);
        if peak <= slots(spec.max_replicas) || late >= ticks {
            return Curves { arrived, line, wait_s, service_s };
        }
        wait_s *= LOOSENED;
    }
}

/// Asks for nothing that no worker is there for: what came during the first start-up is due evenly in the wait after it.
fn ease_start(lower: &mut [f64], upper: &[f64], startup: usize, late: usize) {
    let (from, to) = (upper[startup.saturating_sub(1)], upper[startup]);
    for tick in 0..lower.len() {
        if tick < startup {
            lower[tick] = lower[tick].min(upper[tick]);
        } else if tick < startup + late {
            let even = from + (to - from) * (tick - startup) as f64 / late as f64;
            lower[tick] = lower[tick].min(even.max(lower[startup.saturating_sub(1)]));
        }
    }
}

/// Returns when each video is done at a stage, in seconds.
fn ends(pieces: &[Piece], line: &[f64], tick_s: f64, videos: usize) -> Vec<f64> {
    let mut ends = vec![f64::INFINITY; videos];
    let (mut sum_s, mut tick) = (0.0, 0);
    for piece in pieces {
        sum_s += piece.work_s;
        while tick + 1 < line.len() && line[tick] < sum_s - 1e-6 {
            tick += 1;
        }
        let planned_s = if line[tick] < sum_s - 1e-6 { f64::INFINITY } else { tick as f64 * tick_s };
        ends[piece.video as usize] = planned_s.max(piece.at_s + piece.longest_s);
    }
    ends
}

/// Returns the workers to ask for at each tick: the most that are needed until those asked for now are ready.
fn workers(spec: &StageSpec, line: &[f64], tick_s: f64) -> Vec<u32> {
    let slots = f64::from(spec.slots_per_worker.max(1));
    let needed = |pair: &[f64]| ((pair[1] - pair[0]) / tick_s / slots - 1e-6).ceil().max(0.0) as u32;
    let needed: Vec<u32> = line.windows(2).map(needed).collect();
    let ahead = (spec.startup.mean_s * (1.0 + 1.3 * spec.startup.cv) / tick_s).ceil() as usize;
    let most = |tick: usize| needed[tick..(tick + ahead + 1).min(needed.len())].iter().copied().max().unwrap_or(0);
    let scale: Vec<u32> =
        (0..needed.len()).map(|tick| most(tick).clamp(spec.min_replicas, spec.max_replicas)).collect();
    if scale.is_empty() { vec![spec.min_replicas] } else { scale }
}
