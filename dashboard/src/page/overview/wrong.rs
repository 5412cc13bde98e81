//! What is wrong now, in words, each with the way to what can be done about it.

use jiff::Timestamp;
use pipeline::event::EndState;
use planning::stages::scaled;
use serde::Serialize;

use super::flow::StageNow;
use crate::part::counted;
use crate::say;
use crate::seen::traffic::quantile;
use crate::seen::{HOUR_MS, MINUTE_MS, State};

/// A unit in hand for longer than this is told, in milliseconds: without progress it is stopped at the same age.
const LONG_UNIT_MS: i64 = 5 * MINUTE_MS;
/// More failed videos than this share is told.
const FAILED_SHARE: f64 = 0.01;

/// Something that is wrong.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Wrong {
    /// What, with numbers.
    pub what: String,
    /// Since when, in milliseconds since the Unix epoch, where that says how bad it is.
    pub since_ms: Option<i64>,
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
    wrong.extend(sight(state, now));
    service(state, &mut wrong);
    for stage in stages {
        wrong.extend(of_queue(stage, now.as_millisecond()));
        wrong.extend(given_up(stage));
    }
    workers(state, now.as_millisecond(), &mut wrong);
    wrong.extend(failures(state, now.as_millisecond()));
    wrong.extend(waits(state, now));
    scaling(state, now, &mut wrong);
    wrong.sort_by_key(|wrong| !wrong.is_serious);
    wrong
}

