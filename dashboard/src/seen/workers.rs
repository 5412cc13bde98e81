//! Who works, by what each worker says of itself.

use std::collections::BTreeMap;

use pipeline::event::{WorkerReport, WorkerState};
use pipeline::id::VideoId;
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use pipeline::workers::SILENCE;
use planning::stages::STAGES;

/// How long a worker is remembered that went silent without a word, in milliseconds.
const REMEMBERED_MS: i64 = 10 * 60_000;

/// The workers that were heard of lately, by id.
#[derive(Debug, Default)]
pub struct Workers {
    heard: BTreeMap<String, WorkerReport>,
    /// Those that say nothing any more, as they last spoke. They count for nothing.
    silent: BTreeMap<String, WorkerReport>,
}

/// What the workers of a stage come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Crew {
    /// Processes.
    pub processes: u32,
    /// Those of them that take work.
    pub processes_ready: u32,
    /// The most slots that one of them has.
    pub most_slots: u32,
    /// Slots that take work.
    pub ready: u32,
    /// Slots that will soon.
    pub starting: u32,
    /// Slots with a unit in hand.
    pub busy: u32,
    /// Slots whose worker waits for a dependency.
    pub paused: u32,
    /// Slots of workers that end.
    pub draining: u32,
}

/// What is known of the quota of the outside service that a stage asks.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Quota {
    /// Requests that the service still allows within the next hour, by the worker that was told the least: all ask the same
    /// service, and who asked long ago knows less.
    pub left: Option<f64>,
    /// Requests that all workers sent within the last hour.
    pub used: Option<u64>,
    /// Requests that the service allows within an hour.
    pub limit: Option<f64>,
}

/// A unit that a worker has in hand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InHand {
    /// Its stage, a [`StageName`] as a number.
    pub stage: i32,
    /// Who has it.
    pub worker: String,
    /// Its name.
    pub unit: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: i64,
}

impl Workers {
    /// Hears a report; an older one than is known changes nothing.
    pub fn hear(&mut self, report: WorkerReport) {
        let known = self.heard.get(&report.worker).or_else(|| self.silent.get(&report.worker));
        if known.is_none_or(|known| known.at_ms <= report.at_ms) {
            self.silent.remove(&report.worker);
            self.heard.insert(report.worker.clone(), report);
        }
    }

    /// Counts as silent who has not been heard of for a while, and forgets who has been for long, or has left in order.
    pub fn forget(&mut self, now_ms: i64) {
        let is_silent = |report: &WorkerReport| now_ms - report.at_ms >= SILENCE.as_millis() as i64;
        let has_left = |report: &WorkerReport| report.state() == WorkerState::Draining && report.busy == 0;
        let gone = self.heard.extract_if(.., |_, report| is_silent(report));
        self.silent.extend(gone.filter(|(_, report)| !has_left(report)));
        self.silent.retain(|_, report| now_ms - report.at_ms < REMEMBERED_MS);
    }

    /// Returns the last report of each worker, by stage and id.
    pub fn all(&self) -> Vec<&WorkerReport> {
        let mut all: Vec<&WorkerReport> = self.heard.values().collect();
        all.sort_by(|a, b| (a.stage, &a.worker).cmp(&(b.stage, &b.worker)));
        all
    }

    /// Returns the last report of each worker that went silent without a word, the last to do so first.
    pub fn silent(&self) -> Vec<&WorkerReport> {
        let mut silent: Vec<&WorkerReport> = self.silent.values().collect();
        silent.sort_by_key(|report| -report.at_ms);
        silent
    }

    /// Returns one worker's last report, unless it is silent.
    pub fn one(&self, worker: &str) -> Option<&WorkerReport> {
        self.heard.get(worker)
    }

