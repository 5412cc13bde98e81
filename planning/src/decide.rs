//! The decision: an observation becomes a number of workers a stage, with its reason.

use crate::decision::{Decision, StageDecision};
use crate::memory::Memory;
use crate::observation::{Observation, Stage};
use crate::policy::Policy;

/// Decides how many workers each stage is to have.
///
/// Pure but for `memory`: the same observations in the same order give the same decisions.
pub fn decide(policy: &Policy, _memory: &mut Memory, seen: &Observation) -> Decision {
    let stages = seen.stages.iter().map(|stage| decide_stage(policy, stage)).collect();
    Decision { at: seen.at, stages }
}

fn decide_stage(policy: &Policy, stage: &Stage) -> StageDecision {
    let lag: f64 = stage.lanes.iter().map(|lane| lane.lag_records().max(0.0)).sum();
    let service_s = if stage.done_total > 0.0 { stage.busy_seconds_total / stage.done_total } else { policy.service_s };
    let slots = f64::from(stage.slots_per_worker.max(1));
    let wanted = (lag * service_s / (service_s + stage.wait_slo_s / 2.0) / slots).ceil() as u32;
    let replicas = wanted.clamp(stage.min_replicas, stage.max_replicas);
    let reason = format!("{lag:.0} records of {service_s:.1} s within {:.0} s", stage.wait_slo_s);
    StageDecision { stage: stage.stage.clone(), replicas, reason }
}
