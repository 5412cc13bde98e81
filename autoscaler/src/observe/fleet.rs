//! Who works: the workers of all stages, as their heartbeats tell.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use pipeline::event::{WorkerReport, WorkerState};
use pipeline::lane::Lane;
use pipeline::stage::StageName;

use crate::act::Unit;

/// How many times longer than it counts as working a silent worker is remembered, so that its work is not counted anew
/// if it is heard again.
const REMEMBER_TIMES: u32 = 40;

/// All workers that were heard.
pub struct Fleet {
    unit: Unit,
    /// How long a worker counts that says nothing.
    silence: Duration,
    workers: HashMap<String, Worker>,
    done: BTreeMap<StageName, Work>,
}

/// What was done at a stage, of all lanes together and of each.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Work {
    /// Of all.
    pub all: Done,
    /// Of each.
    pub of: [Done; Lane::ALL.len()],
}

struct Worker {
    report: WorkerReport,
    heard: Instant,
}

/// What the workers of a stage have done, those that are gone too.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Done {
    /// Units.
    pub units: u64,
    /// Time they took, in seconds.
    pub busy_s: f64,
    /// Media they stood for, in seconds.
    pub media_s: f64,
}

impl Done {
    /// Adds what a worker has done `now` beyond what it had done `before`: it only counts up, and whatever does not is no
    /// progress.
    fn add(&mut self, now: Self, before: Self) {
        self.units += now.units.saturating_sub(before.units);
        self.busy_s += (now.busy_s - before.busy_s).max(0.0);
        self.media_s += (now.media_s - before.media_s).max(0.0);
    }

    /// Returns what `report` says of all lanes together.
    fn of(report: &WorkerReport) -> Self {
        let (units, busy_s) = (report.done_total, report.busy_seconds_total);
        Self { units, busy_s, media_s: report.work_media_s_total }
    }

    /// Returns what `report` says of `lane`; nothing where an older worker does not say it.
    fn of_lane(report: &WorkerReport, lane: Lane) -> Self {
        let told = report.done_of.iter().find(|done| done.lane() == lane);
        told.map_or_else(Self::default, |done| {
            let (units, busy_s) = (done.done_total, done.busy_seconds_total);
            Self { units, busy_s, media_s: done.work_media_s_total }
        })
    }
}

/// The workers of one stage.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Crew {
    /// Replicas that take work.
    pub ready: u32,
    /// Of these, with work in hand.
    pub busy: u32,
    /// In how long those open that are starting and say so, in milliseconds of the world, soonest first.
    pub starting_ms: Vec<u32>,
    /// Replicas that say that they are starting, and not in how long they open.
    pub starting: u32,
    /// Replicas that finish what they have and take no more.
    pub draining: u32,
    /// Workers that wait for a dependency.
    pub paused_workers: u32,
    /// Workers that were heard lately, whatever they do; those that said that they end are not among them.
    pub heard: u32,
    /// Workers that fell silent without having said that they end.
    pub silent: u32,
    /// What they wait for, in words; of several the first in the order of the alphabet, so that it does not flicker.
    pub paused_for: Option<String>,
    /// Workers that take work or wait for a dependency.
    pub workers: u32,
    /// The most slots one of them has.
    pub slots_per_worker: u32,
    /// Units in hand, of all lanes.
    pub in_hand: u32,
    /// Units in hand by lane.
    pub in_hand_of: [u32; Lane::ALL.len()],
    /// Age of the oldest record that some worker has fetched and not begun, in milliseconds of the world.
    pub head_age_ms: u64,
    /// What was done.
    pub done: Work,
    /// Units that an outside service still allows within an hour, by the worker that was told the least: all ask the same
    /// one, and who asked long ago knows less.
    pub quota_left: Option<f64>,
}

impl Crew {
    /// Says why the stage is held up, if it is: half of its workers at least wait for a dependency. Not all need to: one
    /// that has just started, or has nothing to do, does not know yet.
    pub fn held_up(&self) -> Option<String> {
        let (paused, all) = (self.paused_workers, self.workers);
        if paused == 0 || 2 * paused < all {
            return None;
        }
        let what = self.paused_for.as_deref().unwrap_or("a dependency is down");
        Some(format!("{paused} of {all} workers wait: {what}"))
    }
}

impl Fleet {
    /// Knows nobody; workers that say nothing for `silence` count as gone.
    pub fn new(unit: Unit, silence: Duration) -> Self {
        Self { unit, silence, workers: HashMap::new(), done: BTreeMap::new() }
    }

    /// Returns what one replica is.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Hears a heartbeat that came at `now`.
    pub fn hear(&mut self, report: WorkerReport, now: Instant) {
        // What a worker had done before it was first heard is no progress: it may have worked for days.
        let known = self.workers.get(&report.worker).map_or(&report, |worker| &worker.report);
        let work = self.done.entry(report.stage()).or_default();
        work.all.add(Done::of(&report), Done::of(known));
        for (lane, done) in Lane::ALL.into_iter().zip(&mut work.of) {
            done.add(Done::of_lane(&report, lane), Done::of_lane(known, lane));
        }
        self.workers.insert(report.worker.clone(), Worker { report, heard: now });
    }

