//! An emulated load test beside the simulation of the same videos: how far the simulator can be believed.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::answer::Band;
use super::emulated::{Emulation, MEASURED_S, MIDPOINTS_S, Sent};
use super::system;
use crate::policy::Policy;
use crate::simulate::engine;
use crate::simulate::outcome::quantile;
use crate::simulate::scaler::Planned;

/// How long is simulated after the last video came, in seconds.
const PATIENCE_S: f64 = 4.0 * 3600.0;

/// What a load test tells of itself, as far as it is needed here.
#[derive(Deserialize)]
struct Report {
    about: About,
    stories: Vec<Story>,
}

#[derive(Deserialize)]
struct About {
    begun_at: Timestamp,
    time_scale: f64,
    max_workers: Option<u32>,
    emulated: Option<Spec>,
}

#[derive(Deserialize)]
struct Spec {
    basis: String,
    startup_s: f64,
}

#[derive(Deserialize)]
struct Story {
    created_ms: i64,
    lane: String,
    length_s: Option<f64>,
    clips: u32,
    queue_wait_s: Option<f64>,
    processing_s: Option<f64>,
}

/// A number of the run, and the same of the simulation.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// What it is.
    pub name: &'static str,
    /// In the run, in seconds of the schedule.
    pub run_s: f64,
    /// In the simulation, over seeds.
    pub simulated_s: Band,
    /// How far the simulation's middle is from the run, as a share of it.
    pub off: f64,
}

/// Simulates the videos of the load test whose report `json` is, from `seeds` seeds, and puts waits and work beside each
/// other.
///
/// # Errors
/// When the text is no report of an emulated load test.
pub fn beside(json: &str, seeds: u32) -> Result<Vec<Row>> {
    let report: Report = serde_json::from_str(json).context("understand the report of a load test")?;
    let about = &report.about;
    let spec = about.emulated.as_ref().context("its workers were not emulated: nobody knows what they did")?;
    let mean_s = if spec.basis == "ranges" { MIDPOINTS_S } else { MEASURED_S };
    let mut emulation = Emulation { mean_s, startup_s: spec.startup_s, ..Emulation::default() };
    emulation.max_workers = about.max_workers.unwrap_or(emulation.max_workers);
    let begun_ms = about.begun_at.as_millisecond();
    let mut sent: Vec<Sent> = report
        .stories
        .iter()
        .map(|story| Sent {
            at_s: (story.created_ms - begun_ms).max(0) as f64 / 1000.0 * about.time_scale,
            length_s: story.length_s.unwrap_or(60.0),
            priority: story.lane == "priority",
            clips: story.clips,
        })
        .collect();
    ensure!(!sent.is_empty(), "no video of it ended");
    sent.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    let run = |of: fn(&Story) -> Option<f64>| -> Vec<f64> {
        report.stories.iter().filter_map(of).map(|seconds| seconds * about.time_scale).collect()
    };
    let (run_waits, run_work) = (run(|story| story.queue_wait_s), run(|story| story.processing_s));
    let simulated: Vec<Times> = (1..=u64::from(seeds.max(1))).map(|seed| simulate(&emulation, &sent, seed)).collect();
    let row = |name, run: &[f64], share: f64, of: fn(&Times) -> &Vec<f64>| {
        let run_s = quantile(run.to_vec(), share);
        let simulated_s =
            Band::of(&simulated.iter().map(|times| quantile(of(times).clone(), share)).collect::<Vec<f64>>());
        Row { name, run_s, simulated_s, off: (simulated_s.mid - run_s) / run_s.max(f64::MIN_POSITIVE) }
    };
    Ok(vec![
        row("wait p50", &run_waits, 0.5, |times| &times.waits_s),
        row("wait p95", &run_waits, 0.95, |times| &times.waits_s),
        row("work p50", &run_work, 0.5, |times| &times.work_s),
        row("work p95", &run_work, 0.95, |times| &times.work_s),
    ])
}

/// Times of all videos.
struct Times {
    waits_s: Vec<f64>,
    work_s: Vec<f64>,
}

fn simulate(emulation: &Emulation, sent: &[Sent], seed: u64) -> Times {
    let policy = Policy { tick_s: emulation.tick_s, startup_s: emulation.startup_s, ..Policy::default() };
    let length_s = sent.last().map_or(0.0, |video| video.at_s) + PATIENCE_S;
    let load = emulation.load(sent, seed);
    let outcome = engine::run(&emulation.flow(), &load, &mut Planned::new(policy), length_s);
    let work_s = outcome.processing_s().into_iter().flatten().collect();
    Times { waits_s: outcome.queue_waits_s(&system::BEFORE, &system::SEGMENTS), work_s }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_is_simulated_from_its_report() {
        let story = |number: i64| {
            json!({"id": "v", "created_ms": 1000 + number * 10, "lane": "express", "length_s": 120.0, "clips": 3,
                "queue_wait_s": 10.0, "processing_s": 40.0, "state": "done"})
        };
        let emulated = json!({"seed": 1, "time_scale": 5.0, "basis": "measured", "startup_s": 45.0});
        let about =
            json!({"begun_at": "1970-01-01T00:00:01Z", "time_scale": 5.0, "max_workers": 40, "emulated": emulated});
        let report = json!({"about": about, "stories": (0..20).map(story).collect::<Vec<_>>(), "more": 1});
        let rows = beside(&report.to_string(), 2).unwrap();
        assert_eq!(rows.iter().map(|row| row.run_s).collect::<Vec<_>>(), [50.0, 50.0, 200.0, 200.0]);
        assert!(rows.iter().all(|row| row.simulated_s.low > 0.0 && row.off.is_finite()), "{rows:?}");
    }

    #[test]
    fn what_cannot_be_compared_says_so() {
        let about =
            json!({"begun_at": "1970-01-01T00:00:01Z", "time_scale": 1.0, "max_workers": null, "emulated": null});
        let real = json!({"about": about, "stories": []});
        for (text, words) in [("{}".to_owned(), "understand"), (real.to_string(), "not emulated")] {
            let error = format!("{:#}", beside(&text, 1).unwrap_err());
            assert!(error.contains(words), "{error}");
        }
    }
}
