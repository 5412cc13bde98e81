//! An observation with what was decided on it, as it is written down: a line that can be replayed as it is, because who
//! reads observations ignores what was decided.

use serde::{Deserialize, Serialize};

use crate::decision::StageDecision;
use crate::observation::Observation;

/// One tick of an autoscaler.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Recorded {
    /// What was seen.
    #[serde(flatten)]
    pub seen: Observation,
    /// What was decided, one entry a stage.
    #[serde(default)]
    pub decided: Vec<StageDecision>,
}
