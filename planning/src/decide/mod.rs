//! The decision: an observation becomes a number of workers a stage, with its reason.
//!
//! For each stage, in the order of the flow: is the data good ([`crate::trust`]); what is expected
//! ([`crate::forecast`] for the first stage, what the one before it will finish for the others); what follows for those
//! who wait ([`crate::rollforward`]); and so, how many workers.

mod bounds;
mod coming;
mod reason;
mod stage;
mod steering;

use bounds::within_budget;

use crate::decision::{Decision, StageDecision};
use crate::memory::{Memory, StageMemory};
use crate::observation::Observation;
use crate::policy::Policy;

/// Decides how many workers each stage is to have.
///
/// Pure but for `memory`: the same observations in the same order give the same decisions.
pub fn decide(policy: &Policy, memory: &mut Memory, seen: &Observation) -> Decision {
    // A stage that never started a worker takes the start-up time of the slowest that did.
    let startups = memory.stages.values().filter_map(|own| own.startup.p90_s());
    let startup_s = startups.reduce(f64::max).unwrap_or(policy.startup_s);
    let policy = &Policy { startup_s, ..policy.clone() };
    let (mut verdicts, mut outputs) = (Vec::new(), Vec::new());
    for (index, stage) in seen.stages.iter().enumerate() {
        let own = memory.stages.entry(stage.stage.clone()).or_insert_with(|| StageMemory::new(policy, &stage.stage));
        let feeds = coming::feeds(seen, index, &outputs);
        let mut verdict = stage::judge(policy, own, seen, index, feeds);
        outputs.push(std::mem::take(&mut verdict.output));
        verdicts.push(verdict);
    }
    let mut wanted: Vec<u32> = verdicts.iter().map(|verdict| verdict.replicas).collect();
    let least: Vec<u32> = verdicts.iter().map(|verdict| verdict.least).collect();
    within_budget(&seen.stages, &mut wanted, &least, seen.budget_per_hour);
    let stages = seen.stages.iter().zip(verdicts).zip(wanted);
    let stages = stages.map(|((stage, verdict), replicas)| {
        let mut reason = verdict.reason;
        if replicas < verdict.replicas {
            reason = format!("the budget allows {replicas} of {}: {reason}", verdict.replicas);
        }
        if let Some(own) = memory.stages.get_mut(&stage.stage) {
            own.decided = Some(replicas);
        }
        StageDecision { stage: stage.stage.clone(), replicas, reason, inputs: verdict.inputs }
    });
    Decision { at: seen.at, stages: stages.collect() }
}

#[cfg(test)]
mod tests;
