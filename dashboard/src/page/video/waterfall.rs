//! The waterfall: when each unit of each stage waited and was worked on, drawn as SVG and told as a table.

use serde::Serialize;

use super::unit::Unit;
use crate::say::{self, between_s};

/// The most rows of a stage: of one with more units several share a row.
const ROWS: usize = 20;
/// The picture, in its own units.
const WIDTH: f64 = 1000.0;
const LABELS: f64 = 168.0;
const HEAD: f64 = 22.0;
const ROW: f64 = 15.0;
const GAP: f64 = 7.0;
/// The narrowest that something is drawn.
const LEAST: f64 = 1.5;
/// What lies nearer together than this is drawn as one.
const JOINED: f64 = 0.8;
/// The most lines across, and the steps between them, in seconds.
const LINES: f64 = 8.0;
const STEPS_S: [f64; 16] =
    [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14_400.0];

/// The waterfall of a video.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Waterfall {
    /// Where the video's pages are.
    #[serde(skip)]
    pub path: String,
    /// From when on, in milliseconds since the Unix epoch.
    pub from_ms: i64,
    /// Until when, likewise.
    pub to_ms: i64,
    /// One for each unit, or for several of a stage that has many.
    pub rows: Vec<Row>,
    #[serde(skip)]
    pub height: f64,
    #[serde(skip)]
    pub lines: Vec<Line>,
}

/// A unit, or several.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// Their stage.
    pub stage: &'static str,
    /// Their names: one, or the first and the last.
    pub units: String,
    /// How many they are.
    pub count: usize,
    /// How many of them lie in the queue.
    pub waiting: usize,
    /// How long they waited: the longest, in seconds, between its attempts too; until now while it does.
    pub wait_s: Option<f64>,
    /// How long they were worked on, all together, in seconds, by attempts that succeeded.
    pub busy_s: Option<f64>,
    /// How long they were by attempts that failed, as far as that is known.
    pub failed_s: f64,
    /// When the first was begun, in seconds after the video was accepted.
    pub begun_s: Option<f64>,
    /// When the last was finished, likewise; nothing while one is not.
    pub ended_s: Option<f64>,
    /// The most attempts one took.
    pub attempts: u32,
    /// How often one failed and was tried again.
    pub retried: usize,
    /// The codes of those given up.
    pub given_up: Vec<String>,
    /// Who worked on them.
    pub workers: Vec<String>,
    #[serde(skip)]
    pub y: f64,
    /// Whether it is the first of its stage.
    #[serde(skip)]
    pub is_first: bool,
    /// What is drawn: waiting, working, failed attempts and their ends, giving up.
    #[serde(skip)]
    pub waits: Vec<Bar>,
    #[serde(skip)]
    pub works: Vec<Bar>,
    #[serde(skip)]
    pub fails: Vec<Bar>,
    #[serde(skip)]
    pub tries: Vec<f64>,
    #[serde(skip)]
    pub ends: Vec<f64>,
}

/// A span of time as it is drawn.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bar {
    /// Its left edge.
    pub x: f64,
    /// Its width.
    pub width: f64,
}

/// A line across with its time.
#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    /// Where.
    pub x: f64,
    /// After how long.
    pub label: String,
}

/// Turns times into places.
#[derive(Clone, Copy)]
struct Axis {
    from_ms: i64,
    to_ms: i64,
}

impl Axis {
    fn x(self, at_ms: i64) -> f64 {
        let share = (at_ms - self.from_ms) as f64 / (self.to_ms - self.from_ms) as f64;
        LABELS + share.clamp(0.0, 1.0) * (WIDTH - LABELS - 4.0)
    }

    fn after_s(self, at_ms: i64) -> f64 {
        (at_ms - self.from_ms) as f64 / 1e3
    }

    /// Returns lines at round times.
    fn lines(self) -> Vec<Line> {
        let length_s = self.after_s(self.to_ms);
        let step_s = STEPS_S.into_iter().find(|step| length_s / step <= LINES).unwrap_or(length_s / LINES);
        let count = (length_s / step_s).floor() as i64;
        let at = |line: i64| {
            let after_s = line as f64 * step_s;
            Line { x: round(self.x(self.from_ms + (after_s * 1e3) as i64)), label: short(after_s) }
        };
        (0..=count).map(at).collect()
    }

