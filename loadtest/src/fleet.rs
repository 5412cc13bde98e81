//! The workers and what is decided about them, as their topics tell it.

use std::collections::BTreeMap;

use pipeline::event::{WorkerReport, WorkerState};
use pipeline::stage::StageName;
use pipeline::workers::SILENCE;
use serde::{Deserialize, Serialize};

/// The stages whose units are worked on in slots, in the order of the flow.
pub const WORK: [StageName; 6] =
    [StageName::Fetch, StageName::Split, StageName::Transcribe, StageName::Analyze, StageName::Moments, StageName::Cut];

/// A worker that has said nothing for so long is gone, in milliseconds.
const GONE_AFTER_MS: i64 = SILENCE.as_millis() as i64;

/// One stage's workers at a moment.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Workers {
    /// Units they can work on at once.
    pub slots: u32,
    /// Units they work on.
    pub busy: u32,
    /// Slots that are starting.
    pub starting: u32,
    /// Records they have fetched and not begun.
    pub queued: u32,
}

/// All stages at a moment.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Fleet {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Their workers.
    pub stages: BTreeMap<String, Workers>,
    /// How many slots each is to have.
    pub wanted: BTreeMap<String, u32>,
    /// Records that wait or are worked on, by stage and lane.
    pub lag: BTreeMap<String, BTreeMap<String, f64>>,
}

/// A decision about one stage.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Decided {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The stage.
    pub stage: String,
    /// How many slots it had, ready or starting.
    #[serde(default)]
    pub had: u32,
    /// How many slots it is to have.
    pub wanted: u32,
    /// Why.
    pub reason: String,
}

/// What was heard last of each worker, and what was decided.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    reports: BTreeMap<String, WorkerReport>,
    /// Decisions that changed something, in order.
    pub changes: Vec<Decided>,
    wanted: BTreeMap<String, u32>,
}

impl Heard {
    /// Takes a report.
    pub fn report(&mut self, report: WorkerReport) {
        self.reports.insert(report.worker.clone(), report);
    }

    /// Takes a decision.
    pub fn decided(&mut self, decided: Decided) {
        if self.wanted.insert(decided.stage.clone(), decided.wanted) != Some(decided.wanted) {
            self.changes.push(decided);
        }
    }

    /// Returns how it stands at `at_ms`; workers of which nothing was heard for long are forgotten.
    pub fn now(&mut self, at_ms: i64) -> Fleet {
        self.reports.retain(|_, report| report.at_ms + GONE_AFTER_MS > at_ms);
        let mut stages: BTreeMap<String, Workers> = BTreeMap::new();
        for report in self.reports.values() {
            let workers = stages.entry(report.stage().to_string()).or_default();
            workers.busy += report.busy;
            if report.state() == WorkerState::Draining {
                continue;
            }
            workers.slots += report.slots;
            workers.starting += report.slots_starting_ms.len() as u32;
            workers.queued += report.queued;
        }
        Fleet { at_ms, stages, wanted: self.wanted.clone(), lag: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(worker: &str, at_ms: i64, state: WorkerState, slots: u32, busy: u32) -> WorkerReport {
        let stage = StageName::Cut as i32;
        WorkerReport { worker: worker.to_owned(), stage, at_ms, state: state as i32, slots, busy, ..Default::default() }
    }

    #[test]
    fn slots_of_those_who_drain_or_are_gone_do_not_count() {
        let mut heard = Heard::default();
        heard.report(report("a", 1_000, WorkerState::Ready, 4, 3));
        heard.report(report("b", 1_000, WorkerState::Draining, 4, 1));
        heard.report(report("c", -20_000, WorkerState::Ready, 9, 9));
        let fleet = heard.now(2_000);
        assert_eq!(fleet.stages["cut"], Workers { slots: 4, busy: 4, ..Workers::default() });
    }

    #[test]
    fn decisions_that_change_nothing_are_not_kept() {
        let mut heard = Heard::default();
        for (at_ms, wanted) in [(1, 2), (2, 2), (3, 5)] {
            heard.decided(Decided { at_ms, stage: "cut".to_owned(), had: 0, wanted, reason: String::new() });
        }
        assert_eq!(heard.changes.iter().map(|change| change.at_ms).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(heard.now(4).wanted["cut"], 5);
    }
}
