//! What was known at each tick, for plots: a ring of points.

use std::collections::VecDeque;

use pipeline::lane::Lane;
use pipeline::stage::StageName;
use serde::Serialize;

use super::HOUR_MS;

/// How long points are kept, in milliseconds.
pub const KEPT_MS: i64 = 6 * HOUR_MS;

/// What was known at one moment.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Point {
    /// When, in milliseconds since the Unix epoch; grows.
    pub at_ms: i64,
    /// Videos that had not ended, by lane, most urgent first.
    pub open: [u32; Lane::ALL.len()],
    /// Records that waited, by lane, most urgent first: neither acknowledged nor in somebody's hands, of all stages that
    /// work; nothing where a queue was not seen.
    pub waiting: Option<[i64; Lane::ALL.len()]>,
    /// Median of the waits to the first segment in the fifteen minutes before, in seconds.
    pub wait_p50_s: Option<f64>,
    /// 95th percentile of them, in seconds.
    pub wait_p95_s: Option<f64>,
    /// Slots that took work.
    pub ready: u32,
    /// Slots that were to be.
    pub target: Option<u32>,
    /// Slots with a unit in hand.
    pub busy: u32,
    /// Requests that workers sent to outside services within the hour before; nothing where none is asked.
    pub outside_used: Option<u64>,
    /// Those by the slots that took work, in percent; nothing where none did.
    pub used_percent: Option<f64>,
    /// Records that waited for each stage or were in its hands; nothing where its queue was not seen.
    pub lag: [Option<i64>; StageName::ALL.len()],
}

/// A time that was watched.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Watched {
    /// When its first point was, in milliseconds since the Unix epoch.
    pub from_ms: i64,
    /// When its last one was, likewise.
    pub until_ms: i64,
    /// Slots that took work, on average.
    pub mean_ready: f64,
}

impl Watched {
    /// Returns how long it was, in milliseconds.
    pub const fn length_ms(&self) -> i64 {
        self.until_ms - self.from_ms
    }
}

/// The points of the last hours.
#[derive(Debug, Default)]
pub struct History {
    points: VecDeque<Point>,
}

impl History {
    /// Adds a point that is later than all before.
    pub fn add(&mut self, point: Point) {
        while self.points.front().is_some_and(|first| point.at_ms - first.at_ms > KEPT_MS) {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }

    /// Returns the points after `after_ms`, oldest first.
    pub fn after(&self, after_ms: i64) -> impl Iterator<Item = &Point> {
        let first = self.points.partition_point(|point| point.at_ms <= after_ms);
        self.points.range(first..)
    }

    /// Returns at most `most` points of those since `since_ms`, evenly spread, the last one among them.
    pub fn spread(&self, since_ms: i64, most: usize) -> Vec<&Point> {
        let all: Vec<&Point> = self.after(since_ms - 1).collect();
        let step = all.len().div_ceil(most.max(1)).max(1);
        let mut spread: Vec<&Point> = all.iter().rev().step_by(step).copied().collect();
        spread.reverse();
        spread
    }

    /// Returns what was watched after `from_ms` and until `until_ms`; nothing if that was nothing.
    pub fn watched(&self, from_ms: i64, until_ms: i64) -> Option<Watched> {
        let points: Vec<&Point> = self.after(from_ms).take_while(|point| point.at_ms <= until_ms).collect();
        let (first, last) = (points.first()?, points.last()?);
        let mean_ready = points.iter().map(|point| f64::from(point.ready)).sum::<f64>() / points.len() as f64;
        Some(Watched { from_ms: first.at_ms, until_ms: last.at_ms, mean_ready })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_after_a_moment_leave_no_gap_and_old_ones_go() {
        let mut history = History::default();
        for second in 0..10 {
            history.add(Point { at_ms: second * 1000, ..Point::default() });
        }
        let after = |ms| history.after(ms).map(|point| point.at_ms / 1000).collect::<Vec<_>>();
        assert_eq!(after(6500), [7, 8, 9]);
        assert_eq!(after(7000), [8, 9]);
        let spread: Vec<i64> = history.spread(0, 4).iter().map(|point| point.at_ms / 1000).collect();
        assert_eq!(spread, [0, 3, 6, 9]);
        history.add(Point { at_ms: KEPT_MS + 5000, ..Point::default() });
        assert_eq!(history.after(-1).next().map(|point| point.at_ms), Some(5000));
    }
}
