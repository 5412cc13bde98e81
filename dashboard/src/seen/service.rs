//! How the service as a whole is, as its ingest processes judge it.

use std::collections::BTreeMap;

use pipeline::event::SystemState;

/// What an ingest process said counts for this long, in milliseconds: it speaks every five seconds.
const COUNTS_MS: i64 = 20_000;

/// The last word of each ingest process.
#[derive(Debug, Default)]
pub struct Service {
    said: BTreeMap<String, SystemState>,
}

impl Service {
    /// Hears one of them.
    pub fn hear(&mut self, state: SystemState) {
        self.said.insert(state.process.clone(), state);
    }

    /// Forgets those that are silent.
    pub fn forget(&mut self, now_ms: i64) {
        self.said.retain(|_, state| now_ms - state.at_ms < COUNTS_MS);
    }

    /// Returns what each says.
    pub fn all(&self) -> impl Iterator<Item = &SystemState> {
        self.said.values()
    }

    /// Returns why videos are made with less work, if they are.
    pub fn degraded(&self) -> Vec<String> {
        let mut reasons: Vec<String> = self.all().flat_map(|state| state.reasons.clone()).collect();
        reasons.sort();
        reasons.dedup();
        reasons
    }

    /// Returns why videos are refused, if they are.
    pub fn refusing(&self) -> Option<String> {
        self.all().find(|state| !state.refusing.is_empty()).map(|state| state.refusing.clone())
    }
}
