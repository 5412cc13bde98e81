//! A plot: drawn by uPlot where scripts run, and as a table of its numbers for everybody.

use askama::Template;
use jiff::Timestamp;
use serde::Serialize;

use crate::say;

/// The most rows of a plot's table.
const MOST_ROWS: usize = 40;
/// The points of a curve of shares.
pub const SHARES: usize = 240;

/// How a line is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// From point to point.
    Line,
    /// It stays until the next point.
    Step,
    /// On top of the lines before, filled.
    Stack,
    /// The lower edge of a band; the line after it is the upper one.
    BandLow,
    /// The upper edge.
    BandHigh,
}

/// A line of a plot.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Line {
    /// What it is called.
    pub label: String,
    /// How it is drawn.
    pub kind: Kind,
    /// Its values, one for each place on the axis.
    pub y: Vec<Option<f64>>,
    /// Which value of a [`crate::seen::history::Point`] goes on with it while the page is open, such as `open.0`; empty if
    /// nothing does.
    pub from: String,
}

/// A level that is meant to be kept.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Level {
    /// What it is called.
    pub label: String,
    /// Where it is.
    pub y: f64,
}

/// A plot.
#[derive(Clone, PartialEq, Debug, Serialize, Template)]
#[template(path = "plot.html")]
pub struct Plot {
    /// Its name in the page.
    pub id: &'static str,
    /// What it shows.
    pub title: String,
    /// The unit of its values.
    pub unit: &'static str,
    /// Whether `x` are moments, in seconds since the Unix epoch.
    pub is_time: bool,
    /// The name of the horizontal axis, unless it is time.
    pub x_label: &'static str,
    /// Places on the axis, in order.
    pub x: Vec<f64>,
    /// What is drawn.
    pub lines: Vec<Line>,
    /// Levels that are meant to be kept.
    pub levels: Vec<Level>,
}

impl Line {
    /// Makes a line.
    pub fn new(label: impl Into<String>, kind: Kind, y: Vec<Option<f64>>) -> Self {
        Self { label: label.into(), kind, y, from: String::new() }
    }

    /// Goes on with a value of the points that come while the page is open.
    #[must_use]
    pub fn going_on_with(mut self, from: impl Into<String>) -> Self {
        self.from = from.into();
        self
    }
}

impl Plot {
    /// Begins a plot over time; `at_ms` are moments in milliseconds since the Unix epoch.
    pub fn over_time(id: &'static str, title: impl Into<String>, unit: &'static str, at_ms: &[i64]) -> Self {
        let x = at_ms.iter().map(|ms| *ms as f64 / 1e3).collect();
        let (lines, levels) = (Vec::new(), Vec::new());
        Self { id, title: title.into(), unit, is_time: true, x_label: "time", x, lines, levels }
    }

    /// Begins a plot over something else.
    pub fn over(
        id: &'static str,
        title: impl Into<String>,
        unit: &'static str,
        x_label: &'static str,
        x: Vec<f64>,
    ) -> Self {
        let (lines, levels) = (Vec::new(), Vec::new());
        Self { id, title: title.into(), unit, is_time: false, x_label, x, lines, levels }
    }

    /// Draws for each of `lines` what share of its seconds, which are in order, is at most so long.
    pub fn shares(id: &'static str, title: impl Into<String>, lines: &[(&str, Vec<f64>)]) -> Self {
        let longest = lines.iter().filter_map(|(_, seconds)| seconds.last()).copied().fold(0.0, f64::max);
        let x = grid(longest, SHARES);
        let mut plot = Self::over(id, title, "%", "seconds", x.clone());
        for (label, seconds) in lines {
            let shares = x.iter().map(|at| share_within(seconds, *at)).collect();
            plot = plot.with(Line::new(*label, Kind::Line, shares));
        }
        plot
    }

    /// Adds a line.
    #[must_use]
    pub fn with(mut self, line: Line) -> Self {
        debug_assert_eq!(line.y.len(), self.x.len(), "{} has a value for each place", line.label);
        self.lines.push(line);
        self
    }

    /// Adds a level.
    #[must_use]
    pub fn with_level(mut self, label: impl Into<String>, y: f64) -> Self {
        self.levels.push(Level { label: label.into(), y });
        self
    }

    /// Returns what the script draws it from, safe within a script element.
    pub fn data(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        json.replace('<', "\\u003c")
    }

    /// Returns rows of the table: the newest or last first where it is over time.
    pub fn rows(&self) -> Vec<(String, Vec<String>)> {
        let step = self.x.len().div_ceil(MOST_ROWS).max(1);
        let mut places: Vec<usize> = (0..self.x.len()).rev().step_by(step).collect();
        if !self.is_time {
            places.reverse();
        }
        let value = |y: &Option<f64>| say::maybe_number(*y);
        let row = |place: usize| (self.x_said(place), self.lines.iter().map(|line| value(&line.y[place])).collect());
        places.into_iter().map(row).collect()
    }

    /// Says whether the title has the unit: `Slots of workers` counts slots.
    fn names_unit(&self) -> bool {
        let words = self.title.split(|one: char| !one.is_alphanumeric());
        self.unit.is_empty() || words.into_iter().any(|word| word.eq_ignore_ascii_case(self.unit))
    }

    /// Says where a level is.
    fn said(&self, level: &Level) -> String {
        match self.unit {
            "$" => format!("${}", level.y),
            unit => format!("{} {unit}", level.y),
        }
    }

    /// Says whether a line goes on while the page is open; the table does not.
    pub fn goes_on(&self) -> bool {
        self.lines.iter().any(|line| !line.from.is_empty())
    }

    /// Says whether there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.x.len() < 2
    }

    fn x_said(&self, place: usize) -> String {
        let x = self.x[place];
        if !self.is_time {
            return say::number(x);
        }
        let moment = Timestamp::from_millisecond((x * 1e3) as i64).unwrap_or(Timestamp::UNIX_EPOCH);
        say::moment(moment)
    }
}

/// Returns which share of `seconds`, which are in order, is at most `at`, in percent; nothing of none.
pub fn share_within(seconds: &[f64], at: f64) -> Option<f64> {
    let within = seconds.partition_point(|one| *one <= at) as f64;
    (!seconds.is_empty()).then(|| within / seconds.len() as f64 * 100.0)
}

/// Returns `points` places from 0 to `last`, evenly spread; none if there is nothing to draw.
pub fn grid(last: f64, points: usize) -> Vec<f64> {
    if last <= 0.0 {
        return Vec::new();
    }
    (0..points).map(|place| last * place as f64 / (points - 1) as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_labels_end_no_script_and_tables_stay_short() {
        let x: Vec<i64> = (0..1000).map(|second| second * 1000).collect();
        let y = (0..1000).map(|value| Some(f64::from(value))).collect();
        let plot = Plot::over_time("p", "t", "s", &x).with(Line::new("</script><b>", Kind::Line, y));
        assert!(!plot.data().contains("</script>"));
        let rows = plot.rows();
        assert_eq!((rows.len(), &*rows[0].0, &*rows[0].1[0]), (MOST_ROWS, "1970-01-01 00:16:39 UTC", "999"));
        let page = plot.render().unwrap();
        assert!(!page.contains("<b>") && page.contains("&#60;b&#62;"), "{page}");
    }
}
