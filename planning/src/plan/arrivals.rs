//! When videos come: a curve of means, with a burst in it, from which a seed draws moments.

use anyhow::{Result, ensure};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde::Serialize;

use crate::simulate::load::Trace;
use crate::trace::{Row, rows};

/// A day has its burst at this time, in seconds from midnight.
const PEAK_AT_S: f64 = 19.0 * 3600.0;
/// In how many seconds those come who come at once.
const BURST_S: f64 = 10.0;
/// Videos a day for each user of the burst where nothing is said: 4,000 with a burst of 500.
pub const VIDEOS_PER_USER: u32 = 8;
const DAY_S: f64 = 86_400.0;
const HOUR_S: f64 = 3600.0;
const BUCKET_S: f64 = 60.0;
/// The most videos that are simulated.
const MOST_VIDEOS: f64 = 2e6;

/// When videos come.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Arrivals {
    /// Mean numbers, but for the burst.
    #[serde(skip)]
    pub curve: Trace,
    /// So many more within ten seconds.
    pub burst: u32,
    /// When that begins, in seconds.
    pub burst_at_s: f64,
}

impl Arrivals {
    /// Returns a day that is quietest at seven in the morning and four times as busy at seven in the evening, when
    /// `users` of its videos come at once.
    pub fn day(users: u32, videos_per_day: u32) -> Self {
        let buckets = (DAY_S / BUCKET_S) as usize;
        let shape = |bucket: usize| {
            let at_s = (bucket as f64 + 0.5) * BUCKET_S;
            1.0 + 0.6 * ((at_s - PEAK_AT_S) / DAY_S * std::f64::consts::TAU).cos()
        };
        let each = f64::from(videos_per_day.saturating_sub(users)) / buckets as f64;
        let counts = (0..buckets).map(|bucket| shape(bucket) * each).collect();
        Self { curve: Trace { bucket_s: BUCKET_S, counts }, burst: users, burst_at_s: PEAK_AT_S }
    }

    /// Reads counts by time, with the header `seconds,arrivals` and equal steps; `videos` is how many all together stand
    /// for, where a count is not a video.
    ///
    /// # Errors
    /// With the line, when the text is something else.
    pub fn parse(text: &str, videos: Option<u32>) -> Result<Self> {
        let rows = rows::<f64>(text)?;
        for Row { line, count, .. } in &rows {
            ensure!(count.is_finite() && *count >= 0.0, "line {line}: arrivals are to be 0 or more");
        }
        let (start_s, bucket_s) = (rows[0].at_s, rows[1].at_s - rows[0].at_s);
        for (place, Row { line, at_s, .. }) in rows.iter().enumerate() {
            let is_even = (at_s - start_s - place as f64 * bucket_s).abs() < 1e-6 * bucket_s.abs().max(1.0);
            ensure!(bucket_s > 0.0 && is_even, "line {line}: seconds are to grow by equal steps");
        }
        let mut counts: Vec<f64> = rows.iter().map(|row| row.count).collect();
        let total: f64 = counts.iter().sum();
        ensure!(total > 0.0, "nothing arrives in it");
        if let Some(videos) = videos {
            counts.iter_mut().for_each(|count| *count *= f64::from(videos) / total);
        }
        let videos: f64 = counts.iter().sum();
        ensure!(
            videos <= MOST_VIDEOS,
            "it has {videos:.0} arrivals, more than {MOST_VIDEOS:.0}: say how many videos it stands for"
        );
        Ok(Self { curve: Trace { bucket_s, counts }, burst: 0, burst_at_s: 0.0 })
    }

    /// Returns the same with so many times the videos.
    pub fn times(&self, times: f64) -> Self {
        let counts = self.curve.counts.iter().map(|count| count * times).collect();
        let burst = (f64::from(self.burst) * times).round() as u32;
        Self { curve: Trace { counts, ..self.curve }, burst, ..*self }
    }

    /// Returns how many videos come in a day.
    pub fn videos_per_day(&self) -> f64 {
        (self.curve.counts.iter().sum::<f64>() + f64::from(self.burst)) * DAY_S / self.length_s()
    }

    /// Returns how long the curve is, in seconds.
    pub fn length_s(&self) -> f64 {
        self.curve.length_s()
    }