    /// Joins spans that touch, so that many of them are few to draw.
    fn bars(self, mut spans: Vec<(i64, i64)>) -> Vec<Bar> {
        spans.sort_unstable();
        let mut bars: Vec<Bar> = Vec::new();
        for (from_ms, to_ms) in spans {
            let (from, to) = (self.x(from_ms), self.x(to_ms.max(from_ms)));
            match bars.last_mut() {
                Some(last) if from <= last.x + last.width + JOINED => last.width = last.width.max(to - last.x),
                _ => bars.push(Bar { x: from, width: (to - from).max(LEAST) }),
            }
        }
        bars.into_iter().map(|bar| Bar { x: round(bar.x), width: round(bar.width) }).collect()
    }
}

impl Waterfall {
    /// Draws `units` of the video whose pages are at `path`: it was accepted at `from_ms` and goes on until `to_ms`, in
    /// milliseconds since the Unix epoch. What is not finished is drawn until then.
    pub fn of(units: &[Unit], path: &str, from_ms: i64, to_ms: i64) -> Self {
        Self::with_rows(units, path, from_ms, to_ms, ROWS)
    }

    /// Draws likewise, each unit in a row of its own.
    pub fn of_each(units: &[Unit], path: &str, from_ms: i64, to_ms: i64) -> Self {
        Self::with_rows(units, path, from_ms, to_ms, units.len())
    }

    fn with_rows(units: &[Unit], path: &str, from_ms: i64, to_ms: i64, most_rows: usize) -> Self {
        let last_ms = units.iter().filter_map(|unit| unit.finished_ms).max().unwrap_or(from_ms);
        let axis = Axis { from_ms, to_ms: to_ms.max(last_ms).max(from_ms + 1) };
        let mut rows = Vec::new();
        let mut y = HEAD;
        for stage in units.chunk_by(|a, b| a.stage == b.stage) {
            for (place, shared) in stage.chunks(stage.len().div_ceil(most_rows)).enumerate() {
                rows.push(Row::of(shared, axis, y, place == 0));
                y += ROW;
            }
            y += GAP;
        }
        let lines = axis.lines();
        Self { path: path.to_owned(), from_ms, to_ms: axis.to_ms, rows, height: y, lines }
    }

    /// Says what is drawn, for who does not see it.
    pub fn told(&self) -> String {
        let units: usize = self.rows.iter().map(|row| row.count).sum();
        let length = say::span((self.to_ms - self.from_ms) as f64 / 1e3);
        let queued = match self.rows.iter().map(|row| row.waiting).sum::<usize>() {
            0 => String::new(),
            waiting => format!(", {waiting} of them in queues"),
        };
        format!("{units} units of work over {length}{queued}; the table below has the same numbers")
    }
}

