//! Recent arrivals, and what they say about the rate: steady, or changed of late.

use std::collections::VecDeque;

/// Ticks that are remembered.
const TICKS: usize = 720;

/// Lengths over which the rate is looked at, in ticks.
const WINDOWS: [usize; 14] = [1, 2, 3, 6, 12, 24, 36, 60, 90, 120, 180, 240, 360, 480];

/// The shortest length that counts as steady, in ticks.
const STEADY: usize = 24;

/// How many standard deviations are a change. Square roots of counts have a standard deviation of a half whatever the
/// count (Anscombe 1948), which keeps small counts from looking like bursts.
const CHANGE: f64 = 3.0;

/// A change is expected to go on for this many times as long as it has been seen.
const GOES_ON: f64 = 2.0;

/// Arrivals of each tick.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    /// What had ever arrived by the end of each tick: sums over any of them are differences, exact as long as whole records
    /// arrive.
    totals: VecDeque<f64>,
    /// What had arrived before the first of them.
    before: f64,
}

/// What the recent arrivals say.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Level {
    /// The steady rate, in records a second.
    pub rate: f64,
    /// What the rate is above it (below, if negative) since a change.
    pub excess: f64,
    /// How long the change is expected to go on, in seconds: it fades with this time constant.
    pub lasts_s: f64,
}

/// What arrived within the last ticks.
#[derive(Clone, Copy)]
struct Sum {
    ticks: usize,
    count: f64,
    /// The square root of the count.
    root: f64,
}

impl Level {
    /// Returns how far this is a burst: from 0, where the steady rate has doubled at most, to 1, where hardly anything came
    /// before.
    pub fn burst(&self) -> f64 {
        let now = (self.rate + self.excess).max(f64::MIN_POSITIVE);
        (2.0 * self.excess / now - 1.0).clamp(0.0, 1.0)
    }

    /// Returns how far this is a lull: from 0, where half of the steady rate at least still comes, to 1, where nothing does.
    pub fn lull(&self) -> f64 {
        (-2.0 * self.excess / self.rate.max(f64::MIN_POSITIVE) - 1.0).clamp(0.0, 1.0)
    }

    /// Returns the arrivals expected within `time_s` from now.
    pub fn within(&self, time_s: f64) -> f64 {
        let change = if self.excess == 0.0 { 0.0 } else { self.lasts_s * (1.0 - (-time_s / self.lasts_s).exp()) };
        (self.rate * time_s + self.excess * change).max(0.0)
    }
}

impl Arrivals {
    /// Adds what arrived in the last tick.
    pub fn push(&mut self, count: f64) {
        let total = self.total() + count;
        if self.totals.len() == TICKS {
            self.before = self.totals.pop_front().unwrap_or(self.before);
        }
        self.totals.push_back(total);
    }

    fn total(&self) -> f64 {
        self.totals.back().copied().unwrap_or(self.before)
    }

