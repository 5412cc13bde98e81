//! What is remembered between two decisions.

use std::collections::{BTreeMap, VecDeque};

use crate::arrivals::Arrivals;
use crate::forecast::Forecaster;
use crate::measure::{FanOut, InWork, Service, Startup};
use crate::mix::{LaneTotals, Mix};
use crate::policy::Policy;
use crate::trust::Judge;

/// The state of the policy: empty at start, bounded however long it runs.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// By stage.
    pub(crate) stages: BTreeMap<String, StageMemory>,
}

impl Memory {
    /// Keeps what was learned and forgets the last moment: whoever goes on counts from his own start, and holds to the
    /// scale that is there, not to one that was decided before.
    pub fn resume(&mut self) {
        for own in self.stages.values_mut() {
            (own.judge, own.totals, own.in_work) = (Judge::default(), None, InWork::default());
            own.forecaster.resume();
            own.enough.clear();
            own.decided = None;
        }
    }
}

/// What is remembered of one stage.
#[derive(Clone, Debug)]
pub(crate) struct StageMemory {
    pub judge: Judge,
    /// Totals at the last look.
    pub totals: Option<Totals>,
    pub arrivals: Arrivals,
    pub forecaster: Forecaster,
    pub service: Service,
    pub mix: Mix,
    pub in_work: InWork,
    pub startup: Startup,
    pub fan_out: FanOut,
    /// How few workers would have been enough lately, with the time of each look.
    pub enough: VecDeque<(f64, u32)>,
    /// The last decision: what is held while data is not good.
    pub decided: Option<u32>,
    /// Uploads under way, smoothed: beside the rate they tell how long an upload takes.
    pub uploads: f64,
}

/// A stage's counters at one look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub at: f64,
    pub arrived: f64,
    pub done: f64,
    pub busy_s: f64,
    pub media_s: f64,
    pub slots_busy: f64,
    /// As the stage's lanes.
    pub lanes: Vec<LaneTotals>,
}

impl StageMemory {
    /// Knows nothing of `stage` but what `policy` says.
    pub(crate) fn new(policy: &Policy, stage: &str) -> Self {
        Self {
            judge: Judge::default(),
            totals: None,
            arrivals: Arrivals::default(),
            forecaster: Forecaster::new(policy.coverage),
            service: Service::new(policy.service_s(stage)),
            mix: Mix::default(),
            in_work: InWork::default(),
            startup: Startup::default(),
            fan_out: FanOut::default(),
            enough: VecDeque::new(),
            decided: None,
            uploads: 0.0,
        }
    }
}
