//! Every metric of every role, in Prometheus' default registry; labels come from closed sets.

use std::sync::LazyLock;
use std::time::Duration;

use prometheus::{
    HistogramVec, IntCounterVec, IntGaugeVec, histogram_opts, opts, register_histogram_vec, register_int_counter_vec,
    register_int_gauge_vec,
};

use crate::failure::Code;
use crate::lane::Lane;
use crate::stage::StageName;

/// From a millisecond to the ten minutes a unit may take.
const DURATION_BUCKETS_S: [f64; 13] = [0.001, 0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0];

/// How a unit's attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It succeeded.
    Done,
    /// It failed and is tried again.
    Retried,
    /// It was dead-lettered.
    Failed,
    /// A dependency is down, or the worker drains.
    HandedBack,
    /// The video was cancelled, or somebody else has the unit.
    Dropped,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retried => "retried",
            Self::Failed => "failed",
            Self::HandedBack => "handed_back",
            Self::Dropped => "dropped",
        }
    }
}

static STAGE_DURATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    let buckets = DURATION_BUCKETS_S.to_vec();
    let options = histogram_opts!("spillway_stage_duration_seconds", "Time an attempt at a unit took", buckets);
    register_histogram_vec!(options, &["stage", "lane", "outcome"]).expect("registered once")
});

static STAGE_WAIT: LazyLock<HistogramVec> = LazyLock::new(|| {
    let buckets = DURATION_BUCKETS_S.to_vec();
    let options = histogram_opts!("spillway_stage_wait_seconds", "Time from publishing to the first attempt", buckets);
    register_histogram_vec!(options, &["stage", "lane"]).expect("registered once")
});

static STAGE_IN_FLIGHT: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let options = opts!("spillway_stage_in_flight", "Units worked on now");
    register_int_gauge_vec!(options, &["stage"]).expect("registered once")
});

static CONSUMER_LAG: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let options = opts!("spillway_consumer_lag_records", "Records of the held partitions not acknowledged yet");
    register_int_gauge_vec!(options, &["stage", "lane"]).expect("registered once")
});

static DEAD_LETTERS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = opts!("spillway_dead_letters_total", "Units given up");
    register_int_counter_vec!(options, &["stage", "reason"]).expect("registered once")
});

static BREAKER_OPEN: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let options = opts!("spillway_breaker_open", "Whether the stage waits for a dependency");
    register_int_gauge_vec!(options, &["stage"]).expect("registered once")
});

/// Notes that an attempt at a unit ended.
pub fn attempt_ended(stage: StageName, lane: Lane, outcome: Outcome, took: Duration) {
    let labels = [stage.as_str(), lane.as_str(), outcome.as_str()];
    STAGE_DURATION.with_label_values(&labels).observe(took.as_secs_f64());
}

/// Notes how long a unit waited before its first attempt.
pub fn waited(stage: StageName, lane: Lane, time: Duration) {
    STAGE_WAIT.with_label_values(&[stage.as_str(), lane.as_str()]).observe(time.as_secs_f64());
}

/// Sets how many units are worked on.
pub fn set_in_flight(stage: StageName, units: usize) {
    STAGE_IN_FLIGHT.with_label_values(&[stage.as_str()]).set(units as i64);
}

/// Sets how many records are not acknowledged.
pub fn set_lag(stage: StageName, lane: Lane, records: i64) {
    CONSUMER_LAG.with_label_values(&[stage.as_str(), lane.as_str()]).set(records);
}

/// Counts a dead letter.
pub fn dead_letter(stage: StageName, reason: Code) {
    DEAD_LETTERS.with_label_values(&[stage.as_str(), reason.as_str()]).inc();
}

/// Sets whether the stage waits for a dependency.
pub fn set_breaker_open(stage: StageName, open: bool) {
    BREAKER_OPEN.with_label_values(&[stage.as_str()]).set(i64::from(open));
}
