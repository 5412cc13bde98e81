//! How much load a limit carries: it alone is simulated, with more load and with less, until waits miss their target.

use serde::Serialize;

use super::runs::{self, Effort, Job, Run, Scaling, Span};
use super::scenario::{Limits, Scenario};
use crate::simulate::outcome::{StageOutcome, quantile};

/// No more than so many times the load is tried.
const MOST_TIMES: f64 = 8.0;
/// And no less.
const LEAST_TIMES: f64 = 1.0 / 64.0;
/// How near the answer is to the load at which waits miss their target.
const NEAR: f64 = 1.05;
/// One look at a load is from this part of the seeds.
const SEEDS_A_LOOK: u32 = 7;
/// A wait this many times its target, or one over that of it, is not looked at from more seeds.
const CLEAR: f64 = 2.0;
/// Where even no limit keeps the target, because a start takes too long, a limit is to make it no worse than by this.
const WORSE: f64 = 1.1;

/// How much load a limit carries before waits miss their target, in times of the load there is.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Carries {
    /// So much; 0 if not even a small part of it.
    UpTo(f64),
    /// So much at the least: no more was tried.
    AtLeast(f64),
}

/// How much a limit carries, and where waits grow most then.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Carried {
    pub carries: Carries,
    /// The stage.
    pub slowest: String,
}

/// Waits that 95 % of the busiest hour's videos had at most, in seconds.
#[derive(Clone, PartialEq, Debug)]
struct Waits {
    /// For the first unit at each stage, by place.
    stages_s: Vec<f64>,
    /// The longest of these and of the wait until the first segment is begun: what is cut late was not done in time either.
    longest_s: f64,
    /// The stages that had all that their limits let them have.
    full: Vec<usize>,
}

impl Waits {
    fn of(run: &Run, limits: &Limits) -> Self {
        let is_full = |stage: &StageOutcome| {
            let slots = limits.partitions.saturating_mul(stage.slots_per_worker.max(1));
            stage.peak_replicas >= limits.max_workers || stage.peak_in_work >= slots
        };
        let stages = run.outcome.stages.iter().enumerate();
        let full = stages.filter(|(_, stage)| is_full(stage)).map(|(place, _)| place).collect();
        let stages_s: Vec<f64> =
            (0..run.outcome.stages.len()).map(|stage| quantile(run.waits_at_s(stage), 0.95)).collect();
        let longest_s = stages_s.iter().copied().fold(quantile(run.queue_waits_s(), 0.95), f64::max);
        Self { stages_s, longest_s, full }
    }

    /// Returns those of them whose longest is in the middle.
    fn middle(mut all: Vec<Self>) -> Option<Self> {
        all.sort_by(|a, b| a.longest_s.total_cmp(&b.longest_s));
        let middle = all.len().saturating_sub(1) / 2;
        all.into_iter().nth(middle)
    }
}

/// What waits are where nothing is limited, and how long they may be.
pub(super) struct Allowed {
    free: Waits,
    /// The target, or somewhat more than waits are anyway.
    most_s: f64,
}

impl Allowed {
    /// Takes them from runs in which nothing was limited.
    pub(super) fn of(scenario: &Scenario, unlimited: &[Run]) -> Option<Self> {
        let free = Waits::middle(unlimited.iter().map(|run| Waits::of(run, &scenario.limits.open())).collect())?;
        let most_s = scenario.machines.wait_target_s.max(WORSE * free.longest_s);
        Some(Self { free, most_s })
    }

    /// Returns the place of the stage where `waits` have grown most, of those that may have no more if there are any.
    fn grown(&self, waits: &Waits) -> Option<usize> {
        let grown = waits.stages_s.iter().zip(&self.free.stages_s).map(|(wait_s, free_s)| wait_s - free_s).enumerate();
        let held = grown.filter(|(place, _)| waits.full.is_empty() || waits.full.contains(place));
        held.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(place, _)| place)
    }
}

/// Finds how much of the load of `scenario` these `limits` carry with the waits that are `allowed`. Returns nothing if it was
/// stopped.
pub(super) fn carried(scenario: &Scenario, limits: Limits, allowed: &Allowed, effort: &Effort<'_>) -> Option<Carried> {
    let limited = Scenario { limits, ..scenario.clone() };
    let mut slowest = None;
    let mut misses = |times: f64| -> Option<bool> {
        let waits = look(&limited.times(times), allowed.most_s, effort)?;
        let is_missed = waits.longest_s > allowed.most_s;
        if is_missed || slowest.is_none() {
            slowest = allowed.grown(&waits);
        }
        Some(is_missed)
    };
    let (mut kept, mut missed) = bracket(&mut misses)?;
    let carries = if kept >= MOST_TIMES {
        Carries::AtLeast(kept)
    } else if missed <= LEAST_TIMES {
        Carries::UpTo(0.0)
    } else {
        while missed / kept > NEAR {
            let middle = (kept * missed).sqrt();
            if misses(middle)? { missed = middle } else { kept = middle }
        }
        Carries::UpTo(kept)
    };
    let stage = slowest.and_then(|place| scenario.costs.stages.get(place)).map_or("", |cost| cost.stage);
    Some(Carried { carries, slowest: stage.to_owned() })
}

/// Returns a load whose waits keep their target and twice of it, whose waits do not; as far as it is looked for.
fn bracket(misses: &mut impl FnMut(f64) -> Option<bool>) -> Option<(f64, f64)> {
    if misses(1.0)? {
        let mut missed = 1.0;
        while missed > LEAST_TIMES && misses(missed / 2.0)? {
            missed /= 2.0;
        }
        return Some((missed / 2.0, missed));
    }
    let mut kept = 1.0;
    while kept < MOST_TIMES && !misses(2.0 * kept)? {
        kept *= 2.0;
    }
    Some((kept, 2.0 * kept))
}

/// Returns the waits, the middle ones of several seeds where one does not say enough.
fn look(scenario: &Scenario, most_s: f64, effort: &Effort<'_>) -> Option<Waits> {
    let one = |seed: u64| {
        let job = Job { scaling: Scaling::Spillway, seed, span: Span::Peak };
        runs::run(scenario, job, effort.stop).map(|run| Waits::of(&run, &scenario.limits))
    };
    let first = one(1)?;
    if !(most_s / CLEAR..most_s * CLEAR).contains(&first.longest_s) {
        return Some(first);
    }
    let mut all = vec![first];
    for seed in 2..=u64::from(effort.seeds.div_ceil(SEEDS_A_LOOK)) {
        all.push(one(seed)?);
    }
    Waits::middle(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_that_is_too_much_is_bracketed_from_both_sides() {
        let found = |most: f64| bracket(&mut |times| Some(times > most));
        assert_eq!(found(1.3), Some((1.0, 2.0)));
        assert_eq!(found(5.0), Some((4.0, 8.0)));
        assert_eq!(found(100.0), Some((8.0, 16.0)));
        assert_eq!(found(0.3), Some((0.25, 0.5)));
        assert_eq!(found(0.0), Some((LEAST_TIMES / 2.0, LEAST_TIMES)));
        assert_eq!(bracket(&mut |_| None), None);
    }
}
