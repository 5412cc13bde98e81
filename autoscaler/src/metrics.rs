//! The autoscaler's metrics, in Prometheus' default registry; labels come from closed sets.

use std::sync::LazyLock;
use std::time::Duration;

use pipeline::stage::StageName;
use planning::observation::Stage;
use prometheus::{
    GaugeVec, Histogram, IntCounterVec, IntGauge, IntGaugeVec, histogram_opts, opts, register_gauge_vec,
    register_histogram, register_int_counter_vec, register_int_gauge, register_int_gauge_vec,
};

static REPLICAS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let options = opts!("spillway_autoscaler_replicas", "Replicas of a stage by state; target is what was decided");
    register_int_gauge_vec!(options, &["stage", "state"]).expect("registered once")
});

static LAG: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let options = opts!("spillway_autoscaler_lag_records", "Records that wait or are in work");
    register_int_gauge_vec!(options, &["stage", "lane"]).expect("registered once")
});

static HEAD_AGE: LazyLock<GaugeVec> = LazyLock::new(|| {
    let options = opts!("spillway_autoscaler_head_age_seconds", "Age of the oldest record that nobody has begun");
    register_gauge_vec!(options, &["stage", "lane"]).expect("registered once")
});

static STARTUP: LazyLock<GaugeVec> = LazyLock::new(|| {
    let options = opts!("spillway_autoscaler_startup_p90_seconds", "Time in which nine of ten new replicas work");
    register_gauge_vec!(options, &["stage"]).expect("registered once")
});

static CHANGES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = opts!("spillway_autoscaler_changes_total", "Changes of a stage's scale");
    register_int_counter_vec!(options, &["stage", "direction"]).expect("registered once")
});

static FAILURES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = opts!("spillway_autoscaler_failures_total", "What could not be read, changed or told");
    register_int_counter_vec!(options, &["what"]).expect("registered once")
});

static TICK_DURATION: LazyLock<Histogram> = LazyLock::new(|| {
    let buckets = vec![0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
    let options =
        histogram_opts!("spillway_autoscaler_tick_duration_seconds", "Time to observe, decide and act", buckets);
    register_histogram!(options).expect("registered once")
});

static LEADS: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("spillway_autoscaler_leads", "Whether this autoscaler is the one that acts")
        .expect("registered once")
});

/// What may fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// Reading ends or positions from the brokers.
    Lag,
    /// Hearing the workers of a stage that has some.
    Reports,
    /// Reading or changing a scale.
    Scale,
    /// Publishing a decision.
    Publish,
    /// Writing the record.
    Record,
}

/// Shows what was seen of a stage.
pub fn seen(stage: &Stage) {
    let name = stage.stage.as_str();
    let states = [
        ("ready", stage.workers.ready),
        ("busy", stage.workers.busy),
        ("starting", stage.workers.starting.len() as u32),
        ("draining", stage.workers.draining),
    ];
    for (state, count) in states {
        REPLICAS.with_label_values(&[name, state]).set(i64::from(count));
    }
    for lane in &stage.lanes {
        LAG.with_label_values(&[name, &lane.lane]).set(lane.lag_records() as i64);
        HEAD_AGE.with_label_values(&[name, &lane.lane]).set(lane.head_age_s);
    }
    if let Some(startup_s) = stage.startup_p90_s {
        STARTUP.with_label_values(&[name]).set(startup_s);
    }
}

/// Shows what was decided of a stage.
pub fn decided(stage: StageName, replicas: u32) {
    REPLICAS.with_label_values(&[stage.as_str(), "target"]).set(i64::from(replicas));
}

/// Counts a change of scale.
pub fn changed(stage: StageName, from: u32, to: u32) {
    let direction = if to > from { "up" } else { "down" };
    CHANGES.with_label_values(&[stage.as_str(), direction]).inc();
}

/// Counts something that failed.
pub fn failed(what: What) {
    let what = match what {
        What::Lag => "lag",
        What::Reports => "reports",
        What::Scale => "scale",
        What::Publish => "publish",
        What::Record => "record",
    };
    FAILURES.with_label_values(&[what]).inc();
}

/// Notes how long a tick took.
pub fn ticked(took: Duration) {
    TICK_DURATION.observe(took.as_secs_f64());
}

/// Shows whether this autoscaler acts.
pub fn leads(leads: bool) {
    LEADS.set(i64::from(leads));
}