    /// Returns the start of the busiest hour, in seconds: the burst's, or the one with the most arrivals.
    pub fn busiest_hour_s(&self) -> f64 {
        if self.burst > 0 {
            return self.burst_at_s;
        }
        let buckets = ((HOUR_S / self.curve.bucket_s) as usize).clamp(1, self.curve.counts.len());
        let sums = self.curve.counts.windows(buckets).map(|hour| hour.iter().sum::<f64>());
        let busiest = sums.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        busiest.map_or(0.0, |(bucket, _)| bucket as f64 * self.curve.bucket_s)
    }

    /// Draws moments within `span_s`, in order, in seconds from the start of the span.
    pub fn draw(&self, span_s: (f64, f64), seed: u64) -> Vec<f64> {
        let (from_s, to_s) = span_s;
        let first = (from_s / self.curve.bucket_s) as usize;
        let last = ((to_s / self.curve.bucket_s).ceil() as usize).min(self.curve.counts.len());
        let part = Trace { bucket_s: self.curve.bucket_s, counts: self.curve.counts[first.min(last)..last].to_vec() };
        let start_s = first as f64 * self.curve.bucket_s;
        let mut moments: Vec<f64> = part.arrivals(1.0, seed).into_iter().map(|at_s| at_s + start_s - from_s).collect();
        if (from_s..to_s).contains(&self.burst_at_s) {
            let mut rng = Pcg64Mcg::seed_from_u64(seed ^ 0xb0b);
            let begins_s = self.burst_at_s - from_s;
            moments.extend((0..self.burst).map(|_| begins_s + rng.random_range(0.0..BURST_S)));
        }
        moments.retain(|at_s| (0.0..to_s - from_s).contains(at_s));
        moments.sort_by(f64::total_cmp);
        moments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_its_videos_and_its_burst() {
        let day = Arrivals::day(500, 4000);
        assert!((day.videos_per_day() - 4000.0).abs() < 1e-6);
        let moments = day.draw((0.0, DAY_S), 1);
        assert!((3800..4200).contains(&moments.len()), "{}", moments.len());
        assert!(moments.is_sorted() && moments == day.draw((0.0, DAY_S), 1) && moments != day.draw((0.0, DAY_S), 2));
        let peak = day.draw((PEAK_AT_S, PEAK_AT_S + BURST_S), 3);
        assert!((500..510).contains(&peak.len()), "{}", peak.len());
        assert_eq!(day.busiest_hour_s(), PEAK_AT_S);
    }

    #[test]
    fn more_of_a_day_is_more_of_its_curve_and_of_its_burst() {
        let (day, twice) = (Arrivals::day(500, 4000), Arrivals::day(500, 4000).times(2.0));
        assert_eq!((twice.burst, twice.busiest_hour_s()), (1000, day.busiest_hour_s()));
        assert!((twice.videos_per_day() - 8000.0).abs() < 1e-6);
    }

    #[test]
    fn a_trace_stands_for_as_many_videos_as_is_said() {
        let trace = Arrivals::parse("seconds,arrivals\n0,1\n1800,3\n3600,9\n5400,7\n", Some(100)).unwrap();
        assert_eq!(trace.curve.counts, [5.0, 15.0, 45.0, 35.0]);
        assert_eq!((trace.busiest_hour_s(), trace.length_s()), (3600.0, 7200.0));
    }

    #[test]
    fn what_is_no_trace_says_where() {
        for (text, words) in [
            ("time,count\n0,1\n", "first line"),
            ("seconds,arrivals\n0,1\n", "two lines"),
            ("seconds,arrivals\n0,1\nx,2\n", "line 3"),
            ("seconds,arrivals\n0,1\n60\n", "line 3"),
            ("seconds,arrivals\n0,1\n60,2\n180,2\n", "line 4"),
            ("seconds,arrivals\n0,0\n60,-2\n", "line 3"),
            ("seconds,arrivals\n0,0\n60,0\n", "nothing arrives"),
            ("seconds,arrivals\n0,9e9\n60,0\n", "stands for"),
        ] {
            let error = format!("{:#}", Arrivals::parse(text, None).unwrap_err());
            assert!(error.contains(words), "{text:?}: {error}");
        }
    }
}
