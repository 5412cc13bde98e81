//! What runs are told and compared by.

use serde::Serialize;

use super::report::{Measures, Quantiles, Report};

/// One measure of a run.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Measure {
    /// What it is, with its unit.
    pub name: &'static str,
    /// Nothing where the run does not tell.
    pub value: Option<f64>,
}

/// Which of the quantiles is told.
type Pick = fn(Quantiles) -> Option<f64>;

/// Returns all measures of a run, the same ones in the same order for each.
pub fn of(report: &Report) -> Vec<Measure> {
    let m: &Measures = &report.measures;
    let of = |quantiles: Option<Quantiles>, pick: Pick| quantiles.and_then(pick);
    let (p50, p95, p99): (Pick, Pick, Pick) = (|q| q.p50, |q| q.p95, |q| q.p99);
    let rows = [
        ("arrivals", m.planned),
        ("accepted", m.accepted),
        ("refused", m.refused),
        ("done", m.done),
        ("ended otherwise", m.not_done),
        ("accepted and lost", m.lost),
        ("told twice", m.duplicates),
        ("attempts made again", m.retries),
        ("clips", m.clips),
        ("acceptance, p99, real s", of(m.acceptance, p99)),
        ("queue wait, p50, s", of(m.queue_wait, p50)),
        ("queue wait, p95, s", of(m.queue_wait, p95)),
        ("first segment, p50, s", of(m.first_segment, p50)),
        ("first segment, p95, s", of(m.first_segment, p95)),
        ("processing, p50, s", of(m.processing, p50)),
        ("processing, p95, s", of(m.processing, p95)),
        ("acceptance to the end, p50, s", of(m.total, p50)),
        ("acceptance to the end, p95, s", of(m.total, p95)),
        ("videos an hour", m.rate_per_hour),
        ("work of slots a video, s", m.busy_s_a_video),
        ("use of workers, %", m.used.map(|used| used * 100.0)),
        ("slot hours", m.slot_hours),
        ("first decision for more, s", m.decision_s),
        ("capacity after it, s", m.capacity_s),
    ];
    rows.into_iter().map(|(name, value)| Measure { name, value }).collect()
}
