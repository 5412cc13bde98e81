//! What the policy may be told: everything a person might want otherwise.

use std::collections::BTreeMap;

use pipeline::stage::StageName;
use serde::{Deserialize, Serialize};

use crate::cost::Costs;
use crate::plan::scenario::Mix;
use crate::stages::STAGES;

/// The policy's settings. One that is not written down is as it is by default.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Time between two observations, in seconds.
    pub tick_s: f64,
    /// Start-up time of a worker until some were seen starting, in seconds.
    pub startup_s: f64,
    /// Service time of a record until some were seen done, in seconds.
    pub service_s: f64,
    /// The same of stages of which more is known, by name.
    pub service_s_of: BTreeMap<String, f64>,
    /// Shortest time for which fewer workers must be enough before some are let go, in seconds; a start-up time longer
    /// than this replaces it.
    pub down_window_s: f64,
    /// Share of the workers by which fewer must be enough before some are let go.
    pub down_band: f64,
    /// Time after which bad data is answered by a floor that only scales up, in seconds.
    pub hold_s: f64,
    /// Share of forecasts whose upper band is to hold.
    pub coverage: f64,
}

impl Policy {
    /// Returns the usual settings for the stages of this product: a record takes what was measured.
    pub fn measured() -> Self {
        let (costs, mix) = (Costs::measured(), Mix::default());
        let service_s = |stage: StageName| {
            // A piece of sound or of picture, a clip, or a whole video.
            let media_s = match stage {
                StageName::Transcribe => mix.sound_piece_s,
                StageName::Analyze => mix.picture_piece_s,
                StageName::Cut => mix.clip_s,
                _ => mix.mean_s(),
            };
            (stage.to_string(), costs.of(stage.as_str()) * media_s)
        };
        Self { service_s_of: STAGES.map(service_s).into(), ..Self::default() }
    }

    /// Returns the service time of a record of `stage` until some were seen done, in seconds.
    pub fn service_s(&self, stage: &str) -> f64 {
        self.service_s_of.get(stage).copied().unwrap_or(self.service_s)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            tick_s: 5.0,
            startup_s: 45.0,
            service_s: 60.0,
            service_s_of: BTreeMap::new(),
            down_window_s: 60.0,
            down_band: 0.03,
            hold_s: 60.0,
            coverage: 0.7,
        }
    }
}
