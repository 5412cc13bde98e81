//! What becomes of videos, by `video.event`: which are open, how long they waited, how they ended, what they took. An
//! event that is published twice counts once.

mod open;

use std::collections::{BTreeMap, HashMap, VecDeque};

use pipeline::event::{EndState, Happened, UnitDone, VideoEvent};
use pipeline::id::TenantId;
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use planning::simulate::outcome;

use super::HOUR_MS;
use crate::say::between_s;
pub use open::Open;

/// How far back is read at the start and kept, in milliseconds.
pub const KEPT_MS: i64 = 24 * HOUR_MS;
/// How long single units and troubles are kept, in milliseconds.
const UNITS_KEPT_MS: i64 = HOUR_MS;
/// The most units that are kept: with more of them, rates are of a shorter time.
const MOST_UNITS: usize = 50_000;

/// A video that has ended.
#[derive(Clone, PartialEq, Debug)]
pub struct Ended {
    /// Its id.
    pub video: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// How; nothing if it was cancelled.
    pub how: Option<EndState>,
    /// Its lane.
    pub lane: Lane,
    /// Time that slots worked on it, in seconds.
    pub busy_s: f64,
}

/// A unit that was finished.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Unit {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// By which stage.
    pub stage: StageName,
    /// How long it waited, in seconds.
    pub wait_s: f64,
    /// How long it took, in seconds.
    pub busy_s: f64,
}

/// A unit that failed.
#[derive(Clone, PartialEq, Debug)]
pub struct Trouble {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// At which stage.
    pub stage: StageName,
    /// Whether it was given up; else it is tried again.
    pub given_up: bool,
}

/// What becomes of videos.
#[derive(Debug, Default)]
pub struct Traffic {
    open: HashMap<String, Open>,
    ended: VecDeque<Ended>,
    /// What each of them was, to know what is told again or late, and for one that is opened again.
    closed: HashMap<String, Open>,
    waits: VecDeque<(i64, f64)>,
    units: VecDeque<Unit>,
    troubles: VecDeque<Trouble>,
    /// Time that slots worked in each clock hour, in seconds, by lane: a unit counts in the hour in which it ends.
    busy_s: BTreeMap<i64, [f64; Lane::ALL.len()]>,
}

impl Traffic {
    /// Hears of one event.
    pub fn hear(&mut self, event: &VideoEvent) {
        let video = event.job.video().to_string();
        let Some(happened) = &event.happened else { return };
        if matches!(happened, Happened::Deleted(_)) {
            return drop(self.open.remove(&video));
        }
        if let Some(closed) = self.closed.get_mut(&video) {
            if !closed.heard.is_new(&event.id) {
                return;
            }
            match happened {
                // `deliver` says that it is done after it has said that the video is.
                Happened::UnitDone(done) => self.unit_done(&video, event.job.lane(), done),
                Happened::Reopened(_) => self.reopened(video, event.at_ms),
                _ => {}
            }
            return;
        }
        let open = self.open.entry(video.clone()).or_insert_with(|| Open::new(event));
        if !open.heard.is_new(&event.id) {
            return;
        }
        open.lane = event.job.lane();
        match happened {
            Happened::Created(_) => open.created_ms = event.at_ms,
            // It ended so long ago that nothing is known of it.
            Happened::Reopened(_) => open.reopen(event.at_ms),
            Happened::UnitDone(done) => self.unit_done(&video, event.job.lane(), done),
            Happened::UnitRetried(unit) => self.trouble(event.at_ms, unit.stage, false),
            Happened::UnitFailed(unit) => self.trouble(event.at_ms, unit.stage, true),
            Happened::Ended(ended) => self.ended(video, event.at_ms, Some(ended.state())),
            Happened::Cancelled(_) => self.ended(video, event.at_ms, None),
            _ => {}
        }
    }

    /// Hears that a worker has a unit of a video in hand since `since_ms`, in milliseconds since the Unix epoch.
    pub fn in_hand(&mut self, video: &str, stage: StageName, since_ms: i64) {
        if let Some(open) = self.open.get_mut(video) {
            open.begin(stage, since_ms);
        }
    }

