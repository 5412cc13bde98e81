//! What the autoscaler saw and decided lately, and what persons have fixed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use planning::pin::Pin;
use planning::record::Recorded;

/// How far back decisions are read and kept, in milliseconds.
pub const KEPT_MS: i64 = 3 * 3_600_000;
/// An autoscaler that said nothing for this long is not running, in milliseconds: it speaks each tick of five seconds.
const SILENT_MS: i64 = 30_000;

/// One tick of the autoscaler.
#[derive(Clone, Debug)]
pub struct Tick {
    /// When it was published, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What was seen and decided.
    pub recorded: Arc<Recorded>,
}

/// What the autoscaler saw and decided lately.
#[derive(Debug, Default)]
pub struct Scaling {
    ticks: VecDeque<Tick>,
    /// What persons have fixed while it runs, by stage.
    pub pins: BTreeMap<String, Pin>,
}

impl Scaling {
    /// Hears a decision that was published at `at_ms`.
    pub fn hear(&mut self, at_ms: i64, recorded: Recorded) {
        self.ticks.push_back(Tick { at_ms, recorded: Arc::new(recorded) });
    }

    /// Hears a record of `autoscaler.pin`.
    pub fn hear_pin(&mut self, stage: &str, body: &[u8]) {
        if body.is_empty() {
            self.pins.remove(stage);
        } else if let Ok(pin) = serde_json::from_slice(body) {
            self.pins.insert(stage.to_owned(), pin);
        }
    }

    /// Forgets what is too old.
    pub fn forget(&mut self, now_ms: i64) {
        while self.ticks.front().is_some_and(|tick| now_ms - tick.at_ms > KEPT_MS) {
            self.ticks.pop_front();
        }
    }

    /// Returns the ticks, oldest first.
    pub fn ticks(&self) -> impl DoubleEndedIterator<Item = &Tick> + ExactSizeIterator {
        self.ticks.iter()
    }

    /// Returns the ticks since `since_ms`, oldest first.
    pub fn since(&self, since_ms: i64) -> Vec<Tick> {
        let first = self.ticks.partition_point(|tick| tick.at_ms < since_ms);
        self.ticks.range(first..).cloned().collect()
    }

    /// Returns how many workers of all stages there are to be, unless the autoscaler is silent.
    pub fn target(&self, now: Timestamp) -> Option<u32> {
        Some(self.last(now)?.recorded.decided.iter().map(|decided| decided.replicas).sum())
    }

    /// Returns the last tick, unless the autoscaler has been silent since.
    pub fn last(&self, now: Timestamp) -> Option<&Tick> {
        self.ticks.back().filter(|tick| now.as_millisecond() - tick.at_ms < SILENT_MS)
    }
}
