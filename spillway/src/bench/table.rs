//! What came out, as rows with their targets: a table for a person, and the same as JSON.

use std::fmt::Write as _;

use serde::Serialize;

/// What a value is to be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Not above this.
    AtMost(f64),
    /// Not below this.
    AtLeast(f64),
    /// Below this.
    Below(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
            Self::Below(limit) => value < limit,
        }
    }
}

/// In what a value is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// Seconds of CPU time.
    #[serde(rename = "cpu_s")]
    CpuSeconds,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// So many times another value.
    #[serde(rename = "times")]
    Times,
    /// A part of 1.
    #[serde(rename = "share")]
    Share,
    /// Cores.
    #[serde(rename = "cores")]
    Cores,
    /// Things, or things an hour.
    #[serde(rename = "count")]
    Count,
    /// Things a second.
    #[serde(rename = "per_s")]
    PerSecond,
    /// Mebibytes.
    #[serde(rename = "mib")]
    Mebibytes,
    /// Mebibytes a second.
    #[serde(rename = "mib_per_s")]
    MebibytesPerSecond,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::CpuSeconds => format!("{value:.2} CPU-s"),
            Self::Seconds => format!("{value:.2} s"),
            Self::Milliseconds => format!("{value:.1} ms"),
            Self::Times => format!("{value:.3} x"),
            Self::Share => format!("{:.1} %", value * 100.0),
            Self::Cores => format!("{value:.3} cores"),
            Self::Count => format!("{value:.1}"),
            Self::PerSecond => format!("{value:.1} /s"),
            Self::Mebibytes => format!("{value:.1} MiB"),
            Self::MebibytesPerSecond => format!("{value:.1} MiB/s"),
        }
    }
}

/// One number.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What it belongs to.
    pub group: String,
    /// What it says.
    pub name: String,
    /// The number.
    pub value: f64,
    /// In what it is counted.
    pub unit: Unit,
    /// What it is to be.
    pub target: Option<Target>,
    /// Whether it is.
    pub passed: Option<bool>,
}

/// All numbers, in order.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Table(Vec<Row>);

impl Table {
    /// Adds a number.
    pub fn add(&mut self, group: &str, name: impl Into<String>, value: f64, unit: Unit) {
        self.0.push(Row { group: group.to_owned(), name: name.into(), value, unit, target: None, passed: None });
    }

    /// Adds a number that has a target.
    pub fn judge(&mut self, group: &str, name: impl Into<String>, value: f64, unit: Unit, target: Target) {
        let passed = Some(target.is_met(value));
        self.0.push(Row { group: group.to_owned(), name: name.into(), value, unit, target: Some(target), passed });
    }

    /// Returns the table as text.
    pub fn text(&self) -> String {
        let width = self.0.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        let mut group = "";
        for row in &self.0 {
            if row.group != group {
                group = &row.group;
                let _ = writeln!(text, "\n{group}");
            }
            let value = row.unit.show(row.value);
            let verdict = match (row.target, row.passed) {
                (Some(target), Some(passed)) => {
                    let (sign, limit) = match target {
                        Target::AtMost(limit) => ("<=", limit),
                        Target::AtLeast(limit) => (">=", limit),
                        Target::Below(limit) => ("<", limit),
                    };
                    format!("   {sign} {:<12} {}", row.unit.show(limit), if passed { "pass" } else { "FAIL" })
                }
                _ => String::new(),
            };
            let _ = writeln!(text, "  {:<width$}  {value:>14}{verdict}", row.name);
        }
        let judged = self.0.iter().filter_map(|row| row.passed);
        let (met, all) = judged.fold((0, 0), |(met, all), passed| (met + u32::from(passed), all + 1));
        let _ = writeln!(text, "\n{met} of {all} targets met");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_falls_short_says_so() {
        let mut table = Table::default();
        table.add("floor", "encode", 12.5, Unit::CpuSeconds);
        table.judge("one", "wall", 0.66, Unit::Times, Target::AtMost(0.65));
        table.judge("many", "cores used", 0.85, Unit::Share, Target::AtLeast(0.85));
        table.judge("many", "hop", 10.0, Unit::Milliseconds, Target::Below(10.0));
        let text = table.text();
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        for line in [
            "encode 12.50 CPU-s",
            "wall 0.660 x <= 0.650 x FAIL",
            "cores used 85.0 % >= 85.0 % pass",
            "hop 10.0 ms < 10.0 ms FAIL",
            "1 of 3 targets met",
        ] {
            assert!(text.lines().any(|shown| words(shown) == line), "{line:?} in\n{text}");
        }
    }
}
