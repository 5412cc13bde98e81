//! The units of a video's work, as its log and the workers tell of them.

use std::collections::BTreeMap;

use pipeline::event::Happened;
use pipeline::stage::StageName;
use pipeline::store::LogEntry;

use crate::seen::workers::InHand;

/// A unit of work.
#[derive(Clone, PartialEq, Debug)]
pub struct Unit {
    /// Its stage.
    pub stage: StageName,
    /// Its name within the stage.
    pub name: String,
    /// Who did it or does it; empty if that is not known.
    pub worker: String,
    /// The attempt that succeeded, or the last that is known of, from 1.
    pub attempt: u32,
    /// When it began to wait, in milliseconds since the Unix epoch.
    pub queued_ms: Option<i64>,
    /// When its work began, likewise.
    pub started_ms: Option<i64>,
    /// When its work ended, likewise.
    pub finished_ms: Option<i64>,
    /// When attempts failed and were tried again, likewise.
    pub retried_ms: Vec<i64>,
    /// When it was given up, and with which code; replayed since, it is not.
    pub given_up: Option<(i64, String)>,
}

impl Unit {
    fn new(stage: StageName, name: &str) -> Self {
        Self {
            stage,
            name: name.to_owned(),
            worker: String::new(),
            attempt: 1,
            queued_ms: None,
            started_ms: None,
            finished_ms: None,
            retried_ms: Vec::new(),
            given_up: None,
        }
    }

    /// Returns how long it waited, in seconds.
    pub fn wait_s(&self) -> Option<f64> {
        Some(span_s(self.queued_ms?, self.started_ms?))
    }

    /// Returns how long it was worked on, in seconds; nothing while it is.
    pub fn busy_s(&self) -> Option<f64> {
        Some(span_s(self.started_ms?, self.finished_ms?))
    }

    /// Returns the first moment that is known of it, in milliseconds since the Unix epoch.
    pub fn first_ms(&self) -> Option<i64> {
        let gave_up_ms = self.given_up.as_ref().map(|(at_ms, _)| *at_ms);
        let known = [self.queued_ms, self.started_ms, self.retried_ms.first().copied(), gave_up_ms];
        known.into_iter().flatten().min()
    }

    /// Returns its place among those of its stage: by number where its name ends in one, else by time.
    fn place(&self) -> (u64, i64, i64) {
        let number = self.name.rsplit('/').next().and_then(|last| last.parse().ok());
        let or_last = |at_ms: Option<i64>| at_ms.unwrap_or(i64::MAX);
        (number.unwrap_or(0), or_last(self.first_ms()), or_last(self.started_ms))
    }
}

fn span_s(from_ms: i64, to_ms: i64) -> f64 {
    (to_ms - from_ms).max(0) as f64 / 1e3
}

/// Returns the units that `log` tells of or that workers have `in_hand`, by stage and place in it.
pub fn units(log: &[LogEntry], in_hand: &[InHand]) -> Vec<Unit> {
    let mut known: BTreeMap<(StageName, String), Unit> = BTreeMap::new();
    for entry in log {
        if let Some(happened) = &entry.event.happened {
            hear(&mut known, entry.event.at_ms, happened);
        }
    }
    for held in in_hand {
        let at = find(&mut known, held.stage, &held.unit);
        // What the log says is finished may still stand in the last report.
        if let Some(found) = at.filter(|found| found.finished_ms.is_none() && found.given_up.is_none()) {
            found.started_ms = Some(held.since_ms);
            found.worker.clone_from(&held.worker);
            found.attempt = found.retried_ms.len() as u32 + 1;
        }
    }
    let mut units: Vec<Unit> = known.into_values().collect();
    units.sort_by_key(|unit| (unit.stage, unit.place()));
    units
}

fn hear(known: &mut BTreeMap<(StageName, String), Unit>, at_ms: i64, happened: &Happened) {
    match happened {
        Happened::UnitDone(done) => {
            let Some(unit) = find(known, done.stage, &done.unit) else { return };
            unit.worker.clone_from(&done.worker);
            unit.attempt = done.attempt;
            unit.queued_ms = Some(done.queued_ms);
            unit.started_ms = Some(done.started_ms);
            unit.finished_ms = Some(done.finished_ms);
            unit.given_up = None;
        }
        Happened::UnitRetried(retried) => {
            let Some(unit) = find(known, retried.stage, &retried.unit) else { return };
            unit.attempt = retried.attempt;
            unit.retried_ms.push(at_ms);
        }
        Happened::UnitFailed(failed) => {
            let Some(unit) = find(known, failed.stage, &failed.unit) else { return };
            unit.given_up = Some((at_ms, failed.code.clone()));
        }
        Happened::Replayed(replay) => {
            let Some(unit) = find(known, replay.stage, &replay.unit) else { return };
            unit.given_up = None;
        }
        _ => {}
    }
}

fn find<'a>(known: &'a mut BTreeMap<(StageName, String), Unit>, stage: i32, name: &str) -> Option<&'a mut Unit> {
    // A stage of a newer version has no place here.
    let stage = StageName::try_from(stage).ok()?;
    Some(known.entry((stage, name.to_owned())).or_insert_with(|| Unit::new(stage, name)))
}

#[cfg(test)]
mod tests;
