//! The units of a video's work, as its log and the workers tell of them.

use std::collections::BTreeMap;

use pipeline::event::{Happened, SegmentKind, StageTotal};
use pipeline::stage::StageName;
use pipeline::store::LogEntry;

use crate::say::between_s;
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
    /// The attempts that failed, in order; the last one of a unit that is given up only where its worker said when it began.
    pub failed: Vec<Attempt>,
    /// When it was given up, and with which code; replayed since, it is not.
    pub given_up: Option<(i64, String)>,
}

/// An attempt that failed.
#[derive(Clone, PartialEq, Debug)]
pub struct Attempt {
    /// When it began, in milliseconds since the Unix epoch; nothing where an older worker did not say.
    pub started_ms: Option<i64>,
    /// When it failed, likewise.
    pub failed_ms: i64,
    /// Who made it; empty where that is not known.
    pub worker: String,
    /// Whether the unit was given up then; else it was tried again.
    pub was_last: bool,
}

impl Unit {
    /// Makes one of which nothing is known yet.
    pub fn new(stage: StageName, name: &str) -> Self {
        Self {
            stage,
            name: name.to_owned(),
            worker: String::new(),
            attempt: 1,
            queued_ms: None,
            started_ms: None,
            finished_ms: None,
            failed: Vec::new(),
            given_up: None,
        }
    }

    /// Says whether it lies in a queue.
    pub fn is_waiting(&self) -> bool {
        self.started_ms.is_none() && self.given_up.is_none()
    }

    /// Returns from when to when it waited, in milliseconds since the Unix epoch: until `now_ms` while it does. It waits after
    /// each attempt that failed; one of which nobody said when it began counts as waiting.
    pub fn waits(&self, now_ms: i64) -> Vec<(i64, i64)> {
        let (mut spans, mut since_ms) = (Vec::new(), self.queued_ms);
        for attempt in &self.failed {
            // What was before a replay is not waited for any more.
            let Some(started_ms) = attempt.started_ms.filter(|at_ms| since_ms.is_none_or(|since| since <= *at_ms))
            else {
                continue;
            };
            spans.extend(since_ms.map(|since_ms| (since_ms, started_ms)));
            since_ms = Some(attempt.failed_ms);
        }
        let gave_up_ms = self.given_up.as_ref().map(|(at_ms, _)| *at_ms);
        let until_ms = self.started_ms.or(gave_up_ms).unwrap_or(now_ms);
        // After the last attempt nothing is waited for.
        spans.extend(since_ms.filter(|since_ms| Some(*since_ms) != gave_up_ms).map(|since_ms| (since_ms, until_ms)));
        spans
    }

    /// Returns how long it waited in all, in seconds, or has so far at `now_ms`; nothing where that is not known.
    pub fn wait_s(&self, now_ms: i64) -> Option<f64> {
        self.waits(now_ms).into_iter().map(|(from_ms, to_ms)| between_s(from_ms, to_ms)).reduce(|all, one| all + one)
    }

    /// Returns from when to when attempts were worked on that failed, as far as that is known.
    pub fn failed_runs(&self) -> impl Iterator<Item = (i64, i64)> {
        self.failed.iter().filter_map(|attempt| Some((attempt.started_ms?, attempt.failed_ms)))
    }

    /// Returns who worked on it.
    pub fn workers(&self) -> impl Iterator<Item = &String> {
        let all = self.failed.iter().map(|attempt| &attempt.worker).chain([&self.worker]);
        all.filter(|worker| !worker.is_empty())
    }

    /// Returns how long it was worked on, in seconds; nothing while it is.
    pub fn busy_s(&self) -> Option<f64> {
        Some(between_s(self.started_ms?, self.finished_ms?))
    }

    /// Returns the first moment that is known of it, in milliseconds since the Unix epoch.
    pub fn first_ms(&self) -> Option<i64> {
        let gave_up_ms = self.given_up.as_ref().map(|(at_ms, _)| *at_ms);
        let tried_ms = self.failed.first().map(|attempt| attempt.started_ms.unwrap_or(attempt.failed_ms));
        let known = [self.queued_ms, self.started_ms, tried_ms, gave_up_ms];
        known.into_iter().flatten().min()
    }

    /// Returns its place among those of its stage: by number where its name ends in one, else by time.
    fn place(&self) -> (u64, i64, i64) {
        let number = self.name.rsplit('/').next().and_then(|last| last.parse().ok());
        let or_last = |at_ms: Option<i64>| at_ms.unwrap_or(i64::MAX);
        (number.unwrap_or(0), or_last(self.first_ms()), or_last(self.started_ms))
    }
}

