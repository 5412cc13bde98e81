//! What is decided: the output, a line of JSON each when recorded.

use serde::{Deserialize, Serialize};

/// What is decided for all stages at one moment.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Decision {
    /// Echoes [`Observation::at`](crate::observation::Observation::at).
    pub at: f64,
    /// One entry a stage.
    pub stages: Vec<StageDecision>,
}

/// What is decided for one stage.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StageDecision {
    /// The stage.
    pub stage: String,
    /// How many workers it is to have.
    pub replicas: u32,
    /// Why, one sentence with its numbers.
    pub reason: String,
}
