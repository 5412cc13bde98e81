//! The answers as tables for a person.

use std::fmt::Write as _;

use super::answer::Answer;
use super::beside::Row;
use super::words::{banded, bands, between, cells, heading, money, percent, sources, times, used, when};

/// Returns everything there is to say.
pub fn text(answers: &[Answer]) -> String {
    let mut text = String::new();
    for answer in answers {
        text += &one(answer);
    }
    if let Some(answer) = answers.first() {
        text += "\nWhere the numbers come from\n";
        for (name, value, source) in sources(&answer.scenario) {
            let _ = writeln!(text, "  {name:<34} {value:<22} {source}");
        }
    }
    text
}

fn one(answer: &Answer) -> String {
    let mut text = format!("\n{}\n\n", heading(answer));
    let _ = writeln!(
        text,
        "  {:<17}{:>25}{:>27}{:>9}{:>25}{:>27}",
        "busiest hour", "wait p50", "p95", "> 120 s", "work p50", "p95"
    );
    for [name, wait_p50, wait_p95, over, work_p50, work_p95, ..] in answer.rivals.iter().map(cells) {
        let _ = writeln!(text, "  {name:<17}{wait_p50:>25}{wait_p95:>27}{over:>9}{work_p50:>25}{work_p95:>27}");
    }
    let _ = writeln!(
        text,
        "\n  {:<17}{:>22}{:>25}{:>27}{:>29}",
        "the whole time", "use", "changes a day", "a video", "a month"
    );
    for [name, .., used, changes, video, month] in answer.rivals.iter().map(cells) {
        let _ = writeln!(text, "  {name:<17}{used:>22}{changes:>25}{video:>27}{month:>29}");
    }
    let _ = writeln!(text, "\n  {:<12}{:>22}{:>22}{:>22}", "spillway", "workers in the peak", "all day", "use");
    for stage in answer.rivals.iter().take(1).flat_map(|ours| &ours.stages) {
        let _ = writeln!(
            text,
            "  {:<12}{:>22}{:>22}{:>22}",
            stage.stage,
            banded(stage.peak_workers),
            between(stage.mean_workers, |workers| format!("{workers:.1}")),
            between(stage.utilisation, percent)
        );
    }
    let _ = writeln!(text, "\n  {}.", bands(answer));
    if let Some(ours) = answer.rivals.first() {
        let bill = &ours.bill;
        let _ = writeln!(
            text,
            "\n  A month of it: {} workers, {} what always runs, {} storage. Of a video ${:.4} is work.",
            money(bill.workers),
            money(bill.base),
            money(bill.storage),
            bill.workers_per_video
        );
    }
    let unlimited = times(answer.unlimited_wait_p95_s);
    let _ = writeln!(text, "\n  What breaks first (if nothing were limited, the wait p95 would be {unlimited})");
    for breaking in &answer.breaking {
        let _ = writeln!(text, "  {:<12}{:<30}{}", when(breaking), breaking.what, used(answer, breaking));
        if breaking.days.is_some() {
            let _ = writeln!(text, "  {:<12}{}", "", breaking.then);
        }
    }
    text
}

/// Returns a run beside its simulation.
pub fn beside(rows: &[Row]) -> String {
    let mut text = format!("{:<12}{:>10}{:>24}{:>8}\n", "", "run", "simulated", "off");
    for row in rows {
        let (run, simulated) = (format!("{:.0} s", row.run_s), times(row.simulated_s));
        let _ = writeln!(text, "{:<12}{run:>10}{simulated:>24}{:>+6.0} %", row.name, 100.0 * row.off);
    }
    text
}
