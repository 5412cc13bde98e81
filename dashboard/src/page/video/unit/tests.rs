use jiff::Timestamp;
use pipeline::event::{Created, Job, Options, Replay, UnitDone, UnitFailed, UnitRetried, VideoEvent};
use pipeline::id::{TenantId, VideoId};
use pipeline::lane::Lane;

use super::*;

fn log(entries: Vec<(i64, Happened)>) -> Vec<LogEntry> {
    let job = Job::new(&TenantId::default_tenant(), VideoId::random(), Lane::Express, Options::default());
    let entry = |(seq, (at_ms, happened)): (usize, (i64, Happened))| {
        let at = Timestamp::from_millisecond(at_ms).unwrap();
        LogEntry { seq: seq as i64, event: VideoEvent::new(&job, at, happened) }
    };
    entries.into_iter().enumerate().map(entry).collect()
}

fn done(unit: &str, attempt: u32, times_ms: [i64; 3]) -> Happened {
    let [queued_ms, started_ms, finished_ms] = times_ms;
    let (stage, worker) = (StageName::Analyze as i32, "a1".to_owned());
    Happened::UnitDone(UnitDone { stage, unit: unit.to_owned(), worker, attempt, queued_ms, started_ms, finished_ms })
}

fn retried(unit: &str, attempt: u32) -> Happened {
    let (stage, unit) = (StageName::Analyze as i32, unit.to_owned());
    Happened::UnitRetried(UnitRetried { stage, unit, attempt, ..UnitRetried::default() })
}

fn failed(unit: &str) -> Happened {
    let (stage, code) = (StageName::Analyze as i32, "stuck".to_owned());
    Happened::UnitFailed(UnitFailed { stage, unit: unit.to_owned(), code, ..UnitFailed::default() })
}

#[test]
fn units_are_told_by_number_with_waits_work_and_failed_attempts() {
    let log = log(vec![
        (9_000, done("video/10", 1, [1_000, 5_000, 9_000])),
        (3_000, retried("video/2", 1)),
        (8_000, done("video/2", 2, [1_000, 6_000, 8_000])),
    ]);
    let units = units(&log, &[], true);
    assert_eq!(units.iter().map(|unit| &*unit.name).collect::<Vec<_>>(), ["video/2", "video/10"]);
    let second = &units[0];
    assert_eq!((second.waits(0), second.busy_s(), second.attempt), (vec![(1_000, 6_000)], Some(2.0), 2));
    assert_eq!((second.failed[0].failed_ms, second.failed_runs().next(), &*second.worker), (3_000, None, "a1"));
}

#[test]
fn an_attempt_that_failed_was_work_of_its_worker_and_was_waited_after() {
    let told = |attempt, started_ms, worker: &str| {
        let Happened::UnitRetried(retried) = retried("video/2", attempt) else { panic!("another") };
        Happened::UnitRetried(UnitRetried { started_ms, worker: worker.to_owned(), ..retried })
    };
    let mut entries = vec![
        (3_000, told(1, 2_000, "a7")),
        (5_000, told(2, 4_000, "a8")),
        (8_000, done("video/2", 3, [1_000, 6_000, 8_000])),
    ];
    let unit = |entries: &[(i64, Happened)]| units(&log(entries.to_vec()), &[], true).remove(0);
    let whole = unit(&entries);
    assert_eq!(whole.waits(9_000), [(1_000, 2_000), (3_000, 4_000), (5_000, 6_000)]);
    assert_eq!((whole.wait_s(9_000), whole.busy_s()), (Some(3.0), Some(2.0)));
    assert_eq!(whole.failed_runs().collect::<Vec<_>>(), [(2_000, 3_000), (4_000, 5_000)]);
    assert_eq!(whole.workers().collect::<Vec<_>>(), ["a7", "a8", "a1"]);
    // What was given up has its last attempt too where that was told, and waits for nothing after it.
    let Happened::UnitFailed(last) = failed("video/2") else { panic!("another") };
    let (started_ms, worker) = (6_000, "a9".to_owned());
    entries[2] = (7_000, Happened::UnitFailed(UnitFailed { started_ms, worker, attempts: 3, ..last }));
    let given_up = unit(&entries);
    assert_eq!(given_up.failed_runs().last(), Some((6_000, 7_000)));
    assert_eq!((given_up.attempt, given_up.waits(9_000).last()), (3, Some(&(5_000, 6_000))));
    assert_eq!(given_up.failed.iter().map(|attempt| attempt.was_last).collect::<Vec<_>>(), [false, false, true]);
    // Replayed after it was given up, it waits from then.
    let (stage, name) = (StageName::Analyze as i32, "video/2".to_owned());
    entries[2] = (6_000, failed("video/2"));
    entries.push((7_000, Happened::Replayed(Replay { stage, unit: name, letter: "analyze/0/1".to_owned() })));
    assert_eq!(unit(&entries).waits(9_000), [(7_000, 9_000)]);
}

