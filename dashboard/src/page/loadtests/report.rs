//! What is read of a report. Its shape is that of `spillway loadtest`, of this version or another: whatever is missing in it
//! is not known, and what is not known here is passed over.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::reach::{USUAL_SERVER, quoted};

/// A run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Report {
    pub about: About,
    pub measures: Measures,
    pub targets: Vec<Target>,
    pub limits: Vec<Limit>,
    pub sent: Vec<Sent>,
    pub stories: Vec<Story>,
    pub fleets: Vec<Fleet>,
    pub machine: Vec<Machine>,
}

/// What was run, and where.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct About {
    /// The version of the program.
    pub spillway: String,
    pub schedule: String,
    pub seed: Option<u64>,
    pub begun_at: Option<Timestamp>,
    /// Where videos were sent.
    pub server: String,
    /// How workers were emulated, if they were.
    pub emulated: Option<Value>,
    /// The most slots of a stage, if the run said so.
    pub max_workers: Option<u32>,
    /// How many times faster than the schedule it went.
    pub time_scale: Option<f64>,
    pub material: String,
    pub cores: Option<u32>,
    pub processor: String,
}

/// What it came to, as numbers: waits and times in seconds of the schedule, but for acceptance.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Measures {
    pub planned: Option<f64>,
    pub accepted: Option<f64>,
    pub refused: Option<f64>,
    pub done: Option<f64>,
    pub not_done: Option<f64>,
    pub lost: Option<f64>,
    pub duplicates: Option<f64>,
    pub retries: Option<f64>,
    pub clips: Option<f64>,
    /// From the planned moment to the answer, in real seconds.
    pub acceptance: Option<Quantiles>,
    pub queue_wait: Option<Quantiles>,
    pub first_segment: Option<Quantiles>,
    pub processing: Option<Quantiles>,
    pub total: Option<Quantiles>,
    pub rate_per_hour: Option<f64>,
    pub busy_s_a_video: Option<f64>,
    /// Busy slots by open ones while the load lasted, 0 to 1.
    pub used: Option<f64>,
    pub slot_hours: Option<f64>,
    pub decision_s: Option<f64>,
    pub capacity_s: Option<f64>,
}

/// How long something took.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Quantiles {
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
    pub max: Option<f64>,
}

/// A target.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Target {
    pub name: String,
    /// In words.
    pub wanted: String,
    /// In words; why not, where the run cannot tell.
    pub measured: String,
    /// `met`, `missed` or `open`.
    pub outcome: String,
}

/// How near a resource was to its end.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Limit {
    pub resource: String,
    pub reached: bool,
    /// In words.
    pub seen: String,
}

/// A video that was sent.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Sent {
    /// In milliseconds since the Unix epoch.
    pub planned_ms: Option<i64>,
}

/// What became of a video, in real seconds.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Story {
    /// In milliseconds since the Unix epoch.
    pub ended_ms: Option<i64>,
    pub queue_wait_s: Option<f64>,
    pub processing_s: Option<f64>,
    pub total_s: Option<f64>,
}

/// The workers at one moment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fleet {
    /// In milliseconds since the Unix epoch.
    pub at_ms: i64,
    pub stages: BTreeMap<String, Workers>,
    /// Slots that were to be.
    pub wanted: BTreeMap<String, f64>,
    /// Records that waited or were worked on, by stage and lane.
    pub lag: BTreeMap<String, BTreeMap<String, f64>>,
}

/// The workers of a stage, in slots.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Workers {
    pub slots: f64,
    pub busy: f64,
    pub starting: f64,
}

/// The machine that sent, at one moment.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// In milliseconds since the Unix epoch.
    pub at_ms: i64,
    pub busy_cores: f64,
}

