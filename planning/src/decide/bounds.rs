//! Between what a decision may move: what was configured, pinned, and can do work at all.

use crate::observation::{Observation, Stage};
use crate::pin::Pin;

/// Fewest and most workers of a stage, and what set the upper one, in words.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub least: u32,
    pub most: u32,
    pub most_because: String,
}

impl Bounds {
    /// Returns the bounds of `stage`; `quota` is how many workers an outside quota is enough for, if it counts.
    ///
    /// More workers than partitions would have nothing to read. A pin of a person wins over what is configured.
    pub(super) fn new(stage: &Stage, pin: Option<&Pin>, quota: Option<u32>) -> Self {
        let partitions: u32 = stage.lanes.iter().map(|lane| lane.partitions).fold(0, u32::saturating_add);
        let mut bounds =
            Self { least: stage.min_replicas, most: stage.max_replicas, most_because: "the maximum".to_owned() };
        if partitions > 0 && partitions < bounds.most {
            bounds.lower(partitions, "the partitions");
        }
        if let Some(quota) = quota {
            bounds.lower(quota, "the outside quota");
        }
        if let Some(pin) = pin {
            bounds.pin(pin);
        }
        bounds.least = bounds.least.min(bounds.most);
        bounds
    }

    fn lower(&mut self, most: u32, because: &str) {
        let most = most.max(self.least);
        if most < self.most {
            (self.most, self.most_because) = (most, because.to_owned());
        }
    }

    fn pin(&mut self, pin: &Pin) {
        if let Some(fixed) = pin.fixed {
            (self.least, self.most, self.most_because) = (fixed, fixed, "a pin".to_owned());
            return;
        }
        if let Some(min) = pin.min {
            self.least = min;
            self.most = self.most.max(min);
        }
        if let Some(max) = pin.max
            && max < self.most
        {
            (self.most, self.most_because) = (max, "a pin".to_owned());
        }
    }
}

/// Returns how many workers of `stage` use up within an hour what an outside API still allows, if that is known.
pub(super) fn quota_of(stage: &Stage, service_s: f64) -> Option<u32> {
    let slots = stage.quota_left?.max(0.0) * service_s / 3600.0;
    Some((slots / f64::from(stage.slots_per_worker.max(1))).floor() as u32)
}

/// Returns the pin of `stage`, if a person set one.
pub(super) fn pin_of<'a>(seen: &'a Observation, stage: &Stage) -> Option<&'a Pin> {
    seen.pins.get(&stage.stage)
}

/// Lowers what `wanted` adds, in the order of the flow, until all workers cost no more than `budget` an hour.
///
/// What is there is kept: a budget that was cut is met by scaling down in the usual way. Later stages come first,
/// because what has been begun should be finished.
pub(super) fn within_budget(stages: &[Stage], wanted: &mut [u32], budget: Option<f64>) -> Vec<bool> {
    let mut cut = vec![false; wanted.len()];
    let Some(budget) = budget else { return cut };
    let cost = |stage: &Stage| stage.cost_per_worker_hour.unwrap_or(1.0).max(0.0);
    let kept =
        stages.iter().zip(wanted.iter()).map(|(stage, wanted)| cost(stage) * f64::from(stage.replicas.min(*wanted)));
    let mut left = budget - kept.sum::<f64>();
    for (index, stage) in stages.iter().enumerate().rev() {
        let adds = wanted[index].saturating_sub(stage.replicas);
        let affordable = if cost(stage) > 0.0 { (left.max(0.0) / cost(stage)).floor() as u32 } else { adds };
        if affordable < adds {
            wanted[index] = (stage.replicas + affordable).max(stage.min_replicas);
            cut[index] = true;
        }
        left -= cost(stage) * f64::from(wanted[index].saturating_sub(stage.replicas));
    }
    cut
}
