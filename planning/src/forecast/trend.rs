//! A damped trend over minutes (Holt's linear method with damping; Gardner and McKenzie 1985).

/// Length of a step, in seconds.
const STEP_S: f64 = 60.0;
/// How much a new minute moves the level.
const LEVEL: f64 = 0.3;
/// How much it moves the trend.
const TREND: f64 = 0.1;
/// What is left of a trend after a minute.
const DAMPING: f64 = 0.9;

/// Level and trend of arrivals a minute.
#[derive(Clone, Debug, Default)]
pub struct Trend {
    level: f64,
    trend: f64,
    minutes: u32,
    filled_s: f64,
    count: f64,
}

impl Trend {
    /// Takes what arrived within `tick_s`.
    pub fn push(&mut self, tick_s: f64, arrived: f64) {
        self.filled_s += tick_s;
        self.count += arrived;
        if self.filled_s < STEP_S {
            return;
        }
        let a_minute = self.count * STEP_S / self.filled_s;
        (self.filled_s, self.count) = (0.0, 0.0);
        self.minutes = self.minutes.saturating_add(1);
        if self.minutes == 1 {
            self.level = a_minute;
            return;
        }
        let before = self.level;
        self.level = LEVEL * a_minute + (1.0 - LEVEL) * (self.level + DAMPING * self.trend);
        self.trend = TREND * (self.level - before) + (1.0 - TREND) * DAMPING * self.trend;
    }

    /// Returns the mean over the next `horizon_s` over the level now.
    pub fn factor(&self, horizon_s: f64) -> f64 {
        let minutes = (horizon_s / STEP_S).ceil().max(1.0) as i32;
        // Mean over the minutes of the damped trend's sum up to each.
        let mut rise = 0.0;
        let mut sum = 0.0;
        for minute in 1..=minutes {
            rise += DAMPING.powi(minute) * self.trend;
            sum += rise;
        }
        let rise = sum / f64::from(minutes);
        if self.minutes < 10 || self.level <= 0.0 { 1.0 } else { (1.0 + rise / self.level).clamp(0.5, 2.0) }
    }
}