    /// Forgets those that were silent for very long.
    pub fn forget(&mut self, now: Instant) {
        self.workers.retain(|_, worker| now.duration_since(worker.heard) < self.silence * REMEMBER_TIMES);
    }

    /// Returns how long a worker counts that says nothing.
    pub fn silence(&self) -> Duration {
        self.silence
    }

    /// Returns the workers of `stage` that were heard lately.
    pub fn crew(&self, stage: StageName, now: Instant) -> Crew {
        let mut crew = Crew { done: self.done.get(&stage).copied().unwrap_or_default(), ..Crew::default() };
        for Worker { report, heard } in self.workers.values().filter(|worker| worker.report.stage() == stage) {
            let since = now.duration_since(*heard);
            let goes_on = u32::from(report.state() != WorkerState::Draining || report.busy > 0);
            if since > self.silence {
                crew.silent += goes_on;
                continue;
            }
            crew.heard += goes_on;
            self.count(&mut crew, report, since.as_millis() as u64);
        }
        crew.starting_ms.sort_unstable();
        crew
    }

    fn count(&self, crew: &mut Crew, report: &WorkerReport, since_ms: u64) {
        crew.in_hand += report.busy;
        for unit in &report.units {
            crew.in_hand_of[unit.lane().index()] += 1;
        }
        if report.queued > 0 {
            crew.head_age_ms = crew.head_age_ms.max(report.head_age_ms + since_ms);
        }
        let quotas = crew.quota_left.into_iter().chain(report.outside_quota_left);
        crew.quota_left = quotas.reduce(f64::min);
        let state = report.state();
        if state == WorkerState::Draining {
            // One that has nothing left in hand is gone.
            crew.draining += match self.unit {
                Unit::Worker => report.busy.min(1),
                Unit::Slot(_) => report.busy,
            };
            return;
        }
        if state == WorkerState::Starting {
            crew.starting += u32::from(self.unit == Unit::Worker);
        } else {
            crew.workers += 1;
            crew.slots_per_worker = crew.slots_per_worker.max(report.slots);
            if state == WorkerState::Paused {
                crew.paused_workers += 1;
                let words = Some(report.paused_for.clone()).filter(|words| !words.is_empty());
                crew.paused_for = crew.paused_for.take().into_iter().chain(words).min();
            }
            crew.ready += match self.unit {
                Unit::Worker => 1,
                Unit::Slot(_) => report.slots,
            };
            crew.busy += match self.unit {
                Unit::Worker => u32::from(report.busy > 0),
                Unit::Slot(_) => report.busy.min(report.slots),
            };
        }
        if matches!(self.unit, Unit::Slot(_)) {
            crew.draining += report.busy.saturating_sub(report.slots);
            crew.starting_ms.extend(report.slots_starting_ms.iter().map(|ms| ms.saturating_sub(since_ms as u32)));
        }
    }
}

#[cfg(test)]
mod tests {
    use pipeline::event::{LaneDone, UnitInHand};
    use pipeline::workers::SILENCE;

    use super::*;

    fn report(worker: &str, done: u64) -> WorkerReport {
        WorkerReport {
            worker: worker.to_owned(),
            stage: StageName::Cut as i32,
            state: WorkerState::Ready as i32,
            slots: 4,
            done_total: done,
            busy_seconds_total: 2.0 * done as f64,
            ..WorkerReport::default()
        }
    }

    #[test]
    fn what_was_done_only_grows() {
        let (mut fleet, now) = (Fleet::new(Unit::Worker, SILENCE), Instant::now());
        fleet.hear(report("a", 5), now);
        fleet.hear(report("a", 7), now);
        fleet.hear(report("a", 6), now);
        fleet.hear(report("b", 1), now);
        let later = now + 10 * SILENCE;
        assert_eq!(fleet.crew(StageName::Cut, later).ready, 0, "both are silent");
        assert_eq!(fleet.crew(StageName::Cut, later).done.all.units, 2, "what was done before is no progress");
        fleet.hear(report("a", 9), later);
        let crew = fleet.crew(StageName::Cut, later);
        assert_eq!((crew.ready, crew.done.all.units), (1, 5));
        assert!((crew.done.all.busy_s - 10.0).abs() < 1e-9, "{}", crew.done.all.busy_s);
        fleet.forget(later + 39 * SILENCE);
        assert_eq!(fleet.workers.len(), 1, "only who is silent for very long is forgotten");
        fleet.forget(later + 41 * SILENCE);
        fleet.hear(report("a", 20), later + 41 * SILENCE);
        assert_eq!(fleet.crew(StageName::Cut, later).done.all.units, 5, "who was forgotten begins anew");
    }

