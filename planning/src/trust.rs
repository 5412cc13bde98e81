//! Whether what is seen can be true, and what to go by when it cannot.

use crate::observation::{Lane, Stage};

/// Ticks without an observation after which it is too old to go on from.
const LOST_TICKS: f64 = 3.5;

/// No count and no time in seconds is larger.
const MOST: f64 = 1e15;

/// How much a decision may build on an observation.
#[derive(Clone, PartialEq, Debug)]
pub enum Trust {
    /// All of it.
    Full,
    /// None: the last good scale is held. Why, in words.
    Hold(String),
    /// It has been wrong for long: what is plausible of it may scale up, nothing down. Why, in words.
    Floor(String),
}

/// What is remembered to judge the next observation by.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    /// The names of its lanes.
    lanes: Vec<String>,
    last: Option<Counters>,
    bad_since: Option<f64>,
}

/// Everything that only counts up.
#[derive(Clone, Debug)]
struct Counters {
    at: f64,
    /// By lane: its end, what is committed of it, and what arrived; and what workers have done of it.
    lanes: Vec<([f64; 3], [f64; 3])>,
    /// What workers have done: units, and busy and media seconds of them.
    work: [f64; 3],
}

impl Counters {
    fn numbers(&self) -> impl Iterator<Item = f64> {
        self.lanes.iter().flat_map(|(queue, work)| queue.iter().chain(work)).chain(&self.work).copied()
    }
}

const OF_LANE: [&str; 3] = ["end offsets", "committed offsets", "arrivals"];
const OF_WORK: [&str; 3] = ["units done", "busy seconds", "media seconds"];

impl Judge {
    /// Judges `stage`, seen at `at`.
    ///
    /// Every counter is compared with the one before, good or bad: one that was set back for good, because what counts
    /// was restarted, costs one tick.
    pub fn judge(&mut self, at: f64, stage: &Stage, tick_s: f64, hold_s: f64) -> Trust {
        let of = |lane: &Lane| {
            let queue = [lane.end_offset_total, lane.committed_total, lane.arrived_total];
            let work = [lane.done_total, lane.busy_seconds_total, lane.work_done_media_s_total];
            (queue, work)
        };
        let now = Counters {
            at,
            lanes: stage.lanes.iter().map(of).collect(),
            work: [stage.done_total, stage.busy_seconds_total, stage.work_done_media_s_total],
        };
        let fault = self.fault(&now, stage, tick_s);
        if now.numbers().all(f64::is_finite) {
            if !self.has_lanes_of(stage) {
                self.lanes = stage.lanes.iter().map(|lane| lane.lane.clone()).collect();
            }
            self.last = Some(now);
        }
        let Some(fault) = fault else {
            self.bad_since = None;
            return Trust::Full;
        };
        let since = *self.bad_since.get_or_insert(at);
        if at - since >= hold_s { Trust::Floor(fault) } else { Trust::Hold(fault) }
    }

    fn has_lanes_of(&self, stage: &Stage) -> bool {
        self.lanes.iter().eq(stage.lanes.iter().map(|lane| &lane.lane))
    }

    fn fault(&self, now: &Counters, stage: &Stage, tick_s: f64) -> Option<String> {
        if stage.stale.is_some() {
            return stage.stale.clone();
        }
        for lane in &stage.lanes {
            let lag = lane.lag_records();
            if !lag.is_finite() || lag < 0.0 {
                return Some(format!("lane {} has a lag of {lag} records", lane.lane));
            }
        }
        let given = [now.at, stage.slots_busy, stage.wait_slo_s, stage.startup_p90_s.unwrap_or(0.0)];
        if given.into_iter().chain(now.numbers()).any(|number| !(0.0..=MOST).contains(&number)) {
            return Some("a number is negative, too large or none at all".to_owned());
        }
        if stage.slots_busy > 0.0 && stage.workers.ready == 0 && stage.workers.draining == 0 {
            return Some(format!("{} slots are busy and no worker is ready", stage.slots_busy));
        }
        let last = self.last.as_ref()?;
        let passed = now.at - last.at;
        if passed <= 0.0 {
            return Some(format!("time went from {} s to {} s", last.at, now.at));
        }
        if passed > LOST_TICKS * tick_s {
            return Some(format!("nothing was seen for {passed:.0} s"));
        }
        if !self.has_lanes_of(stage) {
            return Some("its lanes are others than before".to_owned());
        }
        went_back(now, last, stage)
    }
}

fn went_back(now: &Counters, last: &Counters, stage: &Stage) -> Option<String> {
    let back = |names: [&str; 3], before: [f64; 3], after: [f64; 3]| {
        let mut pairs = names.into_iter().zip(before.into_iter().zip(after));
        let (name, (before, after)) = pairs.find(|(_, (before, after))| *after < before - 1e-6)?;
        Some(format!("{name} went back from {before:.0} to {after:.0}"))
    };
    let mut lanes = stage.lanes.iter().zip(last.lanes.iter().zip(&now.lanes));
    let of_lane = lanes.find_map(|(lane, ((queue_before, work_before), (queue, work)))| {
        let words = back(OF_LANE, *queue_before, *queue).or_else(|| back(OF_WORK, *work_before, *work))?;
        Some(format!("lane {}: {words}", lane.lane))
    });
    of_lane.or_else(|| back(OF_WORK, last.work, now.work))
}