    /// Returns the arrivals of each tick, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = f64> + '_ {
        let earlier = self.totals.iter().rev().skip(1).chain(std::iter::once(&self.before));
        self.totals.iter().rev().zip(earlier).map(|(total, earlier)| total - earlier)
    }

    /// Returns the sum over the last `ticks`.
    pub fn last(&self, ticks: usize) -> f64 {
        let earlier = self.totals.len().checked_sub(ticks + 1);
        self.total() - earlier.map_or(self.before, |place| self.totals[place])
    }

    /// Returns the mean rate of the last `time_s`, or of what is remembered of it, in records a second.
    pub fn rate(&self, time_s: f64, tick_s: f64) -> f64 {
        let ticks = ((time_s / tick_s) as usize).clamp(1, self.totals.len().max(1));
        self.last(ticks) / (ticks as f64 * tick_s)
    }

    /// Returns the steady rate and the change against it.
    ///
    /// The steady rate is the mean over the longest window that no shorter one contradicts. Where one does, the window
    /// that contradicts most is the change: its rate, less half a standard deviation, because it was chosen for being
    /// extreme.
    pub fn level(&self, tick_s: f64) -> Level {
        let known = self.totals.len();
        if known == 0 {
            return Level::default();
        }
        let sums = WINDOWS.map(|ticks| {
            let count = self.last(ticks);
            Sum { ticks, count, root: count.sqrt() }
        });
        let (shortest, within_shortest) = (STEADY.min(known), self.last(STEADY));
        let rate = within_shortest / (shortest as f64 * tick_s);
        // All there is may be a burst: of what has just begun, only a part is steady.
        let steady = rate * shortest as f64 / STEADY as f64;
        let mut level = Level { rate: steady, excess: rate - steady, lasts_s: GOES_ON * shortest as f64 * tick_s };
        let longer = sums.into_iter().filter(|sum| sum.ticks > shortest && sum.ticks <= known);
        for (ticks, count) in
            std::iter::once((shortest, within_shortest)).chain(longer.map(|sum| (sum.ticks, sum.count)))
        {
            let rate = count / (ticks as f64 * tick_s);
            let shorter = sums.iter().take_while(|sum| sum.ticks < ticks);
            let deviations = shorter.map(|sum| (2.0 * (sum.root - (rate * sum.ticks as f64 * tick_s).sqrt()), sum));
            let most = deviations.max_by(|a, b| a.0.abs().total_cmp(&b.0.abs()));
            if let Some((deviation, sum)) = most
                && deviation.abs() > CHANGE
            {
                let root = sum.root - 0.5 * deviation.signum();
                let seen_s = sum.ticks as f64 * tick_s;
                level.excess = root.max(0.0).powi(2) / seen_s - level.rate;
                level.lasts_s = GOES_ON * seen_s;
                break;
            }
            if ticks >= STEADY {
                level.rate = rate;
            }
        }
        level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(counts: impl IntoIterator<Item = f64>) -> Level {
        let mut arrivals = Arrivals::default();
        counts.into_iter().for_each(|count| arrivals.push(count));
        arrivals.level(5.0)
    }

    #[test]
    fn a_steady_stream_has_its_mean_and_no_change() {
        let level = level((0..480).map(|tick| f64::from(tick % 4)));
        assert!((level.rate - 0.3).abs() < 1e-9, "{level:?}");
        assert_eq!(level.excess, 0.0);
    }

    #[test]
    fn a_burst_is_seen_within_two_ticks() {
        let level = level(std::iter::repeat_n(2.0, 240).chain([10.0, 10.0]));
        assert!((level.rate - 0.4).abs() < 0.15, "{level:?}");
        assert!(level.excess > 0.9 && level.excess < 1.6, "{level:?}");
        assert_eq!(level.lasts_s, 20.0);
    }

    #[test]
    fn a_stop_is_seen_within_a_minute() {
        let level = level(std::iter::repeat_n(2.0, 240).chain(std::iter::repeat_n(0.0, 12)));
        assert!(level.rate + level.excess < 0.1, "{level:?}");
    }

    #[test]
    fn a_burst_and_a_lull_are_told_from_a_wavering_rate() {
        let check = |rate, excess, burst: f64, lull: f64| {
            let level = Level { rate, excess, lasts_s: 10.0 };
            assert!((level.burst() - burst).abs() < 1e-9 && (level.lull() - lull).abs() < 1e-9, "{level:?}");
        };
        check(0.0, 0.0, 0.0, 0.0);
        check(1.0, 0.5, 0.0, 0.0);
        check(1.0, 1.0, 0.0, 0.0);
        check(1.0, 3.0, 0.5, 0.0);
        check(0.0, 50.0, 1.0, 0.0);
        check(1.0, -0.5, 0.0, 0.0);
        check(1.0, -0.75, 0.0, 0.5);
        check(1.0, -1.0, 0.0, 1.0);
    }

    #[test]
    fn nothing_yet_is_a_rate_of_zero() {
        assert_eq!(level([]), Level::default());
    }

    #[test]
    fn a_change_fades() {
        let level = Level { rate: 1.0, excess: 1.0, lasts_s: 10.0 };
        assert!(level.within(1.0) > 1.9);
        assert!((level.within(1000.0) - 1010.0).abs() < 0.1);
    }
}
