use anyhow::anyhow;
use pipeline::event::WorkerState;
use pipeline::workers::SILENCE;

use super::*;

const STAGE: StageName = StageName::Analyze;

/// An observer whose time the test tells, in seconds since it began.
struct Watched {
    observer: Observer,
    began: Instant,
    read: Read,
}

impl Watched {
    fn new() -> Self {
        let began = Instant::now();
        let observer = Observer::new(Clock::new(1.0), Bounds::default(), Unit::Worker, SILENCE, 45.0);
        let mut watched = Self { observer, began, read: Read::new() };
        watched.waits(0);
        watched
    }

    fn now(&self, at: u64) -> Instant {
        self.began + Duration::from_secs(1 + at)
    }

    /// So many records wait from now on.
    fn waits(&mut self, records: i64) {
        let lane = |end_total| LaneLag { partitions: 4, end_total, ..LaneLag::default() };
        self.read = Read::from([(STAGE, Ok([0, 0, records, 0].map(lane).to_vec()))]);
    }

    fn hear(&mut self, at: u64, workers: u32, state: WorkerState) {
        for number in 0..workers {
            let report = WorkerReport {
                worker: number.to_string(),
                stage: STAGE as i32,
                state: state as i32,
                slots: 1,
                ..WorkerReport::default()
            };
            self.observer.hear(report, self.now(at));
        }
    }

    fn stage(&mut self, at: u64, replicas: Option<u32>) -> Stage {
        let (scales, now) = (BTreeMap::from([(STAGE, Scale { replicas })]), self.now(at));
        self.observer.observe(now, &self.read, &scales, &BTreeMap::new()).stages.remove(0)
    }
}

#[test]
fn workers_that_fall_silent_are_missed_and_seen_as_they_were() {
    let mut watched = Watched::new();
    watched.hear(0, 3, WorkerState::Ready);
    let before = watched.stage(0, Some(3));
    assert_eq!((before.stale, before.workers.ready), (None, 3));
    assert_eq!(watched.stage(15, Some(3)).stale, None, "not yet silent for long");
    watched.waits(50);
    let silent = watched.stage(20, Some(3));
    assert_eq!(silent.stale.as_deref(), Some("none of its workers was heard for 15s"));
    assert_eq!((silent.workers.ready, silent.workers.starting.len(), silent.replicas), (3, 0, 3));
    assert!((silent.lanes[2].lag_records() - 50.0).abs() < 1e-9, "what waits is known");
    watched.hear(600, 3, WorkerState::Ready);
    let after = watched.stage(600, Some(3));
    assert_eq!((after.stale, after.workers.ready, after.startup_p90_s), (None, 3, None));
}

#[test]
fn how_long_start_ups_take_is_known_from_before() {
    let mut watched = Watched::new();
    let stage = Stage { stage: STAGE.to_string(), startup_p90_s: Some(80.0), replicas: 9, ..Stage::default() };
    watched.observer.recall(&Observation { stages: vec![stage], ..Observation::default() });
    watched.hear(0, 1, WorkerState::Ready);
    watched.stage(0, Some(1));
    let seen = watched.stage(5, Some(2));
    assert_eq!((seen.startup_p90_s, seen.replicas), (Some(80.0), 2));
    assert_eq!(seen.workers.starting, [Starting { ready_in_s: 80.0 }]);
}

/// Reports do not stop all at once, nor do they all come back at once.
#[test]
fn a_gap_in_the_reports_is_no_start_up() {
    let mut watched = Watched::new();
    watched.hear(0, 3, WorkerState::Ready);
    watched.stage(0, Some(3));
    watched.hear(8, 1, WorkerState::Ready);
    assert_eq!(watched.stage(16, Some(3)).workers.starting.len(), 2, "two of them may have died");
    assert!(watched.stage(25, Some(3)).stale.is_some());
    watched.hear(300, 1, WorkerState::Ready);
    assert_eq!(watched.stage(300, Some(3)).workers.ready, 1);
    watched.hear(305, 3, WorkerState::Ready);
    let after = watched.stage(305, Some(3));
    assert_eq!((after.workers.ready, after.startup_p90_s), (3, None));
}

#[test]
fn workers_that_have_ended_or_are_not_wanted_are_not_missed() {
    let mut watched = Watched::new();
    watched.hear(0, 3, WorkerState::Ready);
    watched.stage(0, Some(3));
    watched.hear(5, 3, WorkerState::Draining);
    watched.stage(5, Some(3));
    let restarting = watched.stage(30, Some(3));
    assert_eq!((restarting.stale, restarting.workers.starting.len()), (None, 3));
    watched.hear(60, 3, WorkerState::Ready);
    watched.stage(60, Some(3));
    assert_eq!(watched.stage(90, Some(0)).stale, None);
    assert_eq!(watched.stage(95, Some(2)).stale, None, "they start");
}

#[test]
fn what_brokers_do_not_tell_is_as_it_was() {
    let mut watched = Watched::new();
    watched.hear(0, 2, WorkerState::Ready);
    watched.stage(0, Some(2));
    watched.read = Read::from([(STAGE, Err(anyhow!("no answer")))]);
    assert_eq!(watched.stage(5, Some(2)).stale.as_deref(), Some("it was not seen: no answer"));
}

#[test]
fn where_nobody_keeps_count_those_that_say_so_are_starting() {
    let mut watched = Watched::new();
    watched.hear(0, 3, WorkerState::Starting);
    watched.hear(0, 1, WorkerState::Ready);
    let seen = watched.stage(0, None);
    assert_eq!((seen.workers.ready, seen.replicas), (1, 3));
    assert_eq!(seen.workers.starting, [Starting { ready_in_s: 45.0 }; 2]);
    watched.hear(5, 3, WorkerState::Ready);
    let seen = watched.stage(5, None);
    assert_eq!((seen.workers.ready, seen.replicas, seen.startup_p90_s), (3, 3, None), "nobody knows how long it took");
    watched.hear(5, 3, WorkerState::Starting);
    assert_eq!(watched.stage(5, Some(3)).replicas, 3, "each counts once");
}