    /// Returns the units of `video` that workers have in hand.
    pub fn in_hand(&self, video: VideoId) -> Vec<InHand> {
        let video = video.to_string();
        let mut units = Vec::new();
        for report in self.heard.values() {
            for unit in report.units.iter().filter(|unit| unit.video == video) {
                let since_ms = report.at_ms - i64::try_from(unit.age_ms).unwrap_or(0);
                let (stage, worker, unit) = (report.stage, report.worker.clone(), unit.unit.clone());
                units.push(InHand { stage, worker, unit, since_ms });
            }
        }
        units
    }

    /// Returns what the workers of `stage` come to.
    pub fn crew(&self, stage: StageName) -> Crew {
        let mut crew = Crew::default();
        for report in self.heard.values().filter(|report| report.stage == stage as i32) {
            crew.processes += 1;
            crew.most_slots = crew.most_slots.max(report.slots);
            crew.busy += report.busy;
            match report.state() {
                WorkerState::Starting => crew.starting += report.slots,
                WorkerState::Ready => {
                    crew.processes_ready += 1;
                    crew.ready += report.slots;
                    crew.starting += report.slots_starting_ms.len() as u32;
                }
                WorkerState::Paused => crew.paused += report.slots,
                WorkerState::Draining => crew.draining += report.slots.max(report.busy),
            }
        }
        crew
    }

    /// Returns how many units the workers of `stage` have in hand, by lane.
    pub fn in_hand_by_lane(&self, stage: StageName) -> [i64; Lane::ALL.len()] {
        let mut in_hand = [0; Lane::ALL.len()];
        let reports = self.heard.values().filter(|report| report.stage == stage as i32);
        for unit in reports.flat_map(|report| &report.units) {
            in_hand[unit.lane().index()] += 1;
        }
        in_hand
    }

    /// Returns when the oldest record came that workers of `stage` have fetched and nobody has begun, in milliseconds since the
    /// Unix epoch: `Some(None)` if they have begun all, nothing if there is no worker that could fetch.
    pub fn oldest_fetched_ms(&self, stage: StageName) -> Option<Option<i64>> {
        let fetch = |report: &&WorkerReport| {
            report.stage == stage as i32 && matches!(report.state(), WorkerState::Ready | WorkerState::Paused)
        };
        let mut fetching = self.heard.values().filter(fetch).peekable();
        fetching.peek()?;
        let came_ms = |report: &WorkerReport| report.at_ms.saturating_sub_unsigned(report.head_age_ms);
        Some(fetching.filter(|report| report.queued > 0).map(came_ms).min())
    }

    /// Returns what the workers of `stage` know of an outside service; nothing where none knows anything.
    pub fn quota(&self, stage: StageName) -> Option<Quota> {
        let reports = || self.heard.values().filter(|report| report.stage == stage as i32);
        let quota = Quota {
            left: reports().filter_map(|report| report.outside_quota_left).reduce(f64::min),
            used: reports().filter_map(|report| report.outside_quota_used).reduce(u64::saturating_add),
            limit: reports().filter_map(|report| report.outside_quota_limit).reduce(f64::max),
        };
        (quota != Quota::default()).then_some(quota)
    }

    /// Returns how many requests workers sent to outside services within the last hour; nothing where none asks one.
    pub fn outside_used(&self) -> Option<u64> {
        self.heard.values().filter_map(|report| report.outside_quota_used).reduce(u64::saturating_add)
    }

