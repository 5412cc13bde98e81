//! What waits in the brokers for each stage.

use std::collections::BTreeMap;

use pipeline::kafka::lag::{LaneLag, Read};
use pipeline::stage::StageName;

/// What waits, as it was last read.
#[derive(Debug, Default)]
pub struct Queues {
    lanes: BTreeMap<StageName, Vec<LaneLag>>,
    /// Why a stage's queue is not known, by stage.
    pub unknown: BTreeMap<StageName, String>,
    /// When it was read, in milliseconds since the Unix epoch.
    pub read_at_ms: Option<i64>,
    /// Why the last attempt to read came to nothing.
    pub trouble: Option<String>,
}

impl Queues {
    /// Takes in what was read at `at_ms`; a stage whose group did not answer keeps what was known, and says so.
    pub fn take(&mut self, read: Read, at_ms: i64) {
        self.unknown.clear();
        for (stage, lanes) in read {
            match lanes {
                Ok(lanes) => drop(self.lanes.insert(stage, lanes)),
                Err(error) => drop(self.unknown.insert(stage, format!("{error:#}"))),
            }
        }
        self.read_at_ms = Some(at_ms);
        self.trouble = None;
    }

    /// Returns the lanes of `stage`, most urgent first; gatherers have one.
    pub fn of(&self, stage: StageName) -> &[LaneLag] {
        self.lanes.get(&stage).map_or(&[], |lanes| lanes)
    }

    /// Returns how many records wait for `stage` or are in its hands.
    pub fn records(&self, stage: StageName) -> i64 {
        self.of(stage).iter().map(waiting).sum()
    }

    /// Returns how long the oldest record waits for `stage` or is in its hands, in seconds.
    pub fn oldest_s(&self, stage: StageName, now_ms: i64) -> Option<f64> {
        let oldest = self.of(stage).iter().filter_map(|lane| lane.oldest_ms).min()?;
        Some((now_ms - oldest).max(0) as f64 / 1e3)
    }
}

/// Returns how many records lie in a lane that nobody has acknowledged.
pub fn waiting(lane: &LaneLag) -> i64 {
    (lane.end_total - lane.committed_total).max(0)
}
