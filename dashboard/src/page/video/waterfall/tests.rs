use pipeline::stage::StageName;

use super::super::unit::Attempt;
use super::*;

fn unit(name: &str, stage: StageName, times_ms: [Option<i64>; 3]) -> Unit {
    let [queued_ms, started_ms, finished_ms] = times_ms;
    Unit {
        stage,
        name: name.to_owned(),
        worker: "w".to_owned(),
        attempt: 1,
        queued_ms,
        started_ms,
        finished_ms,
        failed: Vec::new(),
        given_up: None,
    }
}

fn seconds(stage: StageName, name: &str, times_s: [i64; 3]) -> Unit {
    unit(name, stage, times_s.map(|second| Some(second * 1000)))
}

#[test]
fn waiting_and_working_are_drawn_where_they_were() {
    let units = [seconds(StageName::Fetch, "video", [0, 0, 50]), seconds(StageName::Analyze, "video/0", [50, 75, 100])];
    let drawn = Waterfall::of(&units, "/videos/t/v", 0, 100_000);
    let width = WIDTH - LABELS - 4.0;
    let [fetch, analyze] = &*drawn.rows else { panic!("two rows") };
    assert_eq!(fetch.works, [Bar { x: LABELS, width: width / 2.0 }]);
    assert_eq!(analyze.waits, [Bar { x: LABELS + width / 2.0, width: width / 4.0 }]);
    assert_eq!(analyze.works, [Bar { x: LABELS + width * 0.75, width: width / 4.0 }]);
    assert_eq!((analyze.begun_s, analyze.ended_s, analyze.wait_s), (Some(75.0), Some(100.0), Some(25.0)));
    let labels: Vec<&str> = drawn.lines.iter().map(|line| line.label.as_str()).collect();
    assert_eq!(labels, ["0 s", "20 s", "40 s", "1 min", "1:20 min", "1:40 min"]);
}

#[test]
fn what_is_in_work_is_drawn_until_now() {
    let units = [unit("video/0", StageName::Analyze, [None, Some(40_000), None])];
    let drawn = Waterfall::of(&units, "/videos/t/v", 0, 80_000);
    assert_eq!(drawn.rows[0].works, [Bar { x: 582.0, width: 414.0 }]);
    assert_eq!((drawn.rows[0].ended_s, &*drawn.rows[0].ended()), (None, "in work"));
}

#[test]
fn what_waits_is_drawn_and_told_until_now() {
    let units = [
        unit("video/0", StageName::Analyze, [Some(10_000), Some(40_000), None]),
        unit("video/1", StageName::Analyze, [Some(40_000), None, None]),
    ];
    let drawn = Waterfall::of(&units, "/videos/t/v", 0, 80_000);
    let [begun, waits] = &*drawn.rows else { panic!("two rows") };
    assert_eq!((begun.waits.len(), begun.waiting, begun.wait_s), (1, 0, Some(30.0)));
    assert_eq!((&*waits.waits, waits.works.len()), (&[Bar { x: 582.0, width: 414.0 }][..], 0));
    assert_eq!((waits.waiting, waits.wait_s, &*waits.ended()), (1, Some(40.0), "waits"));
    assert_eq!(waits.told(), "analyze video/1: in the queue for 40 s");
    assert!(drawn.told().contains("2 units of work") && drawn.told().contains("1 of them in queues"));
}

#[test]
fn a_stage_with_many_units_has_few_rows_that_hold_all_of_them() {
    let unit = |index: i64| seconds(StageName::Analyze, &format!("video/{index}"), [0, index, index + 1]);
    let units: Vec<Unit> = (0..2400).map(unit).collect();
    let drawn = Waterfall::of(&units, "/videos/t/v", 0, 2_400_000);
    assert_eq!((drawn.rows.len(), drawn.rows.iter().map(|row| row.count).sum::<usize>()), (ROWS, 2400));
    assert_eq!((&*drawn.rows[1].units, drawn.rows[1].busy_s), ("video/120 – 239", Some(120.0)));
    // One after another, they are one bar.
    assert_eq!((drawn.rows[1].works.len(), drawn.rows[1].waits.len()), (1, 1));
}

#[test]
fn a_stage_alone_has_a_row_for_each_of_its_units() {
    let unit = |index: i64| seconds(StageName::Analyze, &format!("video/{index}"), [0, index, index + 1]);
    let units: Vec<Unit> = (0..100).map(unit).collect();
    let drawn = Waterfall::of_each(&units, "/videos/t/v", 0, 100_000);
    assert_eq!((drawn.rows.len(), &*drawn.rows[99].units, drawn.rows[99].count), (100, "video/99", 1));
}

#[test]
fn an_attempt_that_failed_is_drawn_as_work_that_failed() {
    let failed = Attempt { started_ms: Some(25_000), failed_ms: 50_000, worker: "w0".to_owned(), was_last: false };
    let units = [Unit { failed: vec![failed], ..seconds(StageName::Analyze, "video/0", [0, 75, 100]) }];
    let row = Waterfall::of(&units, "/videos/t/v", 0, 100_000).rows.remove(0);
    let quarter = (WIDTH - LABELS - 4.0) / 4.0;
    let bar = |quarters: f64| Bar { x: LABELS + quarters * quarter, width: quarter };
    assert_eq!((&*row.waits, &*row.fails, &*row.works), (&[bar(0.0), bar(2.0)][..], &[bar(1.0)][..], &[bar(3.0)][..]));
    assert_eq!((row.wait_s, row.failed_s, row.begun_s), (Some(50.0), 25.0, Some(25.0)));
    assert_eq!((row.workers.join(" "), row.tries.len()), ("w w0".to_owned(), 1));
    assert_eq!(row.outcome(), "1, 1 failed and tried again, 25 s of work failed");
}

#[test]
fn the_last_attempt_of_a_unit_that_is_given_up_is_drawn_up_to_its_end() {
    let last = Attempt { started_ms: Some(25_000), failed_ms: 50_000, worker: "w0".to_owned(), was_last: true };
    let given_up = Some((50_000, "stuck".to_owned()));
    let queued = unit("video/0", StageName::Analyze, [Some(0), None, None]);
    let row =
        Waterfall::of(&[Unit { failed: vec![last], given_up, ..queued }], "/videos/t/v", 0, 100_000).rows.remove(0);
    let quarter = (WIDTH - LABELS - 4.0) / 4.0;
    let bar = |quarters: f64| Bar { x: LABELS + quarters * quarter, width: quarter };
    assert_eq!((&*row.waits, &*row.fails, row.works.len()), (&[bar(0.0)][..], &[bar(1.0)][..], 0));
    assert_eq!((row.tries.len(), &*row.ends), (0, &[round(LABELS + 2.0 * quarter)][..]));
    assert_eq!((row.wait_s, row.begun_s, row.ended_s), (Some(25.0), Some(25.0), Some(50.0)));
    assert_eq!(row.outcome(), "1, 1 given up: stuck, 25 s of work failed");
}

#[test]
fn nothing_done_yet_is_no_row() {
    let drawn = Waterfall::of(&[], "/videos/t/v", 5, 5);
    assert!(drawn.rows.is_empty() && drawn.lines.len() == 1);
}
