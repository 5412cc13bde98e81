//! How long the oldest record of a lane has waited that nobody has begun, from when how many had arrived. Brokers tell
//! how many there are in one call, and would tell when each came only record by record.

use std::collections::VecDeque;

/// The most moments that are kept; of more, every second is forgotten.
const MOST: usize = 2048;

/// When records of a lane arrived: how many there were in all at which moments.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    moments: VecDeque<(f64, f64)>,
}

impl Arrivals {
    /// Notes that the first record that is left arrived at `oldest_at`, when `before` were there already.
    pub fn begin(&mut self, oldest_at: f64, before: f64) {
        self.moments.clear();
        self.moments.push_back((oldest_at, before));
    }

    /// Notes that at the moment `at` there were `end_total` in all, of which `begun_total` were begun, and returns how
    /// long the oldest of the others has waited, in the unit of `at`; 0 if there is none.
    pub fn note(&mut self, at: f64, end_total: f64, begun_total: f64) -> f64 {
        self.moments.push_back((at, end_total));
        // Of those below what is begun only the last is needed: the oldest one left came after it.
        while self.moments.get(1).is_some_and(|(_, total)| *total <= begun_total) {
            self.moments.pop_front();
        }
        if self.moments.len() > MOST {
            let mut keep = true;
            self.moments.retain(|_| {
                keep = !keep;
                !keep
            });
        }
        if end_total <= begun_total {
            return 0.0;
        }
        let arrived = match (self.moments.front(), self.moments.get(1)) {
            (Some((from, before)), Some((to, after))) if *before <= begun_total => {
                from + (to - from) * ((begun_total - before) / (after - before)).clamp(0.0, 1.0)
            }
            (Some((from, _)), _) => *from,
            (None, _) => at,
        };
        (at - arrived).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_one_left_came_when_as_many_as_are_begun_had_come() {
        let mut arrivals = Arrivals::default();
        assert!(arrivals.note(100.0, 50.0, 50.0).abs() < 1e-9);
        assert!((arrivals.note(105.0, 60.0, 50.0) - 5.0).abs() < 1e-9, "evenly over the tick");
        assert!((arrivals.note(110.0, 60.0, 55.0) - 7.5).abs() < 1e-9);
        assert!((arrivals.note(115.0, 70.0, 60.0) - 5.0).abs() < 1e-9);
        assert!(arrivals.note(120.0, 70.0, 70.0).abs() < 1e-9);
        assert!(arrivals.note(125.0, 70.0, 71.0).abs() < 1e-9, "finished and not yet acknowledged");
    }

    #[test]
    fn what_was_there_at_the_start_is_as_old_as_its_oldest() {
        let mut arrivals = Arrivals::default();
        arrivals.begin(40.0, 10.0);
        assert!((arrivals.note(100.0, 20.0, 10.0) - 60.0).abs() < 1e-9);
        assert!((arrivals.note(105.0, 20.0, 15.0) - 35.0).abs() < 1e-9);
    }

    #[test]
    fn a_lane_that_waits_for_months_takes_no_more_memory() {
        let mut arrivals = Arrivals::default();
        for tick in 0..100_000 {
            let age = arrivals.note(f64::from(tick) * 5.0, f64::from(tick), 0.0);
            assert!((age - f64::from(tick) * 5.0).abs() <= 10.0, "{tick}: {age}");
        }
        assert!(arrivals.moments.len() <= MOST);
    }
}
