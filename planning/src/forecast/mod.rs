//! How much arrives at the first stage until a worker asked for now is ready.
//!
//! An ensemble of simple members ([`trend`], [`season`], and the level itself, which is persistence) is weighted by how
//! little each lost lately (pinball loss, discounted). Two guards make it safe to have: while the ensemble lost no less
//! than persistence over the last hour, persistence is used alone (the skill gate), and what it is short by is bounded
//! by a conformal upper band ([`band`]).

pub mod band;
pub mod season;
pub mod trend;

use std::collections::VecDeque;

use band::Band;
use season::Season;
use trend::Trend;

use crate::arrivals::Level;

/// Time after which a loss counts half, in seconds: "the last hour".
const LOSS_HALF_LIFE_S: f64 = 3600.0;

/// Being short costs more than being over: the quantile of the pinball loss.
const QUANTILE: f64 = 0.6;

/// How sharply weights follow losses.
const SHARPNESS: f64 = 12.0;

/// The members, persistence first.
const MEMBERS: [&str; 4] = ["level", "trend", "day", "week"];

/// The forecaster of one stage.
#[derive(Clone, Debug)]
pub struct Forecaster {
    trend: Trend,
    day: Season,
    week: Season,
    band: Band,
    losses: [f64; MEMBERS.len()],
    ensemble_loss: f64,
    /// Forecasts whose time has not come, the oldest first.
    open: VecDeque<Open>,
}

/// A forecast that waits for what comes.
#[derive(Clone, Copy, Debug)]
struct Open {
    due_at: f64,
    arrived_before: f64,
    members: [f64; MEMBERS.len()],
    ensemble: f64,
    used: f64,
}

/// What is expected.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Forecast {
    /// The recent past's rate and change.
    pub level: Level,
    /// What the ensemble expects beyond it, in records a second: 0 where persistence is used.
    pub beyond: f64,
    /// How many standard deviations of Poisson arrivals the upper band lies above.
    pub band: f64,
    /// Share of the last forecasts that came within the band; nothing until some came due.
    pub coverage: Option<f64>,
    /// The member that weighs most; `level` where the skill gate is shut.
    pub led_by: &'static str,
    /// Records whose upload is under way beyond what the rate explains, and when they are expected, in seconds.
    pub announced: (f64, f64),
}

impl Forecast {
    /// Returns the arrivals expected within `time_s` from now.
    pub fn within(&self, time_s: f64) -> f64 {
        let (announced, over_s) = self.announced;
        (self.level.within(time_s) + self.beyond * time_s).max(0.0) + announced * (time_s / over_s.max(1.0)).min(1.0)
    }

    /// Returns the upper band of them.
    pub fn upper_within(&self, time_s: f64) -> f64 {
        let mean = self.within(time_s);
        mean + self.band * mean.sqrt()
    }
}

impl Forecaster {
    /// Starts with no history; `coverage` is the share of forecasts that the band is to hold.
    pub fn new(coverage: f64) -> Self {
        Self {
            trend: Trend::default(),
            day: Season::new(86_400.0),
            week: Season::new(7.0 * 86_400.0),
            band: Band::new(coverage),
            losses: [0.0; MEMBERS.len()],
            ensemble_loss: 0.0,
            open: VecDeque::new(),
        }
    }

    /// Takes what arrived within the last tick and forecasts until [`Seen::horizon_s`] from now.
    pub fn forecast(&mut self, seen: &Seen) -> Forecast {
        self.judge(seen);
        self.trend.push(seen.elapsed_s, seen.arrived);
        self.day.push(seen.phase_s, seen.elapsed_s, seen.arrived);
        self.week.push(seen.phase_s, seen.elapsed_s, seen.arrived);

        let persistence = seen.level.within(seen.horizon_s);
        // A season is a change of what was just there, whatever of that is steady.
        let season = |season: &Season| season.factor(seen.phase_s, seen.horizon_s).map(|f| seen.recent_rate * f);
        let known = [
            Some(persistence),
            Some(persistence * self.trend.factor(seen.horizon_s)),
            season(&self.day).map(|rate| rate * seen.horizon_s),
            season(&self.week).map(|rate| rate * seen.horizon_s),
        ];
        let members = known.map(|member| member.unwrap_or(persistence));
        let weights = self.weights(known.map(|member| member.is_some()));
        let ensemble: f64 = members.iter().zip(weights).map(|(member, weight)| member * weight).sum();
        let is_skilled = self.ensemble_loss < self.losses[0];
        let used = if is_skilled { ensemble } else { persistence };
        let heaviest = (0..MEMBERS.len()).max_by(|a, b| weights[*a].total_cmp(&weights[*b])).unwrap_or(0);
        let (due_at, arrived_before) = (seen.at + seen.horizon_s, seen.arrived_total);
        self.open.push_back(Open { due_at, arrived_before, members, ensemble, used });
        Forecast {
            level: seen.level,
            beyond: (used - persistence) / seen.horizon_s,
            band: self.band.upper(),
            coverage: self.band.coverage(),
            led_by: if is_skilled { MEMBERS[heaviest] } else { MEMBERS[0] },
            announced: (0.0, 0.0),
        }
    }

    /// Drops the forecasts whose time has not come: what comes until somebody looks again is not what they were for.
    pub fn resume(&mut self) {
        self.open.clear();
    }

    /// Compares the forecasts whose time has come with what came.
    fn judge(&mut self, seen: &Seen) {
        let keep = 0.5_f64.powf(seen.elapsed_s / LOSS_HALF_LIFE_S);
        while let Some(open) = self.open.front().copied().filter(|open| open.due_at <= seen.at) {
            self.open.pop_front();
            let came = (seen.arrived_total - open.arrived_before).max(0.0);
            for (loss, forecast) in self.losses.iter_mut().zip(open.members) {
                *loss = *loss * keep + pinball(came, forecast);
            }
            self.ensemble_loss = self.ensemble_loss * keep + pinball(came, open.ensemble);
            self.band.learn(came, open.used);
        }
    }

    /// Weighs the members that have something to say.
    fn weights(&self, speaks: [bool; MEMBERS.len()]) -> [f64; MEMBERS.len()] {
        let least = self.losses.iter().copied().fold(f64::INFINITY, f64::min).max(1e-9);
        let weight = |loss: f64| (-SHARPNESS * (loss / least - 1.0).min(50.0)).exp();
        let raw: [f64; MEMBERS.len()] =
            std::array::from_fn(|member| if speaks[member] { weight(self.losses[member]) } else { 0.0 });
        let sum: f64 = raw.iter().sum();
        raw.map(|weight| weight / sum)
    }
}

/// What a forecast is made of.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Now, in seconds.
    pub at: f64,
    /// Where in the season now is, in seconds.
    pub phase_s: f64,
    /// Time since the last look, in seconds.
    pub elapsed_s: f64,
    /// Records that arrived since.
    pub arrived: f64,
    /// Records that ever arrived.
    pub arrived_total: f64,
    /// The recent past's rate and change.
    pub level: Level,
    /// Mean rate of the last ten minutes, in records a second: what a season's change is measured from.
    pub recent_rate: f64,
    /// How far to look, in seconds.
    pub horizon_s: f64,
}

/// Returns the pinball loss of `forecast` as a quantile of what `came`.
fn pinball(came: f64, forecast: f64) -> f64 {
    let short = came - forecast;
    if short > 0.0 { QUANTILE * short } else { (QUANTILE - 1.0) * short }
}

#[cfg(test)]
mod tests;
