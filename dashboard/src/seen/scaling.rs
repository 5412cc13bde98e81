//! What the autoscaler saw and decided lately, and what persons have fixed.

mod keda;
#[cfg(test)]
pub mod made;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use pipeline::stage::StageName;
use planning::observation::Stage;
use planning::pin::Pin;
use planning::record::Recorded;

use super::HOUR_MS;
use super::workers::Workers;
pub use keda::Keda;
use keda::Rivals;

/// How far back decisions are read and kept, in milliseconds.
pub const KEPT_MS: i64 = 3 * HOUR_MS;
/// An autoscaler that said nothing for this long is not running, in milliseconds: it speaks each tick of five seconds.
const SILENT_MS: i64 = 30_000;

/// How long records may wait where nobody says something else, in seconds.
const USUAL_WAIT_TARGET_S: f64 = 120.0;

/// One tick of the autoscaler.
#[derive(Clone, Debug)]
pub struct Tick {
    /// When it was published, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What was seen and decided.
    pub recorded: Arc<Recorded>,
    /// What KEDA would have had then, for each stage that was seen, in that order.
    pub keda: Arc<[Keda]>,
}

impl Tick {
    /// Returns how many slots `stage` is to have: it is scaled by workers, each of which may have several.
    pub fn target_slots(&self, stage: &str) -> Option<u32> {
        let decided = self.recorded.decided.iter().find(|decided| decided.stage == stage)?;
        let slots = self.seen(stage).map_or(1, |seen| seen.slots_per_worker.max(1));
        Some(decided.replicas.saturating_mul(slots))
    }

    /// Returns what was seen of `stage`.
    pub fn seen(&self, stage: &str) -> Option<&Stage> {
        self.recorded.seen.stages.iter().find(|seen| seen.stage == stage)
    }

    /// Returns how many workers KEDA would have had of `stage`.
    pub fn keda(&self, stage: &str) -> Option<Keda> {
        let place = self.recorded.seen.stages.iter().position(|seen| seen.stage == stage)?;
        self.keda.get(place).copied()
    }
}

/// What the autoscaler saw and decided lately.
#[derive(Debug, Default)]
pub struct Scaling {
    ticks: VecDeque<Tick>,
    rivals: Rivals,
    /// What persons have fixed or released while it runs, by stage: when, in milliseconds since the Unix epoch, and how.
    pins: BTreeMap<String, (i64, Option<Pin>)>,
}

impl Scaling {
    /// Hears a decision that was published at `at_ms`.
    pub fn hear(&mut self, at_ms: i64, recorded: Recorded) {
        let keda = self.rivals.scale(&recorded.seen);
        self.ticks.push_back(Tick { at_ms, recorded: Arc::new(recorded), keda });
    }

    /// Hears a record of `autoscaler.pin` that was published at `at_ms`.
    pub fn hear_pin(&mut self, at_ms: i64, stage: &str, body: &[u8]) {
        if body.is_empty() {
            self.pins.insert(stage.to_owned(), (at_ms, None));
        } else if let Ok(pin) = serde_json::from_slice(body) {
            self.pins.insert(stage.to_owned(), (at_ms, Some(pin)));
        }
    }

