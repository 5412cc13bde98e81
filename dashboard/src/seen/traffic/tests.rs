use jiff::Timestamp;
use pipeline::event::{Created, Ended as EndedEvent, Job, Options, Replay};
use pipeline::id::{TenantId, VideoId};

use super::*;

const START_MS: i64 = 1_700_000_000_000;

fn job(number: u128) -> Job {
    let video: VideoId = format!("{number:032x}").parse().unwrap();
    Job::new(&TenantId::default_tenant(), video, Lane::Express, Options::default())
}

fn event(job: &Job, second: i64, what: Happened) -> VideoEvent {
    VideoEvent::new(job, Timestamp::from_millisecond(START_MS + second * 1000).unwrap(), what)
}

fn done(stage: StageName, unit: &str, queued: i64, started: i64, finished: i64) -> Happened {
    let at = |second: i64| START_MS + second * 1000;
    Happened::UnitDone(UnitDone {
        stage: stage as i32,
        unit: unit.to_owned(),
        worker: "w".to_owned(),
        attempt: 1,
        queued_ms: at(queued),
        started_ms: at(started),
        finished_ms: at(finished),
    })
}

/// A video that waits 3 s for `fetch`, 2 s for `split`, 4 s with its first segment, and ends after 30 s.
fn story(job: &Job) -> Vec<VideoEvent> {
    vec![
        event(job, 0, Happened::Created(Created::default())),
        event(job, 5, done(StageName::Fetch, "video", 0, 3, 5)),
        event(job, 9, done(StageName::Split, "video", 5, 7, 9)),
        event(job, 15, done(StageName::Analyze, "video/0", 8, 12, 15)),
        event(job, 16, done(StageName::Transcribe, "audio/0", 8, 14, 16)),
        event(job, 30, Happened::Ended(EndedEvent::default())),
    ]
}

#[test]
fn waits_cost_and_ends_follow_from_the_events_and_twice_is_once() {
    let mut traffic = Traffic::default();
    let events = story(&job(1));
    for event in events.iter().chain(&events) {
        traffic.hear(event);
    }
    assert_eq!(traffic.waits_since(START_MS), [9.0]);
    let ended: Vec<&Ended> = traffic.ended_since(START_MS).collect();
    assert_eq!(ended.len(), 1);
    assert!((ended[0].busy_s - (2.0 + 2.0 + 3.0 + 2.0)).abs() < 1e-9);
    assert_eq!((traffic.open().count(), traffic.oldest_wait_s(START_MS)), (0, None));
    assert_eq!(traffic.units_since(StageName::Analyze, START_MS).count(), 1);
}

#[test]
fn a_unit_that_is_done_after_the_end_counts_once() {
    let mut traffic = Traffic::default();
    let mut events = story(&job(1));
    events.push(event(&job(1), 31, done(StageName::Deliver, "clip/1", 29, 29, 31)));
    for event in events.iter().chain(&events) {
        traffic.hear(event);
    }
    assert_eq!(traffic.units_since(StageName::Deliver, START_MS).count(), 1);
    assert_eq!(traffic.ended_since(START_MS).count(), 1);
}

#[test]
fn what_waits_is_told_until_its_first_segment_is_begun() {
    let mut traffic = Traffic::default();
    let events = story(&job(1));
    traffic.hear(&events[0]);
    assert_eq!(traffic.oldest_wait_s(START_MS + 20_000), Some(20.0));
    events[1..4].iter().for_each(|event| traffic.hear(event));
    assert_eq!((traffic.open().count(), traffic.oldest_wait_s(START_MS + 20_000)), (1, None));
}

#[test]
fn a_unit_in_hand_is_begun_and_work_on_the_whole_video_is_no_wait() {
    let mut traffic = Traffic::default();
    let (job, events) = (job(1), story(&job(1)));
    let video = job.video().to_string();
    let in_hand = |traffic: &mut Traffic, stage, second: i64| traffic.in_hand(&video, stage, START_MS + second * 1000);
    let waits = |traffic: &Traffic, second: i64| traffic.oldest_wait_s(START_MS + second * 1000);
    let queued = |traffic: &Traffic| traffic.open().filter(|open| open.begun_ms.is_none()).count();
    traffic.hear(&events[0]);
    in_hand(&mut traffic, StageName::Record, 1);
    assert_eq!((queued(&traffic), waits(&traffic, 2)), (1, Some(2.0)), "its log alone is written");
    in_hand(&mut traffic, StageName::Fetch, 3);
    assert_eq!((queued(&traffic), waits(&traffic, 4)), (0, Some(3.0)));
    traffic.hear(&events[1]);
    assert_eq!(waits(&traffic, 6), Some(4.0));
    in_hand(&mut traffic, StageName::Split, 7);
    assert_eq!(waits(&traffic, 9), Some(5.0));
    traffic.hear(&events[2]);
    assert_eq!(waits(&traffic, 11), Some(7.0));
    in_hand(&mut traffic, StageName::Analyze, 12);
    assert_eq!(waits(&traffic, 13), None);
    // How long it waited is known when the segment is done.
    traffic.hear(&events[3]);
    assert_eq!(traffic.waits_since(START_MS), [9.0]);
}

#[test]
fn a_video_that_is_opened_again_goes_on_where_it_was() {
    let mut traffic = Traffic::default();
    let job = job(1);
    let mut events = story(&job);
    let (stage, unit, letter) = (StageName::Transcribe as i32, "audio/1".to_owned(), "transcribe/0/1".to_owned());
    events.push(event(&job, 100, Happened::Reopened(Replay { stage, unit, letter })));
    events.push(event(&job, 104, done(StageName::Transcribe, "audio/1", 100, 102, 104)));
    events.push(event(&job, 110, Happened::Ended(EndedEvent { round: 1, ..EndedEvent::default() })));
    events[..7].iter().for_each(|event| traffic.hear(event));
    assert_eq!(traffic.open().filter(|open| open.begun_ms.is_some()).count(), 1, "it is running, not queued");
    assert_eq!((traffic.oldest_wait_s(START_MS + 101_000), traffic.ended_since(0).count()), (None, 0));
    for event in events[7..].iter().chain(&events) {
        traffic.hear(event);
    }
    assert_eq!(traffic.waits_since(START_MS), [9.0], "it waited for its first segment once");
    let ended: Vec<&Ended> = traffic.ended_since(START_MS).collect();
    assert_eq!((ended.len(), ended[0].busy_s, traffic.open().count()), (1, 9.0 + 2.0, 0));
    // Of one that ended longer ago nothing is known, but that it is no new one.
    let mut traffic = Traffic::default();
    events[6..8].iter().for_each(|event| traffic.hear(event));
    assert_eq!((traffic.open().filter(|open| open.begun_ms.is_none()).count(), traffic.waits_since(0).len()), (0, 0));
}

#[test]
fn what_is_old_is_forgotten() {
    let mut traffic = Traffic::default();
    story(&job(1)).iter().for_each(|event| traffic.hear(event));
    traffic.forget(START_MS + 2 * HOUR_MS);
    assert!(traffic.waits_since(0).is_empty() && traffic.units_since(StageName::Fetch, 0).next().is_none());
    assert_eq!(traffic.ended_since(0).count(), 1);
    traffic.forget(START_MS + KEPT_MS + HOUR_MS);
    assert_eq!(traffic.ended_since(0).count(), 0);
}

#[test]
fn quantiles_are_of_the_nearest_rank() {
    assert_eq!(quantile(&[], 0.5), None);
    assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.5), Some(2.0));
    assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.95), Some(3.0));
}
