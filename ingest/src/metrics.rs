//! The API's metrics, in Prometheus' default registry; labels come from closed sets.

use std::sync::LazyLock;
use std::time::Duration;

use prometheus::{
    Histogram, IntCounter, IntCounterVec, IntGauge, histogram_opts, opts, register_histogram, register_int_counter,
    register_int_counter_vec, register_int_gauge,
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
