//! The stages as they are now.

use jiff::Timestamp;
use pipeline::stage::StageName;
use serde::Serialize;

use crate::part::counted;
use crate::say;
use crate::seen::traffic::quantile;
use crate::seen::{HOUR_MS, MINUTE_MS, State};

/// A stage as it is now.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StageNow {
    /// Its name.
    pub stage: &'static str,
    /// What it does, in a few words.
    pub does: &'static str,
    /// Units finished in the last minute.
    pub done_1m: usize,
    /// Why its queue is not seen; what is told of it is old then.
    pub unknown: Option<String>,
    /// Records that wait or are in its hands.
    pub lag_records: i64,
    /// How long the oldest of them lies there, in seconds.
    pub lag_s: Option<f64>,
    /// Records that wait and that nobody has begun.
    pub waiting: i64,
    /// When the oldest of those came, in milliseconds since the Unix epoch.
    pub waits_since_ms: Option<i64>,
    /// How long they may wait, in seconds.
    pub wait_target_s: f64,
    /// 95th percentile of the waits of its units in the last hour, in seconds.
    pub wait_p95_s: Option<f64>,
    /// Processes that work on it.
    pub processes: u32,
    /// Those of them that take work.
    pub processes_ready: u32,
    /// Slots that take work.
    pub ready: u32,
    /// Slots that will soon.
    pub starting: u32,
    /// Slots with a unit in hand.
    pub busy: u32,
    /// Slots whose worker waits for a dependency.
    pub paused: u32,
    /// Slots that are to be, where an autoscaler says so.
    pub target: Option<u32>,
    /// Units given up within the last hour.
    pub given_up_1h: usize,
    /// Attempts that failed within the last hour and were tried again.
    pub retried_1h: usize,
    /// Whether something is wrong with it.
    pub is_wrong: bool,
}

impl StageNow {
    /// Says for how long the oldest record has waited at `now_ms`, in milliseconds since the Unix epoch.
    pub fn waits(&self, now_ms: &i64) -> String {
        self.waits_since_ms.map_or_else(String::new, |at_ms| counted(at_ms, say::between_s(at_ms, *now_ms)))
    }

    /// Says how many of the slots have something in hand.
    pub fn use_percent(&self) -> u32 {
        (self.busy * 100).checked_div(self.ready + self.paused).unwrap_or(0).min(100)
    }
}

/// Returns every stage as it is at `now`, in the order of the flow.
pub fn stages(state: &State, now: Timestamp) -> Vec<StageNow> {
    StageName::ALL.map(|stage| one(state, stage, now)).to_vec()
}

fn one(state: &State, stage: StageName, now: Timestamp) -> StageNow {
    let now_ms = now.as_millisecond();
    let crew = state.workers.crew(stage);
    let lag_records = state.queues.records(stage);
    let waiting = (lag_records - i64::from(crew.busy)).max(0);
    let waits: Vec<f64> = state.traffic.units_since(stage, now_ms - HOUR_MS).map(|unit| unit.wait_s).collect();
    let troubles = || state.traffic.troubles_since(now_ms - HOUR_MS).filter(|trouble| trouble.stage == stage);
    let given_up_1h = troubles().filter(|trouble| trouble.given_up).count();
    let unknown = state.queues.unknown.get(&stage).cloned();
    let is_stuck = lag_records > 0 && crew.ready + crew.starting == 0;
    StageNow {
        stage: stage.as_str(),
        does: does(stage),
        done_1m: state.traffic.units_since(stage, now_ms - MINUTE_MS).count(),
        lag_records,
        lag_s: state.queues.oldest_ms(stage).filter(|_| lag_records > 0).map(|at_ms| say::between_s(at_ms, now_ms)),
        waiting,
        waits_since_ms: state.waits_since_ms(stage).filter(|_| waiting > 0),
        wait_target_s: state.scaling.wait_target_s(stage.as_str(), now),
        wait_p95_s: quantile(&waits, 0.95),
        processes: crew.processes,
        processes_ready: crew.processes_ready,
        ready: crew.ready,
        starting: crew.starting,
        busy: crew.busy,
        paused: crew.paused,
        target: state.scaling.last(now).and_then(|tick| tick.target_slots(stage.as_str())),
        given_up_1h,
        retried_1h: troubles().count() - given_up_1h,
        is_wrong: is_stuck || crew.paused > 0 || unknown.is_some(),
        unknown,
    }
}

const fn does(stage: StageName) -> &'static str {
    match stage {
        StageName::Fetch => "obtains and measures",
        StageName::Split => "cuts into segments",
        StageName::Transcribe => "sound to words",
        StageName::Analyze => "shots, motion, faces",
        StageName::Join => "gathers segments",
        StageName::Moments => "chooses clips",
        StageName::Cut => "crops and encodes",
        StageName::Deliver => "gathers clips",
        StageName::Record => "writes the log",
    }
}
