//! Between what a decision may move: what was configured, pinned, and can do work at all.

use crate::observation::{Observation, Stage};
use crate::pin::{self, Pin};

/// Fewest and most workers of a stage, and what set the upper one, in words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub least: u32,
    pub most: u32,
    pub most_because: &'static str,
}

impl Bounds {
    /// Returns the bounds of `stage`; `quota` is how many workers an outside quota is enough for, if it counts.
    ///
    /// A pin of a person wins over what is configured. More workers than partitions would have nothing to read, and more
    /// than a quota is for nothing to do: a pin's maximum is no reason to have them, its minimum is.
    pub(super) fn new(stage: &Stage, pin: Option<&Pin>, quota: Option<u32>) -> Self {
        let (least, most) = pin::limits(pin, stage.min_replicas, stage.max_replicas);
        let is_pinned = least > stage.max_replicas || pin.is_some_and(|pin| pin.fixed.or(pin.max).is_some());
        let because = if is_pinned { "a pin" } else { "the maximum" };
        let partitions: u32 = stage.lanes.iter().map(|lane| lane.partitions).fold(0, u32::saturating_add);
        let mut bounds = Self { least, most, most_because: because };
        if partitions > 0 {
            bounds.lower(partitions, "the partitions");
        }
        if let Some(quota) = quota {
            bounds.lower(quota, "the outside quota");
        }
        bounds
    }

    /// Returns these bounds for adding workers when as many as `workers` can have work in the lanes where there is any.
    pub(super) fn narrowed(&self, workers: u32) -> Self {
        let mut narrowed = *self;
        narrowed.lower(workers, "the lanes that have work");
        narrowed
    }

    fn lower(&mut self, most: u32, because: &'static str) {
        let most = most.max(self.least);
        if most < self.most {
            (self.most, self.most_because) = (most, because);
        }
    }
}

/// Returns how many workers of `stage` use up within an hour what an outside API still allows, if that is known; one for
/// less than one's work, none only where nothing is left.
pub(super) fn quota_of(stage: &Stage, service_s: f64) -> Option<u32> {
    let slots = stage.quota_left?.max(0.0) * service_s / 3600.0;
    let workers = slots / f64::from(stage.slots_per_worker.max(1));
    Some(if workers > 0.0 { workers.max(1.0) as u32 } else { 0 })
}

/// Returns how many units of `stage` can be in work at once when its lanes have so many `records`: in each lane no more than
/// its partitions' slots hold.
pub(super) fn most_in_work(stage: &Stage, records: impl Iterator<Item = f64>) -> f64 {
    let slots = f64::from(stage.slots_per_worker.max(1));
    // A lane of no partitions is one whose partitions are not known.
    let most = |partitions: u32| if partitions > 0 { f64::from(partitions) * slots } else { f64::INFINITY };
    stage.lanes.iter().zip(records).map(|(lane, records)| records.min(most(lane.partitions))).sum()
}

/// Returns the pin of `stage`, if a person set one.
pub(super) fn pin_of<'a>(seen: &'a Observation, stage: &Stage) -> Option<&'a Pin> {
    seen.pins.get(&stage.stage)
}

/// Lowers `wanted` until all workers cost no more than `budget` an hour, or each stage has its `least`.
///
/// First what would be added goes, then what is there, of each the earlier stages' first: what has been begun should be
/// finished.
pub(super) fn within_budget(stages: &[Stage], wanted: &mut [u32], least: &[u32], budget: Option<f64>) {
    let Some(budget) = budget else { return };
    let cost = |stage: &Stage| stage.cost_per_worker_hour.unwrap_or(1.0).max(0.0);
    let all = stages.iter().zip(wanted.iter()).map(|(stage, wanted)| cost(stage) * f64::from(*wanted));
    let mut over = all.sum::<f64>() - budget;
    for is_there_kept in [true, false] {
        for ((stage, wanted), least) in stages.iter().zip(wanted.iter_mut()).zip(least) {
            let keeps = if is_there_kept { stage.replicas.max(*least) } else { *least };
            if over <= 0.0 || cost(stage) == 0.0 {
                continue;
            }
            let goes = ((over / cost(stage)).ceil() as u32).min(wanted.saturating_sub(keeps));
            *wanted -= goes;
            over -= cost(stage) * f64::from(goes);
        }
    }
}
