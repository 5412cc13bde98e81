//! What work costs: CPU time and time on the wall.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};
use std::time::Instant;

use anyhow::Result;
use pipeline::process_tree::own_cpu_s;
use serde::Serialize;

/// What some work cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spent {
    /// CPU time of all threads, in seconds.
    pub cpu_s: f64,
    /// Time on the wall, in seconds.
    pub wall_s: f64,
}

impl Add for Spent {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { cpu_s: self.cpu_s + other.cpu_s, wall_s: self.wall_s + other.wall_s }
    }
}

impl Sub for Spent {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { cpu_s: self.cpu_s - other.cpu_s, wall_s: self.wall_s - other.wall_s }
    }
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Spent {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

/// Returns the mean of `all`, of which there is at least one.
pub fn mean(all: impl ExactSizeIterator<Item = Spent>) -> Spent {
    let count = all.len() as f64;
    let sum: Spent = all.sum();
    Spent { cpu_s: sum.cpu_s / count, wall_s: sum.wall_s / count }
}

/// Measures what this process spends from now on.
pub struct Meter {
    cpu_s: f64,
    begun: Instant,
}

impl Meter {
    /// Starts to measure.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn start() -> Result<Self> {
        Ok(Self { cpu_s: own_cpu_s()?, begun: Instant::now() })
    }

    /// Returns what was spent so far.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn read(&self) -> Result<Spent> {
        Ok(Spent { cpu_s: own_cpu_s()? - self.cpu_s, wall_s: self.begun.elapsed().as_secs_f64() })
    }
}
