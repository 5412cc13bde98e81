//! How far a video is, learnt from its events.

use std::collections::BTreeMap;

use serde_json::Value;

/// The stages a person is shown, in the order of the flow.
pub const STAGES: [&str; 8] = ["fetch", "split", "transcribe", "analyze", "join", "moments", "cut", "deliver"];

/// How far each stage of a video is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    done: BTreeMap<String, u64>,
    totals: BTreeMap<(String, u64), u64>,
}

impl Progress {
    /// Takes an event; returns the stage it told something of.
    pub fn hear(&mut self, event: &Value) -> Option<&'static str> {
        let kind = event["type"].as_str()?;
        let stage = event["stage"].as_str().or(event["error"]["stage"].as_str())?;
        let stage = STAGES.into_iter().find(|name| *name == stage)?;
        match kind {
            "stage_total" => {
                let key = (stage.to_owned(), event["window"].as_u64()?);
                let total = self.totals.entry(key).or_default();
                *total = event["total"].as_u64()?.max(*total);
            }
            "unit_done" | "unit_failed" => *self.done.entry(stage.to_owned()).or_default() += 1,
            // It was told as failed, and will be told again.
            "unit_replayed" => {
                let done = self.done.entry(stage.to_owned()).or_default();
                *done = done.saturating_sub(1);
            }
            _ => return None,
        }
        Some(stage)
    }

    /// Returns how many units of a stage are done, and of how many that are known.
    pub fn of(&self, stage: &str) -> (u64, u64) {
        let done = self.done.get(stage).copied().unwrap_or(0);
        let total: u64 = self.totals.iter().filter(|((name, _), _)| name == stage).map(|(_, total)| total).sum();
        (done, total.max(done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn totals_grow_and_windows_add_up() {
        let mut progress = Progress::default();
        for event in [
            json!({"type": "stage_total", "stage": "analyze", "total": 2, "window": 0}),
            json!({"type": "unit_done", "stage": "analyze"}),
            json!({"type": "stage_total", "stage": "analyze", "total": 5, "window": 0}),
            json!({"type": "stage_total", "stage": "analyze", "total": 3, "window": 1}),
            json!({"type": "unit_failed", "error": {"stage": "analyze"}}),
            json!({"type": "unit_retried", "stage": "analyze"}),
            json!({"type": "unit_done", "stage": "fetch"}),
            json!({"type": "unit_failed", "error": {"stage": "cut"}}),
            json!({"type": "unit_replayed", "stage": "cut", "unit": "clip/1"}),
        ] {
            progress.hear(&event);
        }
        assert_eq!((progress.of("analyze"), progress.of("fetch"), progress.of("cut")), ((2, 8), (1, 1), (0, 0)));
    }
}
