use std::collections::BTreeMap;

use pipeline::event::{
    Created, Ended, Happened, Job, Options, SystemState, UnitDone, UnitInHand, VideoEvent, WorkerReport, WorkerState,
};
use pipeline::id::{TenantId, VideoId};
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use planning::observation::{Lane as LaneSeen, Stage};

use super::super::flow;
use super::*;
use crate::seen::scaling::made;

const NOW_MS: i64 = 1_700_000_000_000;

/// A service that is seen and in which nothing is wrong.
fn well() -> State {
    let mut state = State::default();
    state.queues.take(BTreeMap::new(), NOW_MS);
    state.hearing.up_to_date();
    state
}

/// A stage that nobody needs to look at.
fn stage(state: &State, name: StageName) -> StageNow {
    flow::stages(state, say::at(NOW_MS)).into_iter().find(|one| one.stage == name.as_str()).unwrap()
}

fn found(state: &State, stages: &[StageNow]) -> Vec<Wrong> {
    find(state, stages, say::at(NOW_MS))
}

/// Returns the only thing that is wrong.
#[track_caller]
fn only(state: &State, stages: &[StageNow]) -> Wrong {
    let found = found(state, stages);
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

#[track_caller]
fn check(wrong: &Wrong, what: &str, link: &str, is_serious: bool) {
    assert_eq!((&*wrong.what, &*wrong.link, wrong.is_serious), (what, link, is_serious));
}

#[test]
fn nothing_is_wrong_where_all_is_well() {
    let state = well();
    assert_eq!(found(&state, &flow::stages(&state, say::at(NOW_MS))), []);
}

#[test]
fn what_is_not_seen_is_told_first() {
    let mut state = State::default();
    state.service.hear(SystemState { reasons: vec!["disk".to_owned()], at_ms: NOW_MS, ..SystemState::default() });
    let found = found(&state, &[]);
    check(&found[0], "It is not seen how things stand: the queues are not seen", "/queues", true);
    assert_eq!(found.len(), 2);
}

#[test]
fn a_service_that_refuses_or_degrades_says_why() {
    let mut state = well();
    let (reasons, refusing) = (vec!["many videos".to_owned()], "the disk is full".to_owned());
    state.service.hear(SystemState { reasons, refusing, at_ms: NOW_MS, ..SystemState::default() });
    let found = found(&state, &[]);
    check(&found[0], "New videos are refused: the disk is full", "/cost#short-head", true);
    check(&found[1], "The service is degraded: many videos", "/cost#short-head", false);
}

#[test]
fn a_stage_is_told_by_what_holds_it_up_with_the_way_to_it() {
    let state = well();
    let base = StageNow { ready: 2, ..stage(&state, StageName::Cut) };
    let paused = StageNow { paused: 3, lag_records: 5, ready: 0, ..base.clone() };
    check(&only(&state, &[paused]), "cut is paused: a dependency of 3 slots is away", "/workers?stage=cut", true);
    let unseen = StageNow { unknown: Some("no coordinator".to_owned()), ..base.clone() };
    check(&only(&state, &[unseen]), "The queue of cut is not seen: no coordinator", "/queues/cut", false);
    let left = StageNow { lag_records: 1, ready: 0, ..base.clone() };
    check(
        &only(&state, std::slice::from_ref(&left)),
        "Nobody works on cut, and 1 record waits",
        "/workers?stage=cut",
        true,
    );
    assert_eq!(found(&state, &[StageNow { starting: 1, ..left }]), [], "somebody will soon");
    let gave_up = StageNow { given_up_1h: 2, ..base };
    check(&only(&state, &[gave_up]), "cut gave up 2 units within the hour", "/letters?stage=cut", false);
}

#[test]
fn what_waits_longer_than_its_target_is_told_with_since_when() {
    let state = well();
    let late = |seconds: i64, name| StageNow {
        ready: 2,
        lag_records: 9,
        waiting: 7,
        lag_s: Some(9000.0),
        waits_since_ms: Some(NOW_MS - seconds * 1000),
        ..stage(&state, name)
    };
    let told = only(&state, &[late(121, StageName::Cut)]);
    check(&told, "7 records wait at cut, the oldest", "/autoscaler?stage=cut", false);
    assert_eq!(told.since_ms, Some(NOW_MS - 121_000));
    assert!(told.lasts(&NOW_MS).contains(">2 min 1 s<"), "{}", told.lasts(&NOW_MS));
    assert_eq!(found(&state, &[late(119, StageName::Cut)]), [], "what lies longer is in hand");
    // Nobody scales what gathers.
    check(&only(&state, &[late(121, StageName::Join)]), "7 records wait at join, the oldest", "/queues/join", false);
    let one = StageNow { waiting: 1, wait_target_s: 30.0, ..late(31, StageName::Cut) };
    check(&only(&state, &[one]), "A record waits at cut", "/autoscaler?stage=cut", false);
}

#[test]
fn a_unit_that_is_long_in_hand_is_told_with_its_worker() {
    let mut state = well();
    let mut hear = |age_ms: u64| {
        let unit = UnitInHand { unit: "video/3".to_owned(), age_ms, ..UnitInHand::default() };
        let (worker, stage, at_ms) = ("cut-1".to_owned(), StageName::Cut as i32, NOW_MS - 1000);
        let (state_now, units) = (WorkerState::Ready as i32, vec![unit]);
        state.workers.hear(WorkerReport { worker, stage, at_ms, state: state_now, units, ..WorkerReport::default() });
        found(&state, &[])
    };
    assert_eq!(hear(298_000), []);
    let found = hear(300_000);
    check(&found[0], "cut-1 has had video/3 in hand", "/workers?stage=cut", false);
    assert_eq!(found[0].since_ms, Some(NOW_MS - 301_000));
}

fn event(number: u128, seconds_ago: i64, what: Happened) -> VideoEvent {
    let video: VideoId = format!("{number:032x}").parse().unwrap();
    let job = Job::new(&TenantId::default_tenant(), video, Lane::Express, Options::default());
    VideoEvent::new(&job, say::at(NOW_MS - seconds_ago * 1000), what)
}

#[test]
fn more_failures_than_bad_input_brings_are_told() {
    let mut state = well();
    let mut end = |number: u128, how: EndState| {
        state.traffic.hear(&event(number, 60, Happened::Created(Created::default())));
        let ended = Ended { state: how as i32, ..Ended::default() };
        state.traffic.hear(&event(number, 10, Happened::Ended(ended)));
        found(&state, &[])
    };
    for number in 1..=99 {
        assert_eq!(end(number, EndState::Done), []);
    }
    assert_eq!(end(100, EndState::Failed), [], "one in a hundred is usual");
    let found = end(101, EndState::Failed);
    check(&found[0], "2 of 101 videos failed within the hour", "/videos?state=failed&ended=1h", false);
}

/// A tick of an autoscaler that was published so many seconds ago.
fn decide(state: &mut State, seconds_ago: i64, replicas: u32, lag: f64) {
    let lane = LaneSeen { end_offset_total: lag, ..LaneSeen::default() };
    let (max_replicas, slots_per_worker, wait_slo_s) = (3, 2, 30.0);
    let cut = Stage { lanes: vec![lane], max_replicas, slots_per_worker, wait_slo_s, ..made::stage("cut") };
    state.scaling.hear(NOW_MS - seconds_ago * 1000, made::tick([cut], [made::decided("cut", replicas)]));
}

#[test]
fn waits_are_judged_by_the_target_that_the_autoscaler_was_told() {
    let mut state = well();
    state.traffic.hear(&event(1, 200, Happened::Created(Created::default())));
    let at = |seconds_ago: i64| NOW_MS - seconds_ago * 1000;
    let done = UnitDone {
        stage: StageName::Analyze as i32,
        unit: "video/0".to_owned(),
        worker: "w".to_owned(),
        attempt: 1,
        queued_ms: at(100),
        started_ms: at(60),
        finished_ms: at(50),
    };
    state.traffic.hear(&event(1, 50, Happened::UnitDone(done)));
    assert_eq!(found(&state, &[]), [], "40 s are below the usual target");
    decide(&mut state, 1, 1, 0.0);
    let told = only(&state, &[]);
    check(&told, "Waits are too long: p95 is 40 s within 15 minutes", "/autoscaler", false);
    assert_eq!(told.advice, "The target is 30 s.");
    assert!((stage(&state, StageName::Cut).wait_target_s - 30.0).abs() < 1e-9);
    assert!((stage(&state, StageName::Split).wait_target_s - 120.0).abs() < 1e-9);
}

#[test]
fn an_autoscaler_that_is_silent_or_at_its_end_is_told() {
    let mut state = well();
    decide(&mut state, 60, 3, 7.0);
    let told = only(&state, &[]);
    check(&told, "The autoscaler has been silent", "/autoscaler", false);
    assert_eq!(told.since_ms, Some(NOW_MS - 60_000));
    decide(&mut state, 5, 3, 6.0);
    assert_eq!(found(&state, &[]), [], "its slots are enough");
    decide(&mut state, 1, 3, 7.0);
    check(
        &only(&state, &[]),
        "cut has all 6 slots that there may be, and 7 records wait",
        "/autoscaler?stage=cut",
        false,
    );
}