    /// Returns what a person has fixed of `stage`: while the autoscaler runs, whether or not one does, or by its flags.
    pub fn pin(&self, stage: &str) -> Option<Pin> {
        let (said_ms, said) = self.pins.get(stage).copied().unwrap_or_default();
        // A tick before a release may still have what was released.
        let tick = || self.ticks.back().filter(|tick| tick.at_ms > said_ms)?.recorded.seen.pins.get(stage).copied();
        said.or_else(tick)
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

    /// Returns how many workers of all stages there are to be, unless the autoscaler is silent, or scales slots and leaves it
    /// to others how many processes have them: some have more than it takes a worker to have.
    pub fn target_workers(&self, workers: &Workers, now: Timestamp) -> Option<u32> {
        let last = self.last(now)?;
        let scales_slots = last.recorded.seen.stages.iter().any(|seen| {
            let stage: Option<StageName> = seen.stage.parse().ok();
            stage.is_some_and(|stage| workers.crew(stage).most_slots > seen.slots_per_worker.max(1))
        });
        (!scales_slots).then(|| last.recorded.decided.iter().map(|decided| decided.replicas).sum())
    }

    /// Returns how many slots of all stages there are to be, unless the autoscaler is silent.
    pub fn target(&self, now: Timestamp) -> Option<u32> {
        let last = self.last(now)?;
        Some(last.recorded.decided.iter().filter_map(|decided| last.target_slots(&decided.stage)).sum())
    }

    /// Returns how long records may wait for `stage`, in seconds: as the autoscaler that runs was told, else as it is usual.
    pub fn wait_target_s(&self, stage: &str, now: Timestamp) -> f64 {
        let seen = self.last(now).and_then(|last| last.seen(stage));
        seen.map_or(USUAL_WAIT_TARGET_S, |seen| seen.wait_slo_s)
    }

    /// Returns the longest of these targets, in seconds.
    pub fn longest_wait_target_s(&self, now: Timestamp) -> f64 {
        let stages = self.last(now).into_iter().flat_map(|last| &last.recorded.seen.stages);
        stages.map(|seen| seen.wait_slo_s).reduce(f64::max).unwrap_or(USUAL_WAIT_TARGET_S)
    }

    /// Returns the last tick, unless the autoscaler has been silent since.
    pub fn last(&self, now: Timestamp) -> Option<&Tick> {
        self.ticks.back().filter(|tick| now.as_millisecond() - tick.at_ms < SILENT_MS)
    }
}

#[cfg(test)]
mod tests {
    use pipeline::event::WorkerReport;
    use planning::observation::{Observation, Stage};

    use super::*;
    use made::{decided, stage, tick};

    #[test]
    fn what_is_to_be_is_told_in_slots() {
        let seen = |name, slots_per_worker| Stage { slots_per_worker, ..stage(name) };
        let decided = [decided("cut", 3), decided("split", 2), decided("fetch", 5)];
        let mut scaling = Scaling::default();
        scaling.hear(1000, tick([seen("cut", 4), seen("split", 1)], decided));
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        assert_eq!((scaling.target(at(2000)), scaling.target(at(40_000))), (Some(12 + 2 + 5), None));
        assert_eq!(scaling.last(at(2000)).unwrap().target_slots("cut"), Some(12));
    }

    #[test]
    fn what_is_to_be_is_told_in_workers_where_workers_are_scaled() {
        let mut scaling = Scaling::default();
        scaling.hear(1000, tick([Stage { slots_per_worker: 4, ..stage("cut") }], [decided("cut", 3)]));
        let target = |slots: u32, at_ms: i64| {
            let mut workers = Workers::default();
            let stage = StageName::Cut as i32;
            workers.hear(WorkerReport { worker: "a".to_owned(), stage, slots, ..WorkerReport::default() });
            scaling.target_workers(&workers, Timestamp::from_millisecond(at_ms).unwrap())
        };
        assert_eq!((target(4, 2000), target(4, 40_000)), (Some(3), None));
        assert_eq!(target(6, 2000), None, "three slots of which one process has more");
    }

    #[test]
    fn a_pin_is_told_without_an_autoscaler_and_gone_once_it_is_released() {
        let mut scaling = Scaling::default();
        let pin = Pin { fixed: Some(4), ..Pin::default() };
        scaling.hear_pin(1000, "cut", &serde_json::to_vec(&pin).unwrap());
        assert_eq!((scaling.pin("cut"), scaling.pin("fetch")), (Some(pin), None));
        let pinned = |at_ms| {
            let seen = Observation { pins: BTreeMap::from([("cut".to_owned(), pin)]), ..Observation::default() };
            (at_ms, Recorded { seen, ..Recorded::default() })
        };
        let (at_ms, recorded) = pinned(2000);
        scaling.hear(at_ms, recorded);
        scaling.hear_pin(3000, "cut", b"");
        assert_eq!(scaling.pin("cut"), None, "the last tick was before that");
        let (at_ms, recorded) = pinned(4000);
        scaling.hear(at_ms, recorded);
        assert_eq!(scaling.pin("cut"), Some(pin), "its flags say so");
    }
}
