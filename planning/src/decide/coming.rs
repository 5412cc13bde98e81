//! What will arrive at a stage: from upstream where there is one, else by forecast.

use crate::arrivals::Level;
use crate::forecast::{Forecast, Seen};
use crate::memory::{StageMemory, Totals};
use crate::observation::{Observation, Stage};
use crate::policy::Policy;

/// What a season's change is measured from, in seconds.
const RECENT_S: f64 = 600.0;
/// What a stage passes on.
#[derive(Default)]
pub(super) struct Output {
    /// Records it will finish in each step; none if that is not known.
    pub finishes: Vec<f64>,
    /// Records it finished since the last look; nothing if that is not known.
    pub finished: Option<f64>,
}

/// What comes from upstream: expected in each step, and finished there since the last look.
pub(super) struct Feeds {
    expected: Vec<f64>,
    /// Nothing if that is not known of one of them.
    pub finished: Option<f64>,
}

/// Returns what comes from the stages before `index`, whose `outputs` these are, if any feed it.
pub(super) fn feeds(seen: &Observation, index: usize, outputs: &[Output]) -> Option<Feeds> {
    let stage = &seen.stages[index];
    let feeding: Vec<usize> = match &stage.fed_by {
        Some(names) => (0..index).filter(|before| names.contains(&seen.stages[*before].stage)).collect(),
        None => index.checked_sub(1).into_iter().collect(),
    };
    if feeding.is_empty() {
        return None;
    }
    let steps = feeding.iter().map(|before| outputs[*before].finishes.len()).max().unwrap_or(0);
    let expected = (0..steps).map(|step| {
        let each = feeding.iter().map(|before| outputs[*before].finishes.get(step).copied().unwrap_or(0.0));
        each.sum()
    });
    let finished = feeding.iter().map(|before| outputs[*before].finished).sum();
    Some(Feeds { expected: expected.collect(), finished })
}

/// What will arrive, step by step.
pub(super) struct Coming {
    /// By which workers are kept: no decline that is only forecast is in it.
    pub expected: Vec<f64>,
    /// By which workers are started.
    pub upper: Vec<f64>,
    /// By which the stages behind are told what they will get.
    pub onward: Vec<f64>,
    /// Mean rate that workers must be kept for, in records a second.
    pub rate: f64,
    pub led_by: &'static str,
    /// Of forecasts; nothing where there are none.
    pub coverage: Option<f64>,
}

impl Coming {
    pub(super) fn from_upstream(feeds: Feeds, fan_out: f64, steps: usize) -> Self {
        let last = feeds.expected.last().copied().unwrap_or(0.0);
        let step = |step: usize| feeds.expected.get(step).copied().unwrap_or(last) * fan_out;
        let expected: Vec<f64> = (0..steps).map(step).collect();
        Self {
            upper: expected.clone(),
            onward: expected.clone(),
            expected,
            rate: 0.0,
            led_by: "upstream",
            coverage: None,
        }
    }

    /// Returns how many may come in all.
    pub(super) fn most(&self) -> f64 {
        self.upper.iter().zip(&self.expected).map(|(upper, expected)| upper.max(*expected)).sum()
    }

    pub(super) fn forecast(
        policy: &Policy,
        own: &mut StageMemory,
        (seen, stage): (&Observation, &Stage),
        change: &Totals,
        (level, patience): (Level, f64),
        startup_s: f64,
        steps: usize,
    ) -> Self {
        let tick_s = policy.tick_s;
        let phase_s = seen.wall_clock.map_or(seen.at, |clock| clock.as_second() as f64);
        let arrived_total = own.totals.as_ref().map_or(0.0, |totals| totals.arrived);
        let mut forecast = own.forecaster.forecast(&Seen {
            at: seen.at,
            phase_s,
            elapsed_s: if change.at > 0.0 { change.at } else { tick_s },
            arrived: change.arrived,
            arrived_total,
            level,
            recent_rate: own.arrivals.rate(RECENT_S, tick_s),
            horizon_s: startup_s + tick_s,
        });
        forecast.announced = own.announced(seen, stage, level.rate);
        Self::expecting(&forecast, patience, tick_s, steps)
    }

    /// Returns what comes by this forecast, at a stage of this [patience](super::steering::Steering::patience).
    fn expecting(forecast: &Forecast, patience: f64, tick_s: f64, steps: usize) -> Self {
        let (level, beyond) = (forecast.level, forecast.beyond.max(0.0));
        // Workers are let go by what is seen alone, here and at the stages behind: a decline that is only forecast starts
        // fewer and sends nobody away.
        let kept = Forecast { beyond, ..*forecast };
        let expected = path(|time_s| kept.within(time_s), tick_s, steps);
        // Nothing tells how long a burst goes on. Where a worker that is asked for when somebody has come is there in time,
        // none is started for those who might come.
        let excess = level.excess * (1.0 - patience * level.burst());
        let sure = Forecast { level: Level { excess, ..level }, ..*forecast };
        let upper = path(|time_s| sure.upper_within(time_s), tick_s, steps);
        let onward = path(|time_s| Forecast { beyond, ..sure }.upper_within(time_s), tick_s, steps);
        let rate = level.rate + beyond + level.excess.min(0.0);
        Self { expected, upper, onward, rate, led_by: forecast.led_by, coverage: forecast.coverage }
    }
}

/// Returns the arrivals of each step, of which so many are to come `within` a time.
fn path(within: impl Fn(f64) -> f64, tick_s: f64, steps: usize) -> Vec<f64> {
    let mut before = 0.0;
    let step = |step: usize| {
        let now = within(step as f64 * tick_s);
        (now - std::mem::replace(&mut before, now)).max(0.0)
    };
    (1..=steps).map(step).collect()
}

impl StageMemory {
    /// Returns the uploads under way that the rate does not explain, and the time within which they end.
    ///
    /// By Little's law an upload takes as long as there are uploads under way for one that ends in a second.
    fn announced(&mut self, seen: &Observation, stage: &Stage, rate: f64) -> (f64, f64) {
        let Some(started) = seen.uploads_started_total else { return (0.0, 1.0) };
        let arrived: f64 = stage.lanes.iter().map(|lane| lane.arrived_total).sum();
        let under_way = (started - arrived).max(0.0);
        self.uploads += (under_way - self.uploads) * 0.02;
        let takes_s = (self.uploads / rate.max(1e-3)).clamp(5.0, 300.0);
        ((under_way - rate * takes_s).max(0.0), takes_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decline_that_is_only_forecast_starts_fewer_and_lets_nobody_go() {
        let expecting = |beyond: f64, excess: f64| {
            let level = Level { rate: 2.0, excess, lasts_s: 60.0 };
            let forecast = Forecast { level, beyond, band: 0.6, ..Forecast::default() };
            Coming::expecting(&forecast, 0.5, 5.0, 40)
        };
        let (decline, level, growth) = (expecting(-1.0, 0.0), expecting(0.0, 0.0), expecting(1.0, 0.0));
        let kept_for = |coming: &Coming| (coming.expected.clone(), coming.onward.clone(), coming.rate);
        assert_eq!(kept_for(&decline), kept_for(&level));
        let sum = |steps: &[f64]| steps.iter().sum::<f64>();
        assert!(sum(&decline.upper) < sum(&level.upper) - 100.0, "{:?}", decline.upper);
        assert!(
            sum(&growth.expected) > sum(&level.expected) + 100.0 && growth.rate > level.rate,
            "{:?}",
            growth.expected
        );
        assert!(expecting(0.0, -1.0).rate < level.rate, "a decline that is seen counts");
    }
}
