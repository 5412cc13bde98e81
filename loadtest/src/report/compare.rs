//! Two runs side by side.

use std::fmt::Write as _;

use super::Report;
use super::text::mark;
use crate::measures::Measures;
use crate::quantiles::Quantiles;

/// One measure of both runs.
pub struct Row {
    /// What it is.
    pub name: &'static str,
    /// Of the run before and of this one, in words.
    pub values: [String; 2],
    /// How much more this one has, in percent.
    pub change: Option<f64>,
}

/// Returns what can be compared of `before` and `now`.
pub fn rows(before: &Report, now: &Report) -> Vec<Row> {
    let both = [&before.measures, &now.measures];
    let count = |name, of: fn(&Measures) -> usize| row(name, both.map(|m| Some(of(m) as f64)), 0);
    let p50 = |name, of: fn(&Measures) -> Option<Quantiles>| row(name, both.map(|m| of(m).map(|q| q.p50)), 2);
    let p95 = |name, of: fn(&Measures) -> Option<Quantiles>| row(name, both.map(|m| of(m).map(|q| q.p95)), 2);
    let value = |name, of: fn(&Measures) -> Option<f64>| row(name, both.map(of), 2);
    vec![
        count("arrivals", |m| m.planned),
        count("accepted", |m| m.accepted),
        count("done", |m| m.done),
        count("lost", |m| m.lost),
        count("told twice", |m| m.duplicates),
        row("accepted, p99, real s", both.map(|m| m.acceptance.map(|q| q.p99)), 3),
        p50("queue wait, p50, s", |m| m.queue_wait),
        p95("queue wait, p95, s", |m| m.queue_wait),
        p50("processing, p50, s", |m| m.processing),
        p95("processing, p95, s", |m| m.processing),
        p50("acceptance to the end, p50, s", |m| m.total),
        p95("acceptance to the end, p95, s", |m| m.total),
        value("videos an hour", |m| m.rate_per_hour),
        value("use of workers, share", |m| m.used),
        value("slot hours", |m| m.slot_hours),
        value("first decision, s", |m| m.decision_s),
        value("capacity after it, s", |m| m.capacity_s),
    ]
}

/// Returns both runs as text.
pub fn text(before: &Report, now: &Report) -> String {
    let mut text = String::from("Beside the run before (first):\n");
    for report in [before, now] {
        let about = &report.about;
        let _ = writeln!(
            text,
            "  {} seed {} at {}, time scale {}, {}",
            about.schedule, about.seed, about.begun_at, about.time_scale, about.spillway
        );
    }
    for row in rows(before, now) {
        let [first, second] = &row.values;
        let change = row.change.map_or(String::new(), |change| format!("{change:+.1} %"));
        let _ = writeln!(text, "  {:<34}{first:>12}{second:>12}{change:>12}", row.name);
    }
    for target in &now.targets {
        let earlier = before.targets.iter().find(|other| other.name == target.name);
        if let Some(earlier) = earlier.filter(|earlier| earlier.outcome != target.outcome) {
            let _ = writeln!(text, "  {}: {} then, {} now", target.name, mark(earlier.outcome), mark(target.outcome));
        }
    }
    text
}

fn row(name: &'static str, values: [Option<f64>; 2], digits: usize) -> Row {
    let change = match values {
        [Some(before), Some(now)] if before != 0.0 => Some((now / before - 1.0) * 100.0),
        _ => None,
    };
    Row { name, values: values.map(|value| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))), change }
}
