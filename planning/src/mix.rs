//! In which lanes the work is, and what it costs there.

use std::collections::BTreeMap;

use crate::measure::{LaneCost, Service, keep};
use crate::observation::{Lane, Stage};

/// What is known of each lane of a stage.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mix(BTreeMap<String, Known>);

#[derive(Clone, Debug, Default)]
struct Known {
    /// Records that arrived, old ones fading.
    arrived: f64,
    service: Service,
}

/// A lane's counters at one look, or what they went on by since.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct LaneTotals {
    pub arrived: f64,
    pub done: f64,
    pub busy_s: f64,
    pub media_s: f64,
}

/// The work in one lane.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct LaneWork {
    /// Records that are waiting or in work.
    pub here: f64,
    /// Records that are expected.
    pub comes: f64,
    /// What each costs, where that was measured.
    pub cost: Option<LaneCost>,
    /// Time of each in a slot, in seconds.
    pub service_s: f64,
}

impl LaneTotals {
    /// Returns the counters of each lane.
    pub(crate) fn of(stage: &Stage) -> Vec<Self> {
        let lane = |lane: &Lane| Self {
            arrived: lane.end_offset_total,
            done: lane.done_total,
            busy_s: lane.busy_seconds_total,
            media_s: lane.work_done_media_s_total,
        };
        stage.lanes.iter().map(lane).collect()
    }

    /// Returns what came since it was `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            arrived: self.arrived - before.arrived,
            done: self.done - before.done,
            busy_s: self.busy_s - before.busy_s,
            media_s: self.media_s - before.media_s,
        }
    }
}

impl Mix {
    /// Takes what arrived in each lane of `stage` within the last `elapsed_s` seconds. A lane it no longer has is forgotten.
    pub(crate) fn arrive(&mut self, elapsed_s: f64, stage: &Stage, lanes: &[LaneTotals]) {
        let keep = keep(elapsed_s);
        for (lane, change) in stage.lanes.iter().zip(lanes) {
            match self.0.get_mut(&lane.lane) {
                Some(known) => known.arrived = known.arrived * keep + change.arrived,
                None => {
                    self.0.insert(lane.lane.clone(), Known { arrived: change.arrived, ..Known::default() });
                }
            }
        }
        if self.0.len() != stage.lanes.len() {
            self.0.retain(|name, _| stage.lanes.iter().any(|lane| lane.lane == *name));
        }
    }

    /// Takes what was done in each lane of `stage` within the last `elapsed_s` seconds.
    pub(crate) fn work(&mut self, elapsed_s: f64, stage: &Stage, lanes: &[LaneTotals]) {
        for (lane, change) in stage.lanes.iter().zip(lanes) {
            if let Some(known) = self.0.get_mut(&lane.lane) {
                known.service.record(elapsed_s, change.done, change.busy_s, change.media_s);
            }
        }
    }

    /// Returns the work in each lane of `stage`, to which `coming` records come that are expected to be of the lanes that
    /// others were of; `service` is what work costs at the stage.
    pub(crate) fn lanes(&self, stage: &Stage, coming: f64, service: &Service) -> Vec<LaneWork> {
        let arrived: f64 = self.0.values().map(|known| known.arrived).sum();
        let lane = |lane: &Lane| {
            let known = self.0.get(&lane.lane);
            let cost = known.and_then(|known| known.service.within(service));
            // Where nothing came yet it may be any of them.
            let share = known.filter(|_| arrived > 0.0).map_or(1.0, |known| known.arrived / arrived);
            LaneWork {
                here: lane.lag_records(),
                comes: coming * share,
                cost,
                service_s: cost.map_or(service.mean_s(), |cost| cost.service_s),
            }
        };
        stage.lanes.iter().map(lane).collect()
    }
}

/// Returns the mean time of a record in `lanes` that hold as many as `count` says, in seconds; `else_s` if they hold none.
pub(crate) fn mean_s(lanes: &[LaneWork], count: impl Fn(&LaneWork) -> f64, else_s: f64) -> f64 {
    let (records, busy_s) = lanes
        .iter()
        .fold((0.0, 0.0), |(records, busy_s), lane| (records + count(lane), busy_s + count(lane) * lane.service_s));
    if records > 0.0 { busy_s / records } else { else_s }
}
