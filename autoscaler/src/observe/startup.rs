//! How long replicas take from being asked for until they work, and in how long those will that are starting now.

use std::collections::VecDeque;

use planning::measure::p90;

/// How many of the last start-ups are remembered.
const REMEMBERED: usize = 64;

/// The start-ups of one stage's replicas. Which one becomes ready is not looked at: the first asked for is the first
/// there.
#[derive(Clone, Debug, Default)]
pub struct Startups {
    /// When each that is starting was asked for; nothing is known of those that were before the autoscaler.
    asked: VecDeque<Option<f64>>,
    took: VecDeque<f64>,
    begun: bool,
}

impl Startups {
    /// Notes that at `at` (in seconds) `wanted` replicas were asked for and `ready` work.
    pub fn note(&mut self, at: f64, wanted: u32, ready: u32) {
        let starting = wanted.saturating_sub(ready) as usize;
        let asked_at = self.begun.then_some(at);
        self.begun = true;
        while self.asked.len() > starting {
            // More work than before: the first asked for is there. What is no longer wanted was the last asked for.
            if let Some(asked) = self.asked.pop_front().flatten() {
                self.took.push_back(at - asked);
            }
        }
        self.asked.resize(starting, asked_at);
        let surplus = self.took.len().saturating_sub(REMEMBERED);
        self.took.drain(..surplus);
    }

    /// Notes how long nine of ten took before, as far as nothing is known yet.
    pub fn recall(&mut self, p90_s: f64) {
        if self.took.is_empty() {
            self.took.push_back(p90_s);
        }
    }

    /// Notes that `fewer` replicas are wanted than before: those that start and were asked for last do not come.
    pub fn call_off(&mut self, fewer: u32) {
        let left = self.asked.len().saturating_sub(fewer as usize);
        self.asked.truncate(left);
    }

    /// Forgets which are starting: it was not seen for a while who works, so nobody knows how long those that work afterwards
    /// took.
    pub fn lose_sight(&mut self) {
        self.asked.clear();
        self.begun = false;
    }

    /// Returns the time in which nine of ten were ready, in seconds, if some were seen.
    pub fn p90_s(&self) -> Option<f64> {
        p90(self.took.iter().copied())
    }

    /// Returns in how long each that is starting will be ready, in seconds, soonest first; `expected_s` is how long that
    /// takes in all. One that is late is expected any moment.
    pub fn ready_in_s(&self, at: f64, expected_s: f64) -> Vec<f64> {
        let left = |asked: &Option<f64>| (expected_s - (at - asked.unwrap_or(at))).max(0.0);
        let mut left: Vec<f64> = self.asked.iter().map(left).collect();
        left.sort_unstable_by(f64::total_cmp);
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_up_lasts_from_being_asked_for_until_one_more_works() {
        let mut startups = Startups::default();
        startups.note(0.0, 3, 1);
        startups.note(5.0, 3, 3);
        assert_eq!(startups.p90_s(), None, "nobody knows when these were asked for");
        startups.note(10.0, 5, 3);
        startups.note(15.0, 6, 3);
        assert_eq!(startups.ready_in_s(20.0, 45.0), [35.0, 35.0, 40.0]);
        startups.note(40.0, 6, 5);
        assert_eq!(startups.p90_s(), Some(30.0));
        assert_eq!(startups.ready_in_s(70.0, 45.0), [0.0], "late: any moment");
        startups.note(75.0, 6, 6);
        assert_eq!(startups.p90_s(), Some(60.0));
        assert!(startups.ready_in_s(75.0, 45.0).is_empty());
    }

    #[test]
    fn what_is_called_off_took_no_time() {
        let mut startups = Startups::default();
        startups.note(0.0, 1, 1);
        startups.note(5.0, 4, 1);
        startups.call_off(2);
        startups.note(10.0, 2, 1);
        assert_eq!((startups.p90_s(), startups.ready_in_s(10.0, 45.0)), (None, vec![40.0]));
    }

    #[test]
    fn what_was_out_of_sight_tells_of_no_start_up() {
        let mut startups = Startups::default();
        startups.note(0.0, 2, 2);
        startups.note(5.0, 3, 2);
        startups.note(10.0, 3, 3);
        startups.note(15.0, 3, 1);
        startups.lose_sight();
        startups.note(600.0, 3, 1);
        startups.note(605.0, 3, 3);
        assert_eq!(startups.p90_s(), Some(5.0), "only the one that was seen");
    }

    #[test]
    fn one_that_died_starts_anew() {
        let mut startups = Startups::default();
        startups.note(0.0, 2, 2);
        startups.note(5.0, 2, 1);
        assert_eq!(startups.ready_in_s(10.0, 45.0), [40.0]);
    }

    #[test]
    fn only_the_last_are_remembered() {
        let mut startups = Startups::default();
        startups.note(0.0, 0, 0);
        for round in 0..200 {
            let at = f64::from(round) * 100.0;
            startups.note(at, 1, 0);
            startups.note(at + 7.0, 1, 1);
            startups.note(at + 8.0, 0, 0);
        }
        assert_eq!((startups.took.len(), startups.p90_s()), (REMEMBERED, Some(7.0)));
    }
}
