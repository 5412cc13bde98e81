use std::collections::BTreeMap;

use jiff::Timestamp;
use loadtest::client::Answer;
use loadtest::drive::Sent;
use loadtest::fleet::{Decided, Fleet, Workers};
use loadtest::limits::limits;
use loadtest::machine::Machine;
use loadtest::measures::{Measures, Seen};
use loadtest::mix::Arrival;
use loadtest::report::kept::Kept;
use loadtest::report::{About, Report, compare, html, text};
use loadtest::schedule::{Bucket, Curve};
use loadtest::spec::{Basis, Spec};
use loadtest::story::Story;
use loadtest::verdict::{Terms, judge};

const SCALE: f64 = 10.0;

fn sent(number: u32, answer: Answer) -> Sent {
    let arrival = Arrival { number, at_s: 1.0, sender: 0, priority: false, by_url: false, kind: 0 };
    Sent { arrival, planned_ms: 100, late_s: 0.002, answered_s: 0.05 * f64::from(number + 1), answer }
}

fn story(number: u32, wait_s: f64) -> Story {
    Story {
        id: format!("video-{number}"),
        created_ms: 150,
        ended_ms: Some(20_000 + 1_000 * i64::from(number)),
        state: "done".to_owned(),
        lane: "express".to_owned(),
        queue_wait_s: Some(wait_s),
        first_segment_s: Some(wait_s + 2.0),
        processing_s: Some(15.0),
        total_s: Some(15.0 + wait_s),
        busy_s: 40.0,
        units: 12,
        clips: 3,
        ..Story::default()
    }
}

fn fleet(at_ms: i64, slots: u32, busy: u32) -> Fleet {
    let workers = Workers { slots, busy, starting: 1, queued: 2 };
    let lag = BTreeMap::from([("cut".to_owned(), BTreeMap::from([("express".to_owned(), 5.0)]))]);
    Fleet { at_ms, stages: [("cut".to_owned(), workers)].into(), wanted: [("cut".to_owned(), 4)].into(), lag }
}

fn report(longest_wait_s: f64) -> Report {
    let sent = vec![
        sent(0, Answer::Accepted("video-0".to_owned())),
        sent(1, Answer::Accepted("video-1".to_owned())),
        sent(2, Answer::Refused { status: 503, retry_after_s: Some(5) }),
    ];
    let stories = vec![story(0, 1.0), story(1, longest_wait_s)];
    let fleets = vec![fleet(1_000, 2, 2), fleet(6_000, 4, 3)];
    let changes =
        vec![Decided { at_ms: 600, stage: "cut".to_owned(), had: 2, wanted: 4, reason: "5 < 9 & more".to_owned() }];
    let roles = BTreeMap::from([("broker".to_owned(), 0.5)]);
    let machine = vec![Machine { at_ms: 1_000, busy_cores: 1.9, roles, memory_mib: BTreeMap::new() }];
    let seen = Seen {
        planned: 3,
        sent: &sent,
        stories: &stories,
        fleets: &fleets,
        changes: &changes,
        machine: &machine,
        time_scale: SCALE,
    };
    let measures = Measures::of(seen);
    let targets = judge(&measures, Terms { slot_hour_price: Some(0.9), emulated: true });
    let about = About {
        spillway: "spillway 0.1.0".to_owned(),
        schedule: "users-3".to_owned(),
        seed: 7,
        begun_at: Timestamp::UNIX_EPOCH,
        server: "a system of its own".to_owned(),
        emulated: Some(Spec { seed: 7, time_scale: SCALE, basis: Basis::Measured, startup_s: 45.0 }),
        max_workers: Some(4),
        time_scale: SCALE,
        material: "uploads of 64 KiB".to_owned(),
        cores: 2,
        processor: "a processor".to_owned(),
    };
    let limits = limits((0, 30_000), &machine, 2, &fleets, Some(4));
    let curve = Curve { buckets: vec![Bucket { start_s: 0.0, width_s: 10.0, count: 3 }] };
    Report { about, curve, measures, targets, limits, sent, stories, fleets, changes, machine }
}

#[test]
fn a_report_reads_like_this() {
    insta::assert_snapshot!(text::summary(&report(15.0)));
}

#[test]
fn two_runs_stand_side_by_side_like_this() {
    insta::assert_snapshot!(compare::text(&report(2.0), &report(15.0)));
}

#[test]
fn a_page_has_all_of_it_and_fetches_nothing() {
    let page = html::page(&report(15.0), Some(&report(2.0)));
    for part in ["accepted and lost", "5 &lt; 9 &amp; more", "Beside the run before", "<svg", "prefers-color-scheme"] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    for part in ["http:", "https:", "<script", "<link", "url(", "NaN", "5 < 9"] {
        assert!(!page.contains(part), "{part} is in {page}");
    }
}

#[test]
fn a_report_survives_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report.json");
    let report = report(15.0);
    report.write(&file).expect("write");
    assert_eq!(Report::read(&file).expect("read"), report);
    std::fs::write(&file, "{}").expect("write");
    let refused = Report::read(&file).expect_err("no report");
    assert!(format!("{refused:#}").contains("no report of a load test"), "{refused:#}");
}

/// Returns the names of the files in `folder`, in order.
fn names(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn runs_are_kept_under_their_moment_and_schedule_and_none_replaces_another() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("a/reports");
    let kept = Kept::open(folder.clone()).expect("a folder is made");
    assert!(names(&folder).is_empty(), "trying to write leaves nothing");
    let mut report = report(15.0);
    report.about.begun_at = "2026-11-26T08:19:29.7Z".parse().expect("a moment");
    let page = html::page(&report, None);
    let first = kept.keep(&report, &page).expect("kept");
    report.about.seed = 8;
    let second = kept.keep(&report, "<p>another</p>").expect("kept beside it");
    report.about.schedule = "trace:../Monday & more.csv".to_owned();
    kept.keep(&report, &page).expect("kept");
    assert_eq!(
        names(&folder),
        [
            "20261126T081929Z-trace-monday-more-csv.html",
            "20261126T081929Z-trace-monday-more-csv.json",
            "20261126T081929Z-users-3-2.html",
            "20261126T081929Z-users-3-2.json",
            "20261126T081929Z-users-3.html",
            "20261126T081929Z-users-3.json",
        ]
    );
    let seeds = [first.clone(), second].map(|file| Report::read(&file).expect("a report").about.seed);
    assert_eq!(seeds, [7, 8]);
    assert_eq!(std::fs::read_to_string(first.with_extension("html")).expect("a page"), page);
    let others = std::fs::metadata(&first).expect("a file").permissions();
    let usual = std::fs::File::create(folder.join("usual")).and_then(|file| file.metadata()).expect("a file");
    assert_eq!(others, usual.permissions());
}

#[test]
fn many_at_once_are_all_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = Kept::open(folder.path().to_owned()).expect("a folder");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| kept.keep(&report(15.0), "a page").expect("kept"));
        }
    });
    assert_eq!(names(folder.path()).len(), 16);
}

#[test]
fn a_folder_that_cannot_be_written_to_is_told_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("write");
    let told = format!("{:#}", Kept::open(file.join("reports")).expect_err("no folder"));
    assert!(told.contains("make the folder of reports") && told.contains("file/reports"), "{told}");
}
