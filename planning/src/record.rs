//! An observation with what was decided on it, as it is written down: a line that can be replayed as it is, because who
//! reads observations ignores what was decided.

use serde::{Deserialize, Serialize};

use crate::decision::StageDecision;
use crate::observation::Observation;
use crate::policy::Policy;

/// One tick of an autoscaler.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Recorded {
    /// What was seen.
    #[serde(flatten)]
    pub seen: Observation,
    /// What was decided, one entry a stage.
    #[serde(default)]
    pub decided: Vec<StageDecision>,
    /// The policy that decided; nothing where an older autoscaler did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_as_it_was_written_and_older_lines_have_none() {
        let policy = Policy { coverage: 0.9, ..Policy::default() };
        let recorded = Recorded { policy: Some(policy), ..Recorded::default() };
        let line = serde_json::to_string(&recorded).unwrap();
        assert_eq!(serde_json::from_str::<Recorded>(&line).unwrap(), recorded);
        assert!(serde_json::from_str::<Observation>(&line).is_ok(), "it can be replayed");
        let read = |line: &str| serde_json::from_str::<Recorded>(line).unwrap().policy;
        assert_eq!(read(r#"{"at":1,"stages":[],"decided":[]}"#), None);
        let older = read(r#"{"at":1,"stages":[],"policy":{"down_window_s":90,"another":true}}"#);
        assert_eq!(older, Some(Policy { down_window_s: 90.0, ..Policy::default() }));
    }
}
