//! What is wrong now, in words, each with the way to what can be done about it.

use jiff::Timestamp;
use pipeline::event::EndState;
use serde::Serialize;

use super::WAIT_TARGETS_S;
use super::flow::StageNow;
use crate::say;
use crate::seen::State;
use crate::seen::traffic::quantile;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// A unit in hand for longer than this is told, in milliseconds: without progress it is stopped at the same age.
const LONG_UNIT_MS: u64 = 5 * 60_000;
/// More failed videos than this share is told.
const FAILED_SHARE: f64 = 0.01;

/// Something that is wrong.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Wrong {
    /// What, with numbers.
    pub what: String,
    /// What it means or what to do.
    pub advice: String,
    /// Where to act.
    pub link: String,
    /// What that is called.
    pub link_text: &'static str,
    /// Whether work stands still, or people are turned away; else it is only worse than it should be.
    pub is_serious: bool,
}

/// Finds what is wrong, the serious first.
pub fn find(state: &State, stages: &[StageNow], now: Timestamp) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    sight(state, now, &mut wrong);
    service(state, &mut wrong);
    for stage in stages {
        of_stage(stage, &mut wrong);
    }
    workers(state, &mut wrong);
    videos(state, now.as_millisecond(), &mut wrong);
    scaling(state, now, &mut wrong);
    wrong.sort_by_key(|wrong| !wrong.is_serious);
    wrong
}

fn tell(wrong: &mut Vec<Wrong>, is_serious: bool, what: String, advice: &str, link: &str, link_text: &'static str) {
    let (advice, link) = (advice.to_owned(), link.to_owned());
    wrong.push(Wrong { what, advice, link, link_text, is_serious });
}

fn sight(state: &State, now: Timestamp, wrong: &mut Vec<Wrong>) {
    if let Some(why) = state.stale(now) {
        let advice = "Numbers here are old or have gaps, and more may be wrong than is told. Work goes on by itself.";
        tell(wrong, true, format!("It is not seen how things stand: {why}"), advice, "/queues", "Queues");
    }
}

fn service(state: &State, wrong: &mut Vec<Wrong>) {
    if let Some(why) = state.service.refusing() {
        tell(
            wrong,
            true,
            format!("New videos are refused: {why}"),
            "Make room; what was accepted goes on.",
            "/cost",
            "Cost",
        );
    }
    for why in state.service.degraded() {
        let advice = "Videos accepted now are made with less work, and each says so.";
        tell(wrong, false, format!("The service is degraded: {why}"), advice, "/queues", "Queues");
    }
}

fn of_stage(stage: &StageNow, wrong: &mut Vec<Wrong>) {
    let (name, lag) = (stage.stage, say::count(stage.lag_records));
    let workers = format!("/workers?stage={name}");
    if stage.paused > 0 {
        let what = format!("{name} is paused: a dependency of {} slots is away", stage.paused);
        tell(wrong, true, what, "It goes on by itself once that is back; no attempt is spent.", &workers, "Workers");
    } else if let Some(why) = &stage.unknown {
        let what = format!("The queue of {name} is not seen: {why}");
        tell(wrong, false, what, "What is told of it is old.", &format!("/queues/{name}"), "Its queue");
    } else if stage.lag_records > 0 && stage.ready + stage.starting == 0 {
        let what = format!("Nobody works on {name}, and {lag} records wait");
        tell(wrong, true, what, "Start a worker, or look why there is none.", &workers, "Workers");
    } else if let Some(lag_s) = stage.lag_s.filter(|lag_s| *lag_s > WAIT_TARGETS_S.1) {
        let what = format!("A record has lain at {name} for {}, {lag} are there", say::span(lag_s));
        let advice = "Longer than the target of two minutes: the stage needs more slots, or its units are long.";
        tell(wrong, false, what, advice, "/autoscaler", "Autoscaler");
    }
    if stage.given_up_1h > 0 {
        let what = format!("{name} gave up {} within the hour", say::many(stage.given_up_1h, "unit"));
        tell(wrong, false, what, "Read why, mend the cause, and replay them.", "/letters", "Dead letters");
    }
}

fn workers(state: &State, wrong: &mut Vec<Wrong>) {
    for report in state.workers.all() {
        for unit in report.units.iter().filter(|unit| unit.age_ms > LONG_UNIT_MS) {
            let age = say::span(unit.age_ms as f64 / 1e3);
            let what = format!("{} has had {} in hand for {age}", report.worker, unit.unit);
            tell(
                wrong,
                false,
                what,
                "Long videos may take that long; drain the worker if it hangs.",
                "/workers",
                "Workers",
            );
        }
    }
}

fn videos(state: &State, now_ms: i64, wrong: &mut Vec<Wrong>) {
    let ended: Vec<_> = state.traffic.ended_since(now_ms - HOUR_MS).filter(|ended| ended.how.is_some()).collect();
    let failed = ended.iter().filter(|ended| ended.how == Some(EndState::Failed)).count();
    if failed > 0 && failed as f64 > FAILED_SHARE * ended.len() as f64 {
        let what = format!("{failed} of {} failed within the hour", say::many(ended.len(), "video"));
        let advice = "Bad input fails by itself; the same code many times is a fault of ours.";
        tell(wrong, false, what, advice, "/videos?state=failed&ended=1h", "Failed videos");
    }
    let waits = state.traffic.waits_since(now_ms - crate::seen::listen::WAITS_MS);
    if let Some(p95) = quantile(&waits, 0.95).filter(|p95| *p95 > WAIT_TARGETS_S.1) {
        let what = format!("Waits are too long: p95 is {} within 15 minutes", say::span(p95));
        tell(wrong, false, what, "The target is two minutes.", "/autoscaler", "Autoscaler");
    }
}

fn scaling(state: &State, now: Timestamp, wrong: &mut Vec<Wrong>) {
    let Some(last) = state.scaling.ticks().next_back() else { return };
    if state.scaling.last(now).is_none() {
        let age = say::span((now.as_millisecond() - last.at_ms) as f64 / 1e3);
        let what = format!("The autoscaler has been silent for {age}");
        tell(wrong, false, what, "The scale stays as it is until it is back.", "/autoscaler", "Autoscaler");
        return;
    }
    for stage in &last.recorded.seen.stages {
        let decided = last.recorded.decided.iter().find(|decided| decided.stage == stage.stage);
        let lag: f64 = stage.lanes.iter().map(planning::observation::Lane::lag_records).sum();
        let most_slots = stage.max_replicas.saturating_mul(stage.slots_per_worker.max(1));
        if decided.is_some_and(|decided| decided.replicas >= stage.max_replicas) && lag > f64::from(most_slots) {
            let what = format!("{} has all {most_slots} slots there may be, and {lag:.0} records wait", stage.stage);
            tell(wrong, false, what, "Raise its maximum, or plan for more.", "/capacity", "Capacity");
        }
    }
}