impl About {
    /// Returns the command line that runs the same again, as far as a report tells how it was run.
    pub fn command(&self) -> String {
        let mut flags = Vec::new();
        if let Some(seed) = self.seed {
            flags.push(("--seed", seed.to_string()));
        }
        match (self.max_workers, &self.emulated) {
            (Some(most), Some(spec)) => flags.extend(self.emulation(most, spec)),
            // The workers of an installation are emulated by a file of its own.
            (None, Some(_)) => {
                flags.extend([("--server", self.server.clone()), ("--emulated-by", "SPEC.json".to_owned())])
            }
            _ if self.server.trim_end_matches('/') == USUAL_SERVER => {}
            _ => flags.push(("--server", self.server.clone())),
        }
        let flags = flags.into_iter().map(|(flag, value)| format!(" {flag} {}", quoted(&value)));
        let emulate = if self.max_workers.is_some() { " --emulate" } else { "" };
        format!("spillway loadtest {}{emulate}{}", quoted(&self.schedule), flags.collect::<String>())
    }

    fn emulation(&self, max_workers: u32, spec: &Value) -> Vec<(&'static str, String)> {
        let mut flags = vec![("--max-workers", max_workers.to_string())];
        if let Some(scale) = self.time_scale {
            flags.push(("--time-scale", scale.to_string()));
        }
        if let Some(basis) = spec.get("basis").and_then(Value::as_str) {
            flags.push(("--basis", basis.to_owned()));
        }
        if let Some(startup_s) = spec.get("startup_s").and_then(Value::as_f64) {
            flags.push(("--startup", format!("{}ms", (startup_s * 1e3).round())));
        }
        flags
    }
}

impl Report {
    /// Reads a report.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        let report: Self =
            serde_json::from_slice(json).map_err(|error| format!("no report of a load test: {error}"))?;
        if report.about.schedule.is_empty() {
            return Err("no report of a load test: it names no schedule".to_owned());
        }
        Ok(report)
    }

    /// How many times faster than the schedule it went.
    pub fn scale(&self) -> f64 {
        self.about.time_scale.filter(|scale| *scale > 0.0).unwrap_or(1.0)
    }

    /// Returns the moment of the schedule at real time `at_ms`, in its seconds.
    pub fn at_s(&self, at_ms: i64) -> f64 {
        let begun_ms = self.about.begun_at.map_or(at_ms, |begun_at| begun_at.as_millisecond());
        (at_ms - begun_ms) as f64 / 1e3 * self.scale()
    }

    /// Counts the targets with this outcome.
    pub fn outcomes(&self, outcome: &str) -> usize {
        self.targets.iter().filter(|target| target.outcome == outcome).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_not_known_and_what_is_no_report_is_told() {
        let report =
            Report::read(br#"{"about":{"schedule":"viral-500","new":1},"measures":{"planned":5,"queue_wait":null}}"#);
        let report = report.unwrap();
        assert_eq!((report.measures.planned, report.measures.done, report.scale()), (Some(5.0), None, 1.0));
        assert!(report.measures.queue_wait.is_none() && report.stories.is_empty());
        for wrong in ["", "[]", "{}", r#"{"about":{}}"#, r#"{"about":{"schedule":5}}"#] {
            assert!(Report::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_line_is_that_of_the_run() {
        let command = |about: &str| {
            let json = format!(r#"{{"about":{{"schedule":"users-6","seed":3,{about}}}}}"#);
            Report::read(json.as_bytes()).unwrap().about.command()
        };
        let spec = r#"{"seed":3,"time_scale":5.0,"basis":"measured","startup_s":45.0}"#;
        assert_eq!(
            command(&format!(r#""time_scale":5.0,"max_workers":40,"server":"a system of its own","emulated":{spec}"#)),
            "spillway loadtest users-6 --emulate --seed 3 --max-workers 40 --time-scale 5 --basis measured --startup 45000ms"
        );
        assert_eq!(
            command(r#""time_scale":1.0,"emulated":null,"server":"https://clips.example/""#),
            "spillway loadtest users-6 --seed 3 --server https://clips.example/"
        );
        assert_eq!(
            command(&format!(r#""server":"http://a:1/","emulated":{spec}"#)),
            "spillway loadtest users-6 --seed 3 --server http://a:1/ --emulated-by SPEC.json"
        );
        assert_eq!(command(r#""server":"http://127.0.0.1:8080/""#), "spillway loadtest users-6 --seed 3");
    }
}
