//! What is known of an outside service that a stage asks: what it allows, and what was used of that.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

/// How long requests are counted, in minutes.
const KEPT_MINUTES: i64 = 60;

/// What an outside service allows a stage, and what of that this process used.
#[derive(Clone, Debug, Default)]
pub struct Quota {
    /// Requests that it allows within the next hour, as it last said; nothing where it says nothing of limits.
    pub left: Option<f64>,
    /// Requests that it allows within an hour of which none was used before, likewise.
    pub limit: Option<f64>,
    /// Those that this process sent; nothing where no service is asked.
    pub sent: Option<Arc<Requests>>,
}

/// Requests of the last hour, counted by the minute.
#[derive(Debug, Default)]
pub struct Requests(Mutex<VecDeque<(i64, u64)>>);

impl Requests {
    /// Counts one that is sent at `now`.
    pub fn count(&self, now: Timestamp) {
        let minute = minute(now);
        let mut minutes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match minutes.back_mut() {
            // A clock that was set back counts on in the minute that it had reached.
            Some((last, requests)) if *last >= minute => *requests += 1,
            _ => minutes.push_back((minute, 1)),
        }
        while minutes.front().is_some_and(|(first, _)| minute - first >= KEPT_MINUTES) {
            minutes.pop_front();
        }
    }

    /// Returns how many were sent within the hour before `now`, to the minute.
    pub fn within_hour(&self, now: Timestamp) -> u64 {
        let oldest = minute(now) - KEPT_MINUTES;
        let minutes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        minutes.iter().filter(|(minute, _)| *minute > oldest).map(|(_, requests)| requests).sum()
    }
}

fn minute(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_count_for_an_hour() {
        let (requests, at) = (Requests::default(), |second| Timestamp::from_second(second).unwrap());
        for second in [0, 30, 61, 1800, 1790] {
            requests.count(at(second));
        }
        let counted = [1800, 3599, 3600, 3660, 5399, 5400, 9000].map(|second| requests.within_hour(at(second)));
        assert_eq!(counted, [5, 5, 3, 2, 2, 0, 0]);
        requests.count(at(9000));
        assert_eq!((requests.within_hour(at(9000)), requests.0.lock().unwrap().len()), (1, 1));
    }
}
