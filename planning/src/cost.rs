//! What work and machines cost: measured or given, each number with its source.

use anyhow::{Context, Result, ensure};
use serde::Serialize;

/// What a video may cost, in dollars.
pub const VIDEO_MAY_COST: f64 = 0.05;
/// What it is to cost one day, in dollars.
pub const VIDEO_IS_TO_COST: f64 = 0.03;

/// Time of one slot that a stage takes.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StageCost {
    /// The stage, one of [`STAGES`](crate::stages::STAGES).
    pub stage: &'static str,
    /// Busy seconds of a slot for each second of the video; of `cut` for each second of its clips.
    pub busy_s_per_media_s: f64,
    /// Where the number comes from.
    pub source: String,
}

/// What each stage's work costs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Costs {
    /// In the order of [`STAGES`](crate::stages::STAGES).
    pub stages: Vec<StageCost>,
    /// Standard deviation over mean of the time that one unit takes.
    pub variation: f64,
}

/// What is paid for, in one currency.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Prices {
    /// A worker for an hour.
    pub worker_hour: f64,
    /// Everything that always runs (brokers, store, API, gatherers) for an hour.
    pub base_hour: f64,
    /// A gigabyte of blobs for a month.
    pub storage_gb_month: f64,
    /// A video in the system that this one replaces.
    pub old_video: f64,
    /// Where the numbers come from.
    pub source: String,
}

impl Default for Prices {
    fn default() -> Self {
        Self {
            worker_hour: 0.045,
            base_hour: 0.67,
            storage_gb_month: 0.023,
            old_video: 0.10,
            source: "list prices of Amazon us-east-1, on demand, without traffic: a worker is Fargate Linux x86 with 1 vCPU \
                     (0.04048) and 1 GB (0.004445); always on are six m6i.large (0.096 each: three brokers, three of the \
                     store) and two workers (API, gatherers); S3 standard; the old system's price is its own statement"
                .to_owned(),
        }
    }
}

impl Costs {
    /// Returns what was measured of this product, in the slowest run that `docs/speed.md` tells of: what is planned must do in a
    /// bad hour too.
    pub fn measured() -> Self {
        const TALK: &str = "README.md, first demonstration: busy time for a talk of 86 s";
        const MINUTE: &str =
            "docs/speed.md, the slowest run: CPU seconds for one minute of 1280x720, two cores of an AMD EPYC";
        let cost = |stage, busy_s_per_media_s, source: &str| StageCost {
            stage,
            busy_s_per_media_s,
            source: source.to_owned(),
        };
        let stages = vec![
            cost("fetch", 0.15 / 86.0, TALK),
            cost("split", 0.30 / 86.0, TALK),
            cost("transcribe", 9.9 / 60.0, MINUTE),
            cost("analyze", (6.2 + 4.9) / 60.0, MINUTE),
            cost("moments", 0.04 / 86.0, TALK),
            cost("cut", 37.7 / 45.0, "docs/speed.md, the same, for 45 s of clips"),
        ];
        Self { stages, variation: 0.3 }
    }

    /// Reads the costs out of what `spillway bench --json` wrote: time on the wall of the bare work in one thread, times
    /// what the whole pipeline took beside it.
    ///
    /// # Errors
    /// When the text is no such report, or no video was measured.
    pub fn from_bench(json: &str, name: &str) -> Result<Self> {
        let report: serde_json::Value = serde_json::from_str(json).with_context(|| format!("understand {name}"))?;
        let pipeline = &report["measured"]["pipeline"];
        let floors = pipeline["floors"].as_array().filter(|floors| !floors.is_empty());
        let floors =
            floors.with_context(|| format!("{name} has no video measured: give `spillway bench` a --video"))?;
        let sum = |of: &dyn Fn(&serde_json::Value) -> Option<f64>| -> Option<f64> { floors.iter().map(of).sum() };
        let spent = |part: &'static str| {
            sum(&|floor| floor[part]["wall_s"].as_f64()).with_context(|| format!("{name} does not tell {part}"))
        };
        let length_s = sum(&|floor| floor["duration_s"].as_f64()).context("no duration_s")?;
        let clips_s = sum(&|floor| {
            let span = |clip: &serde_json::Value| Some(clip[1].as_f64()? - clip[0].as_f64()?);
            floor["clips"].as_array()?.iter().map(span).sum()
        });
        let clips_s = clips_s.filter(|seconds| *seconds > 0.0).with_context(|| format!("{name} has no clips"))?;
        ensure!(length_s > 0.0, "{name} has no length of video");
        let beside = beside_the_floor(pipeline).unwrap_or(1.0).max(1.0);
        let mut costs = Self::measured();
        // The bare work does not part these three: they keep their shares of what it took.
        let apart_s = spent("apart")? / length_s;
        let known: f64 = ["fetch", "split", "moments"].map(|stage| costs.of(stage)).iter().sum();
        let scale = apart_s / known;
        for (stage, cost) in [
            ("fetch", costs.of("fetch") * scale),
            ("split", costs.of("split") * scale),
            ("transcribe", spent("speech")? / length_s),
            ("analyze", spent("picture")? / length_s),
            ("moments", costs.of("moments") * scale),
            ("cut", spent("encode")? / clips_s),
        ] {
            costs.set(stage, cost * beside, &format!("{name}: one thread's time, times {beside:.3}"));
        }
        Ok(costs)
    }

    /// Returns the busy seconds of `stage` for a media second; 0 for a stage that has none.
    pub fn of(&self, stage: &str) -> f64 {
        self.stages.iter().find(|cost| cost.stage == stage).map_or(0.0, |cost| cost.busy_s_per_media_s)
    }

    /// Sets the cost of `stage`; returns whether there is such a stage.
    pub fn set(&mut self, stage: &str, busy_s_per_media_s: f64, source: &str) -> bool {
        let found = self.stages.iter_mut().find(|cost| cost.stage == stage);
        found.is_some_and(|cost| {
            cost.busy_s_per_media_s = busy_s_per_media_s;
            source.clone_into(&mut cost.source);
            true
        })
    }
}

