//! The autoscaler's time, which an emulation lets go faster than the world's.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Tells the time that observations are made in.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
    began_at: Timestamp,
    scale: f64,
}

impl Clock {
    /// Starts a clock that goes `scale` times as fast as the world's.
    pub fn new(scale: f64) -> Self {
        Self { began: Instant::now(), began_at: Timestamp::now(), scale }
    }

    /// Returns the time in seconds: the Unix epoch's at the start, so that it goes forward over restarts too.
    pub fn at_s(&self, now: Instant) -> f64 {
        self.began_at.as_millisecond() as f64 / 1e3 + self.of_world(now.duration_since(self.began))
    }

    /// Returns the same as a date.
    pub fn wall(&self, now: Instant) -> Timestamp {
        let since = Duration::from_secs_f64(self.of_world(now.duration_since(self.began)));
        self.began_at.saturating_add(since).unwrap_or(Timestamp::MAX)
    }

    /// Returns how long a time of the world is here, in seconds.
    pub fn of_world(&self, time: Duration) -> f64 {
        time.as_secs_f64() * self.scale
    }

    /// Returns how long a time of ours is in the world.
    pub fn in_world(&self, time: Duration) -> Duration {
        time.div_f64(self.scale)
    }

    /// Returns how many times as fast as the world's it goes.
    pub fn scale(&self) -> f64 {
        self.scale
    }
}
