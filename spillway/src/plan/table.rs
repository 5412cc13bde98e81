//! The answers as tables for a person.

use std::fmt::Write as _;

use planning::plan::answer::{Answer, Rival};
use planning::plan::beside::Row;
use planning::plan::words::{banded, cells, heading, money, percent, sources, times, used, when};

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
        "  {:<17}{:>10}{:>25}{:>9}{:>10}{:>25}{:>6}{:>9}{:>10}{:>10}",
        "busiest hour", "wait p50", "p95", "> 120 s", "work p50", "p95", "use", "changes", "a video", "a month"
    );
    for rival in &answer.rivals {
        text += &row(rival);
    }
    let _ = writeln!(text, "\n  {:<12}{:>22}{:>14}{:>8}", "spillway", "workers in the peak", "all day", "use");
    for stage in answer.rivals.iter().take(1).flat_map(|ours| &ours.stages) {
        let _ = writeln!(
            text,
            "  {:<12}{:>22}{:>14.1}{:>8}",
            stage.stage,
            banded(stage.peak_workers),
            stage.mean_workers,
            percent(stage.utilisation)
        );
    }
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

fn row(rival: &Rival) -> String {
    let cells = cells(rival);
    let [name, wait_p50, wait_p95, over, work_p50, work_p95, used, changes, video, month] = &cells;
    let middle = |cell: &str| cell.split(" (").next().unwrap_or_default().to_owned();
    let (wait_p50, work_p50) = (middle(wait_p50), middle(work_p50));
    format!(
        "  {name:<17}{wait_p50:>10}{wait_p95:>25}{over:>9}{work_p50:>10}{work_p95:>25}{used:>6}{changes:>9}{video:>10}{month:>10}\n"
    )
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