    /// Returns what all workers come to that do work; gatherers, which have a task a partition, do not count.
    pub fn whole(&self) -> Crew {
        let mut whole = Crew::default();
        for crew in STAGES.map(|stage| self.crew(stage)) {
            whole.processes += crew.processes;
            whole.processes_ready += crew.processes_ready;
            whole.most_slots = whole.most_slots.max(crew.most_slots);
            whole.ready += crew.ready;
            whole.starting += crew.starting;
            whole.busy += crew.busy;
            whole.paused += crew.paused;
            whole.draining += crew.draining;
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use pipeline::event;

    use super::*;

    fn report(worker: &str, at_ms: i64, state: WorkerState, slots: u32, busy: u32) -> WorkerReport {
        WorkerReport {
            worker: worker.to_owned(),
            stage: StageName::Cut as i32,
            at_ms,
            state: state as i32,
            slots,
            busy,
            ..WorkerReport::default()
        }
    }

    #[test]
    fn slots_are_counted_by_what_their_worker_does_and_silence_ends_it() {
        let mut workers = Workers::default();
        workers.hear(report("a", 1000, WorkerState::Ready, 4, 2));
        workers.hear(report("b", 1000, WorkerState::Paused, 3, 0));
        workers.hear(report("c", 9000, WorkerState::Starting, 2, 0));
        workers.hear(report("a", 500, WorkerState::Starting, 4, 0)); // late
        let crew = workers.crew(StageName::Cut);
        assert_eq!((crew.ready, crew.busy, crew.paused, crew.starting), (4, 2, 3, 2));
        assert_eq!((crew.processes, crew.processes_ready, crew.most_slots), (3, 1, 4));
        assert_eq!(workers.crew(StageName::Fetch), Crew::default());
        assert_eq!((workers.quota(StageName::Cut), workers.outside_used()), (None, None));
        for (worker, at_ms, left, used) in [("b", 1000, 70.0, 3), ("c", 9000, 90.0, 40)] {
            let report = report(worker, at_ms, WorkerState::Starting, 2, 0);
            let (outside_quota_left, outside_quota_used) = (Some(left), Some(used));
            workers.hear(WorkerReport { outside_quota_left, outside_quota_used, ..report });
        }
        let quota = Quota { left: Some(70.0), used: Some(43), limit: None };
        assert_eq!((workers.quota(StageName::Cut), workers.outside_used()), (Some(quota), Some(43)));
        assert_eq!(workers.oldest_fetched_ms(StageName::Cut), Some(None), "all is begun");
        let mut fetched = report("a", 1000, WorkerState::Ready, 4, 1);
        (fetched.queued, fetched.head_age_ms) = (3, 700);
        let (video, unit, lane) = (String::new(), String::new(), Lane::Batch as i32);
        fetched.units = vec![event::UnitInHand { video, unit, lane, age_ms: 900 }];
        workers.hear(fetched);
        assert_eq!(workers.oldest_fetched_ms(StageName::Cut), Some(Some(300)));
        assert_eq!(workers.oldest_fetched_ms(StageName::Fetch), None, "nobody is there");
        assert_eq!(workers.in_hand_by_lane(StageName::Cut)[Lane::Batch.index()], 1);
        workers.forget(16_000);
        assert_eq!(workers.all().iter().map(|report| &*report.worker).collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn who_falls_silent_is_remembered_for_a_while_and_counts_for_nothing() {
        let mut workers = Workers::default();
        workers.hear(report("dead", 1000, WorkerState::Ready, 4, 2));
        workers.hear(report("died-on-leaving", 2000, WorkerState::Draining, 4, 1));
        workers.hear(report("left", 2000, WorkerState::Draining, 4, 0));
        workers.hear(report("slow", 3000, WorkerState::Ready, 4, 0));
        workers.forget(20_000);
        let silent = |workers: &Workers| workers.silent().iter().map(|one| one.worker.clone()).collect::<Vec<_>>();
        assert_eq!(silent(&workers), ["slow", "died-on-leaving", "dead"]);
        assert_eq!((workers.crew(StageName::Cut), workers.one("dead")), (Crew::default(), None));
        workers.hear(report("slow", 21_000, WorkerState::Ready, 4, 0));
        assert_eq!((silent(&workers).len(), workers.crew(StageName::Cut).ready), (2, 4));
        workers.forget(1000 + REMEMBERED_MS);
        assert_eq!(silent(&workers), ["slow", "died-on-leaving"]);
    }
}
