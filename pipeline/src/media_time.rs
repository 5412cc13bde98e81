//! Points and spans on a video's own clock, in whole microseconds.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on a source's timeline: microseconds since its first presented frame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MediaTime(i64);

impl MediaTime {
    /// The first presented frame.
    pub const ZERO: Self = Self(0);

    /// Makes a time from microseconds.
    pub const fn from_us(us: i64) -> Self {
        Self(us)
    }

    /// Makes a time from seconds, rounded to the nearest microsecond.
    pub fn from_seconds(seconds: f64) -> Self {
        Self((seconds * 1e6).round() as i64)
    }

    /// Returns microseconds.
    pub const fn as_us(self) -> i64 {
        self.0
    }

    /// Returns seconds.
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Returns the time as a duration, zero for times before the start.
    pub fn as_duration(self) -> Duration {
        Duration::from_micros(self.0.max(0) as u64)
    }
}

impl Add for MediaTime {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for MediaTime {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl fmt::Debug for MediaTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.as_seconds())
    }
}

/// A half-open span `[start, end)` of a source's timeline.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct MediaRange {
    /// The first point inside.
    pub start: MediaTime,
    /// The first point after.
    pub end: MediaTime,
}

impl MediaRange {
    /// Makes the span from `start` to `end`.
    pub const fn new(start: MediaTime, end: MediaTime) -> Self {
        Self { start, end }
    }

    /// Returns its length.
    pub fn length(self) -> MediaTime {
        self.end - self.start
    }

    /// Says whether `at` lies inside.
    pub fn contains(self, at: MediaTime) -> bool {
        self.start <= at && at < self.end
    }

    /// Says whether the two spans share a point.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}
