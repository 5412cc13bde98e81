//! What is decided: the output, a line of JSON each when recorded.

use serde::{Deserialize, Serialize};

use crate::measure::LaneCost;

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
    /// How the time of a record varies from one to the next: the variance over the square of the mean, once enough was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_variation: Option<f64>,
    /// Time in which nine of ten new workers are ready, in seconds.
    pub startup_s: f64,
    /// How far ahead was looked, in seconds.
    pub horizon_s: f64,
    /// Records expected to arrive within it, without a decline that nothing but a forecast tells of.
    pub expected: f64,
    /// The upper band of what is forecast, by which workers are started: less by such a decline, and without those of a
    /// burst that may as well be over, where they could be waited for.
    pub expected_upper: f64,
    /// What the expectation is led by: `level` (persistence), `trend`, `day`, `week`, or `upstream`.
    pub led_by: String,
    /// Share of the last forecasts that came within the band; nothing where nothing is forecast, or none came due yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    /// Longest wait expected with the workers there are, in seconds.
    pub wait_s: f64,
    /// Workers that would be enough for now.
    pub enough: u32,
    /// What records cost in the lanes of which that was measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lanes: Vec<InLane>,
}

/// What records cost in one lane.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct InLane {
    /// The lane.
    pub lane: String,
    /// What one costs.
    #[serde(flatten)]
    pub cost: LaneCost,
}
