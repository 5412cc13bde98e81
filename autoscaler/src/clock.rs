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

    /// Starts no earlier than at `at_s`: a clock that goes faster than the world's has gone further before.
    #[must_use]
    pub fn not_before(self, at_s: f64) -> Self {
        let at = Timestamp::from_millisecond((at_s * 1e3).ceil() as i64).unwrap_or(self.began_at);
        Self { began_at: self.began_at.max(at), ..self }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_forward_over_restarts_however_fast_it_went() {
        let first = Clock::new(20.0);
        let ended_at = first.at_s(first.began + Duration::from_secs(60));
        let second = Clock::new(20.0).not_before(ended_at);
        assert!((ended_at..ended_at + 0.1).contains(&second.at_s(second.began)));
        let slow = Clock::new(1.0);
        assert_eq!(slow.not_before(5.0).began_at, slow.began_at);
    }
}
