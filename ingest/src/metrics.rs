//! The API's metrics, in Prometheus' default registry; labels come from closed sets.

use std::sync::LazyLock;
use std::time::Duration;

use prometheus::{
    Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, histogram_opts, opts, register_histogram,
    register_int_counter, register_int_counter_vec, register_int_gauge, register_int_gauge_vec,
};

static SUBMISSIONS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = opts!("spillway_submissions_total", "Submissions by how they were answered");
    register_int_counter_vec!(options, &["outcome"]).expect("registered once")
});

static SUBMISSION_DURATION: LazyLock<Histogram> = LazyLock::new(|| {
    let buckets = vec![0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0];
    let options = histogram_opts!("spillway_submission_duration_seconds", "Time from head to answer", buckets);
    register_histogram!(options).expect("registered once")
});

static UPLOAD_BYTES: LazyLock<IntCounter> = LazyLock::new(|| {
    register_int_counter!("spillway_upload_bytes_total", "Bytes of uploads taken in").expect("registered once")
});

static EVENT_STREAMS: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("spillway_event_streams", "Event streams that are open").expect("registered once")
});

static LATE_PUBLICATIONS: LazyLock<IntCounter> = LazyLock::new(|| {
    let help = "Creations that a request could not publish and the sweep did";
    register_int_counter!("spillway_late_publications_total", help).expect("registered once")
});

static REFUSALS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = opts!("spillway_refusals_total", "Videos that were not taken in, by what was short");
    register_int_counter_vec!(options, &["reason"]).expect("registered once")
});

static LOWERED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = opts!("spillway_lowered_videos_total", "Videos beyond their tenant's share, by how many lanes lower");
    register_int_counter_vec!(options, &["lanes"]).expect("registered once")
});

static BREAKERS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let options = opts!("spillway_overload_breaker_open", "Whether what is watched degrades the service, 0 or 1");
    register_int_gauge_vec!(options, &["breaker"]).expect("registered once")
});

static DEGRADED: LazyLock<IntGauge> = LazyLock::new(|| {
    let help = "Whether new videos are made without optional work, 0 or 1";
    register_int_gauge!("spillway_degraded", help).expect("registered once")
});

static UNFINISHED: LazyLock<IntGauge> = LazyLock::new(|| {
    let help = "Videos that were accepted and have not ended, of all tenants";
    register_int_gauge!("spillway_unfinished_videos", help).expect("registered once")
});

/// What was short when a video was not taken in.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// The tenant's quota.
    Quota,
    /// Free space.
    Disk,
    /// Memory.
    Memory,
}

/// Counts a video that was not taken in.
pub fn refused(reason: Refusal) {
    let reason = match reason {
        Refusal::Quota => "quota",
        Refusal::Disk => "disk",
        Refusal::Memory => "memory",
    };
    REFUSALS.with_label_values(&[reason]).inc();
}

/// Counts a video that goes so many lanes lower.
pub fn lowered(lanes: u32) {
    let lanes = match lanes {
        0 => return,
        1 => "1",
        _ => "2",
    };
    LOWERED.with_label_values(&[lanes]).inc();
}

/// Shows how the service is: whether each of the `breakers` is open, and whether it is degraded; `unfinished` videos, if
/// that is known.
pub fn set_load(breakers: impl IntoIterator<Item = (&'static str, bool)>, is_degraded: bool, unfinished: Option<u64>) {
    for (breaker, is_open) in breakers {
        BREAKERS.with_label_values(&[breaker]).set(is_open.into());
    }
    DEGRADED.set(is_degraded.into());
    if let Some(unfinished) = unfinished {
        UNFINISHED.set(unfinished as i64);
    }
}

/// Counts a submission that was answered with `status`.
pub fn submission(status: axum::http::StatusCode, took: Duration) {
    let outcome = match status.as_u16() {
        200..400 => "accepted",
        400..500 => "refused",
        _ => "failed",
    };
    SUBMISSIONS.with_label_values(&[outcome]).inc();
    SUBMISSION_DURATION.observe(took.as_secs_f64());
}

/// Counts bytes of an upload.
pub fn upload_bytes(bytes: usize) {
    UPLOAD_BYTES.inc_by(bytes as u64);
}

/// Counts a creation that was published by the sweep.
pub fn late_publication() {
    LATE_PUBLICATIONS.inc();
}

/// Counts an open event stream for as long as it lives.
pub struct EventStream(());

impl EventStream {
    /// Counts one more.
    pub fn open() -> Self {
        EVENT_STREAMS.inc();
        Self(())
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        EVENT_STREAMS.dec();
    }
}
