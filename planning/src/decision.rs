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
    /// What it was decided from; none where the data was not good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Inputs>,
}

/// The numbers behind a decision.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Inputs {
    /// Records that waited.
    pub waiting: f64,
    /// Time of a record in a slot, in seconds.
    pub service_s: f64,
    /// Time in which nine of ten new workers are ready, in seconds.
    pub startup_s: f64,
    /// How far ahead was looked, in seconds.
    pub horizon_s: f64,
    /// Records expected to arrive within it.
    pub expected: f64,
    /// The upper band of them, without those of a burst that may as well be over, where they could be waited for.
    pub expected_upper: f64,
    /// What the expectation is led by: `level` (persistence), `trend`, `day`, `week`, or `upstream`.
    pub led_by: String,
    /// Share of the last forecasts that came within the band.
    pub coverage: f64,
    /// Longest wait expected with the workers there are, in seconds.
    pub wait_s: f64,
    /// Workers that would be enough for now.
    pub enough: u32,
}