#[test]
fn what_is_given_up_says_so_until_it_is_replayed() {
    let given_up = |log: &[LogEntry]| units(log, &[], false)[0].given_up.clone();
    let mut entries = vec![(5_000, failed("video/1"))];
    assert_eq!(given_up(&log(entries.clone())), Some((5_000, "stuck".to_owned())));
    let (stage, unit, letter) = (StageName::Analyze as i32, "video/1".to_owned(), "analyze/0/1".to_owned());
    entries.push((6_000, Happened::Replayed(Replay { stage, unit, letter })));
    assert_eq!(given_up(&log(entries)), None);
}

#[test]
fn what_a_worker_has_in_hand_is_in_work_unless_it_is_finished() {
    let log = log(vec![(9_000, done("video/0", 1, [1_000, 5_000, 9_000]))]);
    let held = |unit: &str| InHand {
        stage: StageName::Analyze as i32,
        worker: "a2".to_owned(),
        unit: unit.to_owned(),
        since_ms: 7_000,
    };
    let units = units(&log, &[held("video/0"), held("video/1")], false);
    assert_eq!((units[0].finished_ms, &*units[0].worker), (Some(9_000), "a1"));
    let (in_work, known) = (&units[1], (None, Some(7_000), None));
    assert_eq!((in_work.queued_ms, in_work.started_ms, in_work.finished_ms), known);
    assert_eq!(in_work.busy_s(), None);
}

#[test]
fn what_was_published_and_not_begun_waits_until_the_video_has_ended() {
    let total = |stage: StageName, window: u32, total: u32, clips: &[&str]| {
        let clips = clips.iter().map(|clip| (*clip).to_owned()).collect();
        Happened::Total(StageTotal { stage: stage as i32, total, window, clips, round: 0 })
    };
    let log = log(vec![
        (1_000, Happened::Created(Created::default())),
        (2_000, total(StageName::Analyze, 0, 1, &[])),
        (3_000, total(StageName::Analyze, 0, 2, &[])),
        (4_000, total(StageName::Analyze, 1, 1, &[])),
        (5_000, done("video/0", 1, [1_500, 1_600, 5_000])),
        (6_000, total(StageName::Cut, 0, 1, &["a"])),
    ]);
    let held = InHand { stage: StageName::Analyze as i32, worker: "w".into(), unit: "video/1".into(), since_ms: 5_500 };
    let told = |has_ended| {
        let units = units(&log, std::slice::from_ref(&held), has_ended);
        let tell = |unit: &Unit| (unit.name.clone(), unit.waits(9_000).first().copied(), unit.is_waiting());
        units.iter().map(tell).collect::<Vec<_>>()
    };
    let begun =
        [("video/0".to_owned(), Some((1_500, 1_600)), false), ("video/1".to_owned(), Some((3_000, 5_500)), false)];
    let waits = |name: &str, since_ms| (name.to_owned(), Some((since_ms, 9_000)), true);
    let [first, second] = begun.clone();
    assert_eq!(told(false), [waits("video", 1_000), first, second, waits("video/2", 4_000), waits("clip/a", 6_000)]);
    assert_eq!(told(true), begun);
}