    fn unit_done(&mut self, video: &str, lane: Lane, done: &UnitDone) {
        let Ok(stage) = StageName::try_from(done.stage) else { return };
        let wait_s = between_s(done.queued_ms, done.started_ms);
        let busy_s = between_s(done.started_ms, done.finished_ms);
        if let Some(open) = self.open.get_mut(video)
            && let Some(waited_s) = open.note(stage, done, busy_s)
        {
            self.waits.push_back((done.started_ms, waited_s));
        }
        self.busy_s.entry(done.finished_ms.div_euclid(HOUR_MS)).or_default()[lane.index()] += busy_s;
        self.units.push_back(Unit { at_ms: done.finished_ms, stage, wait_s, busy_s });
        if self.units.len() > MOST_UNITS {
            self.units.pop_front();
        }
    }

    fn trouble(&mut self, at_ms: i64, stage: i32, given_up: bool) {
        let Ok(stage) = StageName::try_from(stage) else { return };
        self.troubles.push_back(Trouble { at_ms, stage, given_up });
    }

    fn reopened(&mut self, video: String, at_ms: i64) {
        self.ended.retain(|ended| ended.video != video);
        if let Some(mut open) = self.closed.remove(&video) {
            open.reopen(at_ms);
            self.open.insert(video, open);
        }
    }

    fn ended(&mut self, video: String, at_ms: i64, how: Option<EndState>) {
        let Some(open) = self.open.remove(&video) else { return };
        let (tenant, lane, busy_s) = (open.tenant.clone(), open.lane, open.busy_s);
        self.closed.insert(video.clone(), open);
        self.ended.push_back(Ended { video, tenant, at_ms, how, lane, busy_s });
    }

    /// Forgets what is too old to be told.
    pub fn forget(&mut self, now_ms: i64) {
        let is_old = |at_ms: i64, kept_ms: i64| now_ms - at_ms > kept_ms;
        while let Some(first) = self.ended.front().filter(|first| is_old(first.at_ms, KEPT_MS)) {
            self.closed.remove(&first.video);
            self.ended.pop_front();
        }
        self.busy_s = self.busy_s.split_off(&(now_ms - KEPT_MS).div_euclid(HOUR_MS));
        self.waits.retain(|(at_ms, _)| !is_old(*at_ms, UNITS_KEPT_MS));
        self.units.retain(|unit| !is_old(unit.at_ms, UNITS_KEPT_MS));
        self.troubles.retain(|trouble| !is_old(trouble.at_ms, UNITS_KEPT_MS));
    }

    /// Returns the videos that have not ended.
    pub fn open(&self) -> impl Iterator<Item = &Open> {
        self.open.values()
    }

    /// Returns the videos that ended since `since_ms`, in milliseconds since the Unix epoch.
    pub fn ended_since(&self, since_ms: i64) -> impl Iterator<Item = &Ended> {
        self.ended.iter().filter(move |ended| ended.at_ms >= since_ms)
    }

    /// Returns how long videos waited until their first segment was begun, in seconds, of those begun since `since_ms`.
    pub fn waits_since(&self, since_ms: i64) -> Vec<f64> {
        self.waits.iter().filter(|(at_ms, _)| *at_ms >= since_ms).map(|(_, wait_s)| *wait_s).collect()
    }

    /// Returns the units of `stage` that were finished since `since_ms`.
    pub fn units_since(&self, stage: StageName, since_ms: i64) -> impl Iterator<Item = &Unit> {
        self.units.iter().filter(move |unit| unit.stage == stage && unit.at_ms >= since_ms)
    }

    /// Returns for how long slots worked in the clock hour that `at_ms` lies in, in seconds, by lane.
    pub fn busy_s(&self, at_ms: i64) -> [f64; Lane::ALL.len()] {
        self.busy_s.get(&at_ms.div_euclid(HOUR_MS)).copied().unwrap_or_default()
    }

    /// Returns what failed since `since_ms`, oldest first.
    pub fn troubles_since(&self, since_ms: i64) -> impl Iterator<Item = &Trouble> {
        self.troubles.iter().filter(move |trouble| trouble.at_ms >= since_ms)
    }

    /// Returns how long the video has lain in queues that has lain there longest without a segment begun, in seconds: what
    /// [`Traffic::waits_since`] will tell of it, as far as it is over.
    pub fn oldest_wait_s(&self, now_ms: i64) -> Option<f64> {
        self.open.values().filter_map(|open| open.waits_s(now_ms)).max_by(f64::total_cmp)
    }
}

/// Returns the value that `share` of `values` do not exceed, if there are any.
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    (!values.is_empty()).then(|| outcome::quantile(values.to_vec(), share))
}

#[cfg(test)]
mod tests;
