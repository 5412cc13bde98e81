//! What the same time of day, or of week, brought before.

/// Length of a bucket, in seconds.
const BUCKET_S: f64 = 300.0;
/// How much the newest round moves a bucket.
const NEWEST: f64 = 0.5;
/// Most that a season may change the level by, and one over the least.
const MOST: f64 = 4.0;
/// Arrivals a second below which a bucket says nothing.
const LEAST_RATE: f64 = 1e-3;

/// Rates by the place in a period.
#[derive(Clone, Debug)]
pub struct Season {
    period_s: f64,
    /// Rate of each bucket, in records a second; negative where nothing was seen.
    rates: Vec<f32>,
    current: Option<usize>,
    filled_s: f64,
    count: f64,
    seen_s: f64,
}

impl Season {
    /// Starts a season of `period_s` seconds with nothing seen.
    pub fn new(period_s: f64) -> Self {
        let rates = vec![-1.0; (period_s / BUCKET_S).round() as usize];
        Self { period_s, rates, current: None, filled_s: 0.0, count: 0.0, seen_s: 0.0 }
    }

    /// Takes what arrived within the `tick_s` that ended at `phase_s`.
    pub fn push(&mut self, phase_s: f64, tick_s: f64, arrived: f64) {
        let place = self.place(phase_s - tick_s / 2.0);
        if self.current != Some(place) {
            if let Some(current) = self.current.filter(|_| self.filled_s > BUCKET_S / 2.0) {
                let rate = (self.count / self.filled_s) as f32;
                let before = self.rates[current];
                self.rates[current] = if before < 0.0 { rate } else { before + (rate - before) * NEWEST as f32 };
            }
            (self.current, self.filled_s, self.count) = (Some(place), 0.0, 0.0);
        }
        self.filled_s += tick_s;
        self.count += arrived;
        self.seen_s += tick_s;
    }

    /// Returns the mean of the next `horizon_s` over that of the ten minutes before now, as the last rounds had it; `None`
    /// before a whole period was seen.
    pub fn factor(&self, phase_s: f64, horizon_s: f64) -> Option<f64> {
        if self.seen_s < self.period_s {
            return None;
        }
        let mean = |from_s: f64, to_s: f64| {
            let buckets = ((to_s - from_s) / BUCKET_S).ceil().max(1.0) as usize;
            let rates =
                (0..=buckets).map(|bucket| f64::from(self.rates[self.place(from_s + bucket as f64 * BUCKET_S)]));
            let known: Vec<f64> = rates.filter(|rate| *rate >= 0.0).collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        };
        let around = mean(phase_s - 2.0 * BUCKET_S, phase_s)?;
        let ahead = mean(phase_s, phase_s + horizon_s)?;
        Some(((ahead + LEAST_RATE) / (around + LEAST_RATE)).clamp(1.0 / MOST, MOST))
    }

    fn place(&self, phase_s: f64) -> usize {
        let place = (phase_s.rem_euclid(self.period_s) / BUCKET_S) as usize;
        place.min(self.rates.len() - 1)
    }
}
