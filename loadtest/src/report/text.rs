//! A run as text, for a terminal.

use std::fmt::Write as _;

use super::Report;
use crate::quantiles::Quantiles;
use crate::verdict::{Outcome, Target};

/// Returns what the numbers rest on, the numbers, the verdicts, and, where a target was missed, what was at its end.
pub fn summary(report: &Report) -> String {
    let mut text = String::new();
    for sentence in report.about.sentences(&report.curve) {
        let _ = writeln!(text, "{sentence}");
    }
    text += "\n";
    text += &numbers(report);
    text += "\n";
    text += &verdicts(&report.targets);
    let missed = report.targets.iter().any(|target| target.outcome == Outcome::Missed);
    if missed {
        text += "\nHow near each resource was to its end while the load lasted:\n";
        for limit in &report.limits {
            let mark = if limit.reached { "LIMIT" } else { "  ok " };
            let _ = writeln!(text, "  {mark}  {}: {}", limit.resource, limit.seen);
        }
    }
    text
}

fn numbers(report: &Report) -> String {
    let measures = &report.measures;
    let mut text = format!(
        "arrivals {}: accepted {}, refused {}, not sent {}; done {}, ended otherwise {}, lost {}; {} clips, {} units, {} \
         tried again\n",
        measures.planned,
        measures.accepted,
        measures.refused,
        measures.unsent,
        measures.done,
        measures.not_done,
        measures.lost,
        measures.clips,
        measures.units,
        measures.retries
    );
    let rows = [
        ("accepted (real seconds)", measures.acceptance),
        ("sent late (real seconds)", measures.late),
        ("queue wait to the first segment", measures.queue_wait),
        ("acceptance to the first segment", measures.first_segment),
        ("processing", measures.processing),
        ("acceptance to the end", measures.total),
    ];
    let _ = writeln!(text, "{:<34}{:>9}{:>9}{:>9}{:>9}", "seconds", "p50", "p95", "p99", "most");
    for (name, quantiles) in rows {
        if let Some(Quantiles { p50, p95, p99, max, .. }) = quantiles {
            let _ = writeln!(text, "{name:<34}{p50:>9.2}{p95:>9.2}{p99:>9.2}{max:>9.2}");
        }
    }
    let others = [
        ("work of slots a video", measures.busy_s_a_video, "s"),
        ("slots, open and starting", measures.slot_hours, "hours"),
    ];
    for (name, value, unit) in others {
        if let Some(value) = value {
            let _ = writeln!(text, "{name:<34}{value:>9.2} {unit}");
        }
    }
    text
}

/// Returns the targets, a line each.
pub fn verdicts(targets: &[Target]) -> String {
    let mut text = String::new();
    for target in targets {
        let mark = mark(target.outcome);
        let _ = writeln!(text, "  {mark:<6} {:<50}{:<34}{}", target.name, target.wanted, target.measured);
    }
    text
}

/// Returns the word for an outcome.
pub fn mark(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Met => "met",
        Outcome::Missed => "MISSED",
        Outcome::Open => "open",
    }
}