impl Row {
    fn of(units: &[Unit], axis: Axis, y: f64, is_first: bool) -> Self {
        let name = |unit: &Unit| short_name(&unit.name);
        let named = match units {
            [only] => name(only),
            [first, .., last] => format!("{} – {}", name(first), last.name.rsplit('/').next().unwrap_or_default()),
            [] => String::new(),
        };
        let until = |unit: &Unit| unit.finished_ms.or_else(|| unit.given_up.as_ref().map(|(at_ms, _)| *at_ms));
        let waits = units.iter().flat_map(|unit| unit.waits(axis.to_ms)).collect();
        let fails: Vec<(i64, i64)> = units.iter().flat_map(Unit::failed_runs).collect();
        let works = units.iter().filter_map(|unit| Some((unit.started_ms?, until(unit).unwrap_or(axis.to_ms))));
        let mut workers: Vec<String> = units.iter().flat_map(Unit::workers).cloned().collect();
        workers.sort();
        workers.dedup();
        let begun_ms =
            units.iter().filter_map(|unit| unit.failed_runs().map(|(at_ms, _)| at_ms).chain(unit.started_ms).min());
        let mark = |at_ms: i64| round(axis.x(at_ms));
        let retried = || units.iter().flat_map(|unit| &unit.failed).filter(|attempt| !attempt.was_last);
        let ended_ms: Option<Vec<i64>> = units.iter().map(until).collect();
        let total = |values: Vec<f64>| (!values.is_empty()).then(|| values.iter().sum());
        Self {
            stage: units.first().map_or("", |unit| unit.stage.as_str()),
            units: named,
            count: units.len(),
            waiting: units.iter().filter(|unit| unit.is_waiting()).count(),
            wait_s: units.iter().filter_map(|unit| unit.wait_s(axis.to_ms)).max_by(f64::total_cmp),
            busy_s: total(units.iter().filter_map(Unit::busy_s).collect()),
            failed_s: fails.iter().map(|(from_ms, to_ms)| between_s(*from_ms, *to_ms)).fold(0.0, |all, one| all + one),
            begun_s: begun_ms.min().map(|at_ms| axis.after_s(at_ms)),
            ended_s: ended_ms.and_then(|ended| ended.into_iter().max()).map(|at_ms| axis.after_s(at_ms)),
            attempts: units.iter().map(|unit| unit.attempt).max().unwrap_or(1),
            retried: retried().count(),
            given_up: units.iter().filter_map(|unit| unit.given_up.as_ref()).map(|(_, code)| code.clone()).collect(),
            workers,
            y,
            is_first,
            waits: axis.bars(waits),
            works: axis.bars(works.collect()),
            fails: axis.bars(fails),
            tries: retried().map(|attempt| mark(attempt.failed_ms)).collect(),
            ends: units.iter().filter_map(|unit| unit.given_up.as_ref()).map(|(at_ms, _)| mark(*at_ms)).collect(),
        }
    }

    /// Says how long the longest of them waited.
    pub fn waited(&self) -> String {
        say::maybe_span(self.wait_s)
    }

    /// Says how long they were worked on.
    pub fn worked(&self) -> String {
        self.busy_s.map_or_else(|| say::UNKNOWN.to_owned(), say::span)
    }

    /// Says who worked on them.
    pub fn by(&self) -> String {
        let said: Vec<&str> = self.workers.iter().map(|worker| say::worker(worker)).collect();
        said.join(", ")
    }

    /// Says when the first was begun.
    pub fn begun(&self) -> String {
        say::maybe_span(self.begun_s)
    }

    /// Says when the last was finished, or what is the matter until then.
    pub fn ended(&self) -> String {
        match (self.ended_s, self.waiting) {
            (Some(ended_s), _) => say::span(ended_s),
            (None, 0) => "in work".to_owned(),
            (None, 1) if self.count == 1 => "waits".to_owned(),
            (None, waiting) => format!("{waiting} of {} wait", self.count),
        }
    }

    /// Says what is worth knowing of attempts.
    pub fn outcome(&self) -> String {
        let mut said = vec![self.attempts.to_string()];
        if self.retried > 0 {
            said.push(format!("{} failed and tried again", self.retried));
        }
        if !self.given_up.is_empty() {
            said.push(format!("{} given up: {}", self.given_up.len(), self.given_up.join(", ")));
        }
        if self.failed_s > 0.0 {
            said.push(format!("{} of work failed", say::span(self.failed_s)));
        }
        said.join(", ")
    }

    /// Says all of it in a line.
    pub fn told(&self) -> String {
        let (stage, units, waited) = (self.stage, &self.units, self.waited());
        if self.waiting == self.count {
            return format!("{stage} {units}: in the queue for {waited}");
        }
        let (worked, workers) = (self.worked(), self.by());
        let now = if self.ended_s.is_none() { format!(", now {}", self.ended()) } else { String::new() };
        format!("{stage} {units}: waited {waited}, worked {worked}{now}, {workers}")
    }
}

/// Keeps ids short: their begin tells clips of a video apart.
fn short_name(name: &str) -> String {
    match name.split_once('/') {
        Some((kind, id)) if id.len() == 36 => format!("{kind}/{}", &id[..8]),
        _ => name.to_owned(),
    }
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Says a time on the axis.
fn short(seconds: f64) -> String {
    let whole = seconds.round() as i64;
    match whole {
        0 if seconds == 0.0 => "0 s".to_owned(),
        0..60 if seconds.fract() != 0.0 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3600 if whole % 60 == 0 => format!("{} min", whole / 60),
        60..3600 => format!("{}:{:02} min", whole / 60, whole % 60),
        _ => format!("{}:{:02} h", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests;
