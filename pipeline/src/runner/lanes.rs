//! Whose turn it is: weighted deficit round robin over the lanes, with a floor and ageing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::RunnerArgs;
use super::report::Activity;
use crate::kafka::{Consumer, Record};
use crate::lane::Lane;

const LANES: usize = Lane::ALL.len();
/// How much of a lane is taken at once, in bytes; a record that is larger is taken alone.
const AHEAD_BYTES: usize = 64 << 10;

/// Chooses between lanes. A lane that has work gains its weight with each choice, the chosen one pays the sum:
/// shares come out exact, lanes take turns, and a lane that was empty has nothing to catch up on or pay off.
#[derive(Clone, Debug)]
pub struct Turns {
    weights: [f64; LANES],
    age_limit: Duration,
    credit: [f64; LANES],
}

impl Turns {
    /// Starts with nobody owed anything. Lanes without a weight of their own get the last one given.
    pub fn new(args: &RunnerArgs) -> Self {
        let last = args.lane_weights.last().copied().unwrap_or(1);
        let given: [f64; LANES] =
            std::array::from_fn(|lane| f64::from(args.lane_weights.get(lane).copied().unwrap_or(last).max(1)));
        let floor = args.lane_floor.clamp(0.0, 1.0 / LANES as f64) * given.iter().sum::<f64>();
        Self { weights: given.map(|weight| weight.max(floor)), age_limit: args.age_limit, credit: [0.0; LANES] }
    }

    /// Chooses a lane, given how long the first record of each has waited; `None` if no lane has one.
    pub fn choose(&mut self, waited: [Option<Duration>; LANES]) -> Option<Lane> {
        let mut round = 0.0;
        for (lane, waited) in waited.iter().enumerate() {
            let Some(age) = *waited else {
                self.credit[lane] = 0.0;
                continue;
            };
            let counts_as = if age > self.age_limit { lane.saturating_sub(1) } else { lane };
            self.credit[lane] += self.weights[counts_as];
            round += self.weights[counts_as];
        }
        let waiting = (0..LANES).filter(|lane| waited[*lane].is_some());
        // Of equals the more urgent one: `max_by` keeps the last.
        let chosen = waiting.rev().max_by(|a, b| self.credit[*a].total_cmp(&self.credit[*b]))?;
        self.credit[chosen] -= round;
        Some(Lane::ALL[chosen])
    }
}

/// The next records of each lane, and whose turn it is. Ageing needs to look at one of each; small ones are taken several
/// at once, because each look costs more than they do.
pub(super) struct Heads {
    consumer: Arc<Consumer>,
    activity: Arc<Activity>,
    turns: Turns,
    heads: [VecDeque<Record>; LANES],
}

impl Heads {
    pub(super) fn new(consumer: Arc<Consumer>, activity: Arc<Activity>, args: &RunnerArgs) -> Self {
        Self { consumer, activity, turns: Turns::new(args), heads: Default::default() }
    }

    /// Waits until some lane has a record.
    pub(super) async fn ready(&mut self) {
        while self.heads.iter().all(VecDeque::is_empty) && !self.look() {
            self.consumer.arrived().await;
        }
    }

    /// Takes the record whose turn it is at `now_ms`, in milliseconds since the Unix epoch.
    pub(super) fn take(&mut self, now_ms: i64) -> Option<(Lane, Record)> {
        self.look();
        let waited = |record: &Record| Duration::from_millis(now_ms.saturating_sub(record.published_ms).max(0) as u64);
        let ages = std::array::from_fn(|lane| self.heads[lane].front().map(waited));
        let lane = self.turns.choose(ages)?;
        let record = self.heads[lane.index()].pop_front()?;
        self.tell();
        Some((lane, record))
    }

    /// Fills the places of lanes that have records; says whether any has.
    fn look(&mut self) -> bool {
        for (lane, heads) in self.heads.iter_mut().enumerate() {
            // What a rebalance took away is its new owner's.
            while heads.front().is_some_and(|record| record.ticket.tracker().revoked().is_cancelled()) {
                heads.pop_front();
            }
            if heads.is_empty() {
                self.consumer.take_some(lane, AHEAD_BYTES, heads);
            }
        }
        self.tell();
        self.heads.iter().any(|heads| !heads.is_empty())
    }

    /// Tells what waits here.
    fn tell(&self) {
        let oldest = self.heads.iter().filter_map(VecDeque::front).map(|record| record.published_ms).min();
        self.activity.set_heads(self.heads.iter().map(VecDeque::len).sum(), oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Option<Duration> = Some(Duration::ZERO);
    const AGED: Option<Duration> = Some(Duration::from_secs(3600));

    /// Counts how often each lane is chosen in `rounds` choices.
    fn shares(args: &RunnerArgs, waited: [Option<Duration>; 4], rounds: usize) -> [usize; 4] {
        let mut turns = Turns::new(args);
        let mut counts = [0; 4];
        for _ in 0..rounds {
            counts[turns.choose(waited).expect("a lane has work").index()] += 1;
        }
        counts
    }

    #[test]
    fn shares_follow_the_weights() {
        assert_eq!(shares(&RunnerArgs::default(), [FRESH; 4], 150), [80, 40, 20, 10]);
    }

    #[test]
    fn no_lane_falls_below_the_floor() {
        let args = RunnerArgs { lane_weights: vec![1000, 1, 1, 1], ..RunnerArgs::default() };
        let counts = shares(&args, [FRESH; 4], 1000);
        assert!(counts[1..].iter().all(|count| *count >= 43), "{counts:?}");
    }

    #[test]
    fn a_record_that_waited_too_long_counts_as_one_lane_higher() {
        assert_eq!(shares(&RunnerArgs::default(), [None, None, FRESH, AGED], 100), [0, 0, 50, 50]);
    }

    #[test]
    fn a_late_priority_record_is_next() {
        for earlier in 0..20 {
            let mut turns = Turns::new(&RunnerArgs::default());
            for _ in 0..earlier {
                turns.choose([None, FRESH, FRESH, FRESH]);
            }
            assert_eq!(turns.choose([FRESH; 4]), Some(Lane::Priority), "after {earlier}");
        }
    }

    #[test]
    fn nothing_waiting_is_no_choice() {
        assert_eq!(Turns::new(&RunnerArgs::default()).choose([None; 4]), None);
    }
}
