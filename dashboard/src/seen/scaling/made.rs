//! What an autoscaler records, as tests make it up.

use planning::decision::StageDecision;
use planning::observation::{Observation, Stage};
use planning::record::Recorded;

/// Returns a stage of which nothing but its name is seen.
pub fn stage(name: &str) -> Stage {
    Stage { stage: name.to_owned(), ..Stage::default() }
}

/// Returns the decision that a stage is to have so many workers.
pub fn decided(stage: &str, replicas: u32) -> StageDecision {
    StageDecision { stage: stage.to_owned(), replicas, ..StageDecision::default() }
}

/// Returns a tick at which `stages` were seen and `decided` on.
pub fn tick(stages: impl Into<Vec<Stage>>, decided: impl Into<Vec<StageDecision>>) -> Recorded {
    let seen = Observation { stages: stages.into(), ..Observation::default() };
    Recorded { seen, decided: decided.into(), policy: None }
}