    #[test]
    fn who_said_that_it_ends_is_not_missed() {
        let (mut fleet, now) = (Fleet::new(Unit::Worker, SILENCE), Instant::now());
        let draining = |worker, busy| WorkerReport { state: WorkerState::Draining as i32, busy, ..report(worker, 0) };
        for report in [report("a", 0), draining("b", 2), draining("c", 0)] {
            fleet.hear(report, now);
        }
        let (crew, later) = (fleet.crew(StageName::Cut, now), fleet.crew(StageName::Cut, now + 2 * SILENCE));
        assert_eq!((crew.heard, crew.silent), (2, 0));
        assert_eq!((later.heard, later.silent), (0, 2));
    }

    #[test]
    fn what_was_done_is_known_by_lane_where_workers_say_it() {
        let (mut fleet, now) = (Fleet::new(Unit::Worker, SILENCE), Instant::now());
        let told = |done_total: u64| {
            let busy_seconds_total = 2.0 * done_total as f64;
            let of =
                |lane: Lane| LaneDone { lane: lane as i32, done_total, busy_seconds_total, work_media_s_total: 7.0 };
            WorkerReport { done_of: vec![of(Lane::Batch)], ..report("a", done_total) }
        };
        fleet.hear(told(5), now);
        fleet.hear(told(8), now);
        fleet.hear(report("an older one", 1), now);
        fleet.hear(report("an older one", 3), now);
        let done = fleet.crew(StageName::Cut, now).done;
        assert_eq!((done.all.units, done.of.map(|of_lane| of_lane.units)), (5, [0, 0, 0, 3]));
        assert_eq!((done.of[3].busy_s, done.of[3].media_s), (6.0, 0.0));
    }

    #[test]
    fn a_stage_is_held_up_when_half_of_its_workers_wait() {
        let check = |paused_workers, workers, paused_for: &str, expected: Option<&str>| {
            let paused_for = Some(paused_for.to_owned()).filter(|words| !words.is_empty());
            let crew = Crew { paused_workers, workers, paused_for, ..Crew::default() };
            assert_eq!(crew.held_up().as_deref(), expected);
        };
        check(0, 0, "", None);
        check(0, 5, "", None);
        check(2, 5, "no store", None);
        check(3, 6, "no store", Some("3 of 6 workers wait: no store"));
        check(6, 6, "", Some("6 of 6 workers wait: a dependency is down"));
    }

    #[test]
    fn a_replica_is_a_process_or_a_slot() {
        let in_hand = |lane: Lane| UnitInHand { lane: lane as i32, ..UnitInHand::default() };
        let shrinking = WorkerReport {
            busy: 6,
            units: vec![in_hand(Lane::Express); 6],
            queued: 2,
            head_age_ms: 700,
            slots_starting_ms: vec![1500, 900],
            outside_quota_left: Some(900.0),
            ..report("a", 0)
        };
        let draining = WorkerReport {
            state: WorkerState::Draining as i32,
            busy: 3,
            outside_quota_left: Some(700.0),
            ..report("b", 0)
        };
        let gone = WorkerReport { state: WorkerState::Draining as i32, ..report("f", 0) };
        let starting = WorkerReport { state: WorkerState::Starting as i32, ..report("c", 0) };
        let state = WorkerState::Paused as i32;
        let paused = WorkerReport { state, paused_for: "no store".to_owned(), ..report("d", 0) };
        let elsewhere = WorkerReport { stage: StageName::Fetch as i32, ..report("e", 3) };
        let now = Instant::now();
        let heard = |unit| {
            let mut fleet = Fleet::new(unit, SILENCE);
            for report in [&shrinking, &draining, &gone, &starting, &paused, &elsewhere] {
                fleet.hear(report.clone(), now);
            }
            fleet.crew(StageName::Cut, now + Duration::from_secs(1))
        };
        let slots = heard(Unit::Slot(100));
        assert_eq!((slots.ready, slots.busy, slots.draining), (8, 4, 5));
        assert_eq!((slots.starting_ms.clone(), slots.in_hand, slots.in_hand_of), (vec![0, 500], 9, [0, 6, 0, 0]));
        assert_eq!(slots.quota_left, Some(700.0), "the one that was told more asked earlier");
        assert_eq!((slots.paused_workers, slots.workers, slots.head_age_ms), (1, 2, 1700));
        assert_eq!(slots.held_up().as_deref(), Some("1 of 2 workers wait: no store"));
        let workers = heard(Unit::Worker);
        assert_eq!((workers.ready, workers.busy, workers.draining, workers.slots_per_worker), (2, 1, 1, 4));
        assert_eq!((workers.in_hand, workers.starting_ms, workers.starting), (9, vec![], 1));
        assert_eq!(slots.starting, 0, "a process that starts is no slot");
    }
}