impl Wrong {
    fn serious(what: String, advice: &str, (link, link_text): (String, &'static str)) -> Self {
        Self { is_serious: true, ..Self::mild(what, advice, (link, link_text)) }
    }

    fn mild(what: String, advice: &str, (link, link_text): (String, &'static str)) -> Self {
        Self { what, advice: advice.to_owned(), link, link_text, ..Self::default() }
    }

    fn since(self, at_ms: i64) -> Self {
        Self { since_ms: Some(at_ms), ..self }
    }

    /// Says for how long it has been so at `now_ms`, in milliseconds since the Unix epoch.
    pub fn lasts(&self, now_ms: &i64) -> String {
        self.since_ms.map_or_else(String::new, |at_ms| counted(at_ms, say::between_s(at_ms, *now_ms)))
    }
}

fn to_workers(stage: &str) -> (String, &'static str) {
    (format!("/workers?stage={stage}"), "Its workers")
}

fn to_queue(stage: &str) -> (String, &'static str) {
    (format!("/queues/{stage}"), "Its queue")
}

/// Leads to where more slots come from; gatherers are not scaled.
fn to_scale(stage: &str) -> (String, &'static str) {
    match scaled(stage) {
        Ok(_) => (format!("/autoscaler?stage={stage}"), "Its scale"),
        Err(_) => to_queue(stage),
    }
}

fn sight(state: &State, now: Timestamp) -> Option<Wrong> {
    let what = format!("It is not seen how things stand: {}", state.stale(now)?);
    let advice = "Numbers here are old or have gaps, and more may be wrong than is told. Work goes on by itself.";
    Some(Wrong::serious(what, advice, ("/queues".to_owned(), "Queues")))
}

fn service(state: &State, wrong: &mut Vec<Wrong>) {
    let short = || ("/cost#short-head".to_owned(), "Disk, memory and quotas");
    if let Some(why) = state.service.refusing() {
        let what = format!("New videos are refused: {why}");
        wrong.push(Wrong::serious(what, "Make room; what was accepted goes on.", short()));
    }
    for why in state.service.degraded() {
        let advice = "Videos accepted now are made with less work, and each says so.";
        wrong.push(Wrong::mild(format!("The service is degraded: {why}"), advice, short()));
    }
}

/// What holds a stage up: the first that is so.
fn of_queue(stage: &StageNow, now_ms: i64) -> Option<Wrong> {
    let name = stage.stage;
    if stage.paused > 0 {
        let what = format!("{name} is paused: a dependency of {} slots is away", stage.paused);
        let advice = "It goes on by itself once that is back; no attempt is spent.";
        return Some(Wrong::serious(what, advice, to_workers(name)));
    }
    if let Some(why) = &stage.unknown {
        let what = format!("The queue of {name} is not seen: {why}");
        return Some(Wrong::mild(what, "What is told of it is old.", to_queue(name)));
    }
    if stage.lag_records > 0 && stage.ready + stage.starting == 0 {
        let wait = if stage.lag_records == 1 { "waits" } else { "wait" };
        let what = format!("Nobody works on {name}, and {} {wait}", records(stage.lag_records));
        return Some(Wrong::serious(what, "Start a worker, or look why there is none.", to_workers(name)));
    }
    let since_ms = stage.waits_since_ms.filter(|at_ms| say::between_s(*at_ms, now_ms) > stage.wait_target_s)?;
    let what = match stage.waiting {
        1 => format!("A record waits at {name}"),
        many => format!("{} wait at {name}, the oldest", records(many)),
    };
    let target = say::span(stage.wait_target_s);
    let advice = format!("Longer than the target of {target}: the stage needs more slots, or its units are long.");
    Some(Wrong::mild(what, &advice, to_scale(name)).since(since_ms))
}

fn records(count: i64) -> String {
    say::many(usize::try_from(count).unwrap_or_default(), "record")
}

fn given_up(stage: &StageNow) -> Option<Wrong> {
    let name = stage.stage;
    let what = format!("{name} gave up {} within the hour", say::many(stage.given_up_1h, "unit"));
    let letters = (format!("/letters?stage={name}"), "Its dead letters");
    let told = Wrong::mild(what, "Read why, mend the cause, and replay them.", letters);
    (stage.given_up_1h > 0).then_some(told)
}

fn workers(state: &State, now_ms: i64, wrong: &mut Vec<Wrong>) {
    for report in state.workers.all() {
        for unit in &report.units {
            let since_ms = report.at_ms.saturating_sub_unsigned(unit.age_ms);
            if now_ms - since_ms > LONG_UNIT_MS {
                let what = format!("{} has had {} in hand", report.worker, unit.unit);
                let advice = "Long videos may take that long; drain the worker if it hangs.";
                wrong.push(Wrong::mild(what, advice, to_workers(report.stage().as_str())).since(since_ms));
            }
        }
    }
}

fn failures(state: &State, now_ms: i64) -> Option<Wrong> {
    let ended: Vec<_> = state.traffic.ended_since(now_ms - HOUR_MS).filter(|ended| ended.how.is_some()).collect();
    let failed = ended.iter().filter(|ended| ended.how == Some(EndState::Failed)).count();
    if failed == 0 || failed as f64 <= FAILED_SHARE * ended.len() as f64 {
        return None;
    }
    let what = format!("{failed} of {} failed within the hour", say::many(ended.len(), "video"));
    let advice = "Bad input fails by itself; the same code many times is a fault of ours.";
    Some(Wrong::mild(what, advice, ("/videos?state=failed&ended=1h".to_owned(), "Failed videos")))
}

fn waits(state: &State, now: Timestamp) -> Option<Wrong> {
    let target_s = state.scaling.longest_wait_target_s(now);
    let waits = state.traffic.waits_since(now.as_millisecond() - crate::seen::listen::WAITS_MS);
    let p95 = quantile(&waits, 0.95).filter(|p95| *p95 > target_s)?;
    let what = format!("Waits are too long: p95 is {} within 15 minutes", say::span(p95));
    let advice = format!("The target is {}.", say::span(target_s));
    Some(Wrong::mild(what, &advice, ("/autoscaler".to_owned(), "Autoscaler")))
}

fn scaling(state: &State, now: Timestamp, wrong: &mut Vec<Wrong>) {
    let Some(last) = state.scaling.ticks().next_back() else { return };
    if state.scaling.last(now).is_none() {
        let what = "The autoscaler has been silent".to_owned();
        let advice = "The scale stays as it is until it is back.";
        wrong.push(Wrong::mild(what, advice, ("/autoscaler".to_owned(), "Autoscaler")).since(last.at_ms));
        return;
    }
    for stage in &last.recorded.seen.stages {
        let decided = last.recorded.decided.iter().find(|decided| decided.stage == stage.stage);
        let lag: f64 = stage.lanes.iter().map(planning::observation::Lane::lag_records).sum();
        let most_slots = stage.max_replicas.saturating_mul(stage.slots_per_worker.max(1));
        if decided.is_some_and(|decided| decided.replicas >= stage.max_replicas) && lag > f64::from(most_slots) {
            let what = format!(
                "{} has all {} that there may be, and {} wait",
                stage.stage,
                say::many(most_slots as usize, "slot"),
                records(lag as i64)
            );
            wrong.push(Wrong::mild(what, "Raise its maximum, or plan for more.", to_scale(&stage.stage)));
        }
    }
}

#[cfg(test)]
mod tests;
