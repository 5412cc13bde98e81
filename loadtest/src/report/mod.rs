//! Everything about a run: written as JSON, and shown as text and as a page.

pub mod compare;
pub mod html;
pub mod kept;
pub mod text;

use std::path::Path;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::drive::Sent;
use crate::fleet::{Decided, Fleet};
use crate::limits::Limit;
use crate::machine::Machine;
use crate::measures::Measures;
use crate::schedule::Curve;
use crate::spec::Spec;
use crate::story::Story;
use crate::verdict::Target;

/// What was run, and where.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct About {
    /// This program's version, and how it was built.
    pub spillway: String,
    /// The schedule's name.
    pub schedule: String,
    /// All that is drawn follows from it.
    pub seed: u64,
    /// When the schedule began.
    pub begun_at: Timestamp,
    /// Where the videos were sent.
    pub server: String,
    /// What was emulated, if workers were.
    pub emulated: Option<Spec>,
    /// The most slots that there may be, if this run says so.
    pub max_workers: Option<u32>,
    /// How many times faster than the schedule it went.
    pub time_scale: f64,
    /// What was sent.
    pub material: String,
    /// Cores of the machine that sent.
    pub cores: usize,
    /// Its processor.
    pub processor: String,
}

/// A run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// What was run.
    pub about: About,
    /// When videos were to come.
    pub curve: Curve,
    /// What it came to.
    pub measures: Measures,
    /// The targets.
    pub targets: Vec<Target>,
    /// How near each resource was to its end.
    pub limits: Vec<Limit>,
    /// What was sent.
    pub sent: Vec<Sent>,
    /// What ended.
    pub stories: Vec<Story>,
    /// The workers over time.
    pub fleets: Vec<Fleet>,
    /// What was decided about them.
    pub changes: Vec<Decided>,
    /// This machine over time.
    pub machine: Vec<Machine>,
}

impl Report {
    /// Reads a run that was written before.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no report of a load test", file.display()))
    }

    /// Writes the run.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_vec(self).context("write the report as JSON")?;
        std::fs::write(file, text).with_context(|| format!("write {}", file.display()))
    }

    /// Returns the moment of the schedule at real time `at_ms`, in its seconds.
    fn at_s(&self, at_ms: i64) -> f64 {
        (at_ms - self.about.begun_at.as_millisecond()) as f64 / 1000.0 * self.about.time_scale
    }
}

impl About {
    /// Says what the numbers rest on, a sentence each.
    pub fn sentences(&self, curve: &Curve) -> Vec<String> {
        let mut sentences = vec![format!(
            "{} arrivals over {:.0} s as the schedule {} has them, seed {}, in an open model: they came when they were \
             to come, whatever the system did.",
            curve.count(),
            curve.length_s(),
            self.schedule,
            self.seed
        )];
        sentences.push(format!("Sent to {}: {}.", self.server, self.material));
        if let Some(spec) = &self.emulated {
            sentences.push(format!(
                "Workers are emulated: their times are drawn from the old system's ranges with a mean of {:.0} s a video, a \
                 new slot starts for {:.0} s. The API, Kafka, the store, gathering and the autoscaler are real.",
                spec.basis.mean_s(),
                spec.startup_s
            ));
        }
        if self.time_scale != 1.0 {
            let scale = self.time_scale;
            sentences.push(format!(
                "Everything went {scale} times faster than that; times below are those of the schedule ({scale} times the \
                 real ones). Acceptance alone is in real seconds, under {scale} times the load."
            ));
        }
        sentences.push(format!("{} on {} cores of {}.", self.spillway, self.cores, self.processor));
        sentences
    }
}
