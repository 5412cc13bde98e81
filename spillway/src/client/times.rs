//! When each stage worked, learnt from a video's events.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::progress::STAGES;

/// When a stage worked on a video. All times in seconds after it was accepted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageTimes {
    /// The stage.
    pub stage: String,
    /// Units finished.
    pub units: u32,
    /// When the first unit began.
    pub first_start_s: f64,
    /// When the last unit ended.
    pub last_end_s: f64,
    /// How long all units were worked on together.
    pub busy_s: f64,
    /// How long a unit waited, on average.
    pub mean_wait_s: f64,
}

/// Gathers the times of a video.
#[derive(Debug, Default)]
pub struct Times {
    created_at: Option<Timestamp>,
    stages: BTreeMap<String, StageTimes>,
}

impl Times {
    /// Takes an event.
    pub fn hear(&mut self, event: &Value) -> Option<()> {
        let time = |name: &str| event[name].as_str()?.parse::<Timestamp>().ok();
        if event["type"] == "created" {
            self.created_at = time("at");
        }
        if event["type"] != "unit_done" {
            return None;
        }
        let zero = *self.created_at.get_or_insert(time("queued_at")?);
        let after = |at: Timestamp| at.duration_since(zero).as_secs_f64();
        let (start_s, end_s) = (after(time("started_at")?), after(time("finished_at")?));
        let stage = event["stage"].as_str()?;
        let times = self.stages.entry(stage.to_owned()).or_insert_with(|| StageTimes {
            stage: stage.to_owned(),
            units: 0,
            first_start_s: f64::INFINITY,
            last_end_s: 0.0,
            busy_s: 0.0,
            mean_wait_s: 0.0,
        });
        times.units += 1;
        times.first_start_s = times.first_start_s.min(start_s);
        times.last_end_s = times.last_end_s.max(end_s);
        times.busy_s += event["busy_s"].as_f64()?;
        times.mean_wait_s += (event["wait_s"].as_f64()? - times.mean_wait_s) / f64::from(times.units);
        Some(())
    }

    /// Returns the stages that worked, in the order of the flow.
    pub fn stages(&self) -> impl Iterator<Item = &StageTimes> {
        STAGES.iter().filter_map(|stage| self.stages.get(*stage))
    }

    /// Returns a table for a person; empty when nothing is known.
    pub fn table(&self) -> String {
        let mut table = String::new();
        for s in self.stages() {
            if table.is_empty() {
                table.push_str("  stage        units      from        to      busy  mean wait\n");
            }
            let (from, to, busy, wait) = (s.first_start_s, s.last_end_s, s.busy_s, s.mean_wait_s);
            let (stage, units) = (&s.stage, s.units);
            let line = format!("  {stage:<12} {units:>5} {from:>8.2}s {to:>8.2}s {busy:>8.2}s  {wait:>8.2}s\n");
            table.push_str(&line);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn units_of_a_stage_add_up() {
        let mut times = Times::default();
        times.hear(&json!({"type": "created", "at": "2026-01-01T00:00:00Z"}));
        for (start, end, wait) in [(1, 4, 0.5), (2, 3, 1.5)] {
            let unit = json!({
                "type": "unit_done", "stage": "analyze", "wait_s": wait, "busy_s": f64::from(end - start),
                "queued_at": "2026-01-01T00:00:00Z",
                "started_at": format!("2026-01-01T00:00:0{start}Z"),
                "finished_at": format!("2026-01-01T00:00:0{end}Z"),
            });
            assert_eq!(times.hear(&unit), Some(()));
        }
        let analyze = times.stages().next().expect("a stage");
        assert_eq!((analyze.units, analyze.first_start_s, analyze.last_end_s), (2, 1.0, 4.0));
        assert_eq!((analyze.busy_s, analyze.mean_wait_s), (4.0, 1.0));
        assert!(
            times.table().contains("analyze          2     1.00s     4.00s     4.00s      1.00s"),
            "{}",
            times.table()
        );
    }
}