type Units = BTreeMap<(StageName, String), Unit>;

/// Returns the units that `log` tells of or that workers have `in_hand`, by stage and place in it. Those that nobody has
/// begun count as long as the video goes on, until `has_ended`.
pub fn units(log: &[LogEntry], in_hand: &[InHand], has_ended: bool) -> Vec<Unit> {
    let mut known = Units::new();
    let mut totals = BTreeMap::new();
    for entry in log {
        let at_ms = entry.event.at_ms;
        let Some(happened) = &entry.event.happened else { continue };
        hear(&mut known, at_ms, happened);
        match happened {
            Happened::Created(_) => queue(&mut known, StageName::Fetch, "video", at_ms),
            Happened::Ready(_) => queue(&mut known, StageName::Split, "video", at_ms),
            Happened::UnitDone(done) if done.stage() == StageName::Join => {
                queue(&mut known, StageName::Moments, &done.unit, at_ms);
            }
            Happened::Total(total) => queue_counted(&mut known, &mut totals, total, at_ms),
            _ => {}
        }
    }
    for held in in_hand {
        let at = find(&mut known, held.stage, &held.unit);
        // What the log says is finished may still stand in the last report.
        if let Some(found) = at.filter(|found| found.finished_ms.is_none() && found.given_up.is_none()) {
            found.started_ms = Some(held.since_ms);
            found.worker.clone_from(&held.worker);
            // Attempts are counted anew after a replay.
            found.attempt = found.failed.iter().rev().take_while(|attempt| !attempt.was_last).count() as u32 + 1;
        }
    }
    let is_told = |unit: &Unit| !has_ended || !unit.is_waiting() || !unit.failed.is_empty();
    let mut units: Vec<Unit> = known.into_values().filter(is_told).collect();
    units.sort_by_key(|unit| (unit.stage, unit.place()));
    units
}

/// Notes that a unit lies in the queue of `stage` since `at_ms`, unless more is known of it.
fn queue(known: &mut Units, stage: StageName, name: &str, at_ms: i64) {
    known.entry((stage, name.to_owned())).or_insert_with(|| Unit::new(stage, name)).queued_ms.get_or_insert(at_ms);
}

/// Notes the units that a stage has by what it was counted to have; `totals` are those of its windows before. A unit may have
/// been published a little before it was counted.
fn queue_counted(known: &mut Units, totals: &mut BTreeMap<(i32, u32), u32>, total: &StageTotal, at_ms: i64) {
    let kind = match total.stage() {
        StageName::Transcribe => SegmentKind::Audio,
        StageName::Analyze => SegmentKind::Video,
        StageName::Cut => {
            return total.clips.iter().for_each(|clip| queue(known, StageName::Cut, &format!("clip/{clip}"), at_ms));
        }
        _ => return,
    };
    let counted = |totals: &BTreeMap<(i32, u32), u32>| -> u32 {
        totals.range((total.stage, 0)..=(total.stage, u32::MAX)).map(|(_, total)| total).sum()
    };
    let before = counted(totals);
    totals.insert((total.stage, total.window), total.total);
    for index in before..counted(totals) {
        queue(known, total.stage(), &format!("{}/{index}", kind.as_str()), at_ms);
    }
}

fn hear(known: &mut Units, at_ms: i64, happened: &Happened) {
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
            let started_ms = Some(retried.started_ms).filter(|started_ms| *started_ms > 0);
            let worker = retried.worker.clone();
            unit.failed.push(Attempt { started_ms, failed_ms: at_ms, worker, was_last: false });
        }
        Happened::UnitFailed(failed) => {
            let Some(unit) = find(known, failed.stage, &failed.unit) else { return };
            unit.given_up = Some((at_ms, failed.code.clone()));
            if failed.started_ms > 0 {
                let (started_ms, worker) = (Some(failed.started_ms), failed.worker.clone());
                unit.attempt = failed.attempts;
                unit.failed.push(Attempt { started_ms, failed_ms: at_ms, worker, was_last: true });
            }
        }
        Happened::Replayed(replay) => {
            let Some(unit) = find(known, replay.stage, &replay.unit) else { return };
            (unit.given_up, unit.started_ms, unit.queued_ms) = (None, None, Some(at_ms));
        }
        _ => {}
    }
}

fn find<'a>(known: &'a mut Units, stage: i32, name: &str) -> Option<&'a mut Unit> {
    // A stage of a newer version has no place here.
    let stage = StageName::try_from(stage).ok()?;
    Some(known.entry((stage, name.to_owned())).or_insert_with(|| Unit::new(stage, name)))
}

#[cfg(test)]
mod tests;
