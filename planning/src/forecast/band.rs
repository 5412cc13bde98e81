//! An upper band that holds a given share of what comes, whatever the distribution.
//!
//! Each error, in standard deviations of a Poisson count, moves the band up a little if it lies outside and down a
//! little if inside, so that in the long run the wanted share lies inside: quantile tracking, as in Angelopoulos, Candès
//! and Tibshirani, "Conformal PID control for time series prediction" (2023).

/// How far one error moves the band, in standard deviations.
const STEP: f64 = 0.02;
/// The band at start: about 70 % of a normal distribution, with service times that vary.
const START: f64 = 0.6;
/// Highest band: what is beyond is not planned for, but met when it comes.
const MOST: f64 = 3.0;
/// How much one forecast moves the stated coverage at least.
const COVERAGE_STEP: f64 = 1.0 / 720.0;
/// Forecasts whose time must have come before a share of them is told.
const ENOUGH: u32 = 20;

/// The band.
#[derive(Clone, Debug)]
pub struct Band {
    wanted: f64,
    upper: f64,
    /// Forecasts whose time has come.
    due: u32,
    /// The share of the last of them that lay inside.
    coverage: f64,
}

impl Band {
    /// Starts a band that is to hold the share `wanted`.
    pub fn new(wanted: f64) -> Self {
        Self { wanted, upper: START, due: 0, coverage: 0.0 }
    }

    /// Learns from what `came` where `forecast` was expected.
    pub fn learn(&mut self, came: f64, forecast: f64) {
        let error = (came - forecast) / forecast.max(1.0).sqrt();
        let outside = error > self.upper;
        let towards = if outside { self.wanted } else { self.wanted - 1.0 };
        self.upper = (self.upper + STEP * towards).clamp(0.0, MOST);
        self.due = self.due.saturating_add(1);
        let step = (1.0 / f64::from(self.due)).max(COVERAGE_STEP);
        self.coverage += step * (f64::from(u8::from(!outside)) - self.coverage);
    }

    /// Returns how many standard deviations the band lies above a forecast.
    pub fn upper(&self) -> f64 {
        self.upper
    }

    /// Returns the share of the last hour or so of forecasts that lay inside; nothing until some came due.
    pub fn coverage(&self) -> Option<f64> {
        (self.due >= ENOUGH).then_some(self.coverage)
    }
}