/// Returns the CPU time of the pipeline with many videos beside that of the bare work.
fn beside_the_floor(pipeline: &serde_json::Value) -> Option<f64> {
    Some(pipeline["many"]["cpu_s"].as_f64()? / pipeline["many_floor"]["cpu_s"].as_f64()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> serde_json::Value {
        let spent = |wall_s: f64| serde_json::json!({"cpu_s": wall_s, "wall_s": wall_s});
        let floor = serde_json::json!({"duration_s": 60.0, "clips": [[0.0, 15.0], [20.0, 35.0]], "picture": spent(6.0),
            "speech": spent(12.0), "encode": spent(15.0), "apart": spent(0.6)});
        let (many, many_floor) = (serde_json::json!({"videos": 10, "cpu_s": 363.0}), spent(330.0));
        let pipeline = serde_json::json!({"floors": [floor], "videos": 1, "many": many, "many_floor": many_floor});
        serde_json::json!({"measured": {"pipeline": pipeline}})
    }

    #[test]
    fn costs_are_those_of_the_bench_times_what_the_pipeline_adds() {
        let costs = Costs::from_bench(&report().to_string(), "bench.json").unwrap();
        let near =
            |stage: &str, wanted: f64| assert!((costs.of(stage) - wanted).abs() < 1e-9, "{stage}: {}", costs.of(stage));
        near("analyze", 0.1 * 1.1);
        near("transcribe", 0.2 * 1.1);
        near("cut", 0.5 * 1.1);
        let apart: f64 = ["fetch", "split", "moments"].iter().map(|stage| costs.of(stage)).sum();
        assert!((apart - 0.01 * 1.1).abs() < 1e-9, "{apart}");
        assert!(costs.stages.iter().all(|cost| cost.source.starts_with("bench.json")));
    }

    #[test]
    fn what_is_taken_as_measured_is_what_the_page_says_of_the_slowest_run() {
        let page = include_str!("../../docs/speed.md");
        let planned = |row: &str| {
            let line = page.lines().find(|line| line.starts_with(&format!("| planned: {row}"))).expect("a row");
            let cell = line.split('|').rev().nth(1).expect("the last column");
            cell.trim().parse::<f64>().expect("a number")
        };
        let costs = Costs::measured();
        let near = |stage: &str, wanted: f64| assert!((costs.of(stage) - wanted).abs() < 1e-9, "{stage}");
        near("analyze", (planned("decoding") + planned("looking for faces")) / 60.0);
        near("transcribe", planned("speech") / 60.0);
        near("cut", planned("encoding") / 45.0);
    }

    #[test]
    fn what_is_no_bench_says_so() {
        for (text, words) in [
            ("{", "understand b.json"),
            ("{}", "no video measured"),
            (r#"{"measured":{"pipeline":{"floors":[]}}}"#, "no video measured"),
            (r#"{"measured":{"pipeline":{"floors":[{"duration_s":1,"clips":[]}]}}}"#, "no clips"),
        ] {
            let error = format!("{:#}", Costs::from_bench(text, "b.json").unwrap_err());
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
