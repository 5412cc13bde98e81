//! What a unit of work costs and how long a worker takes to start, measured as it goes.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::rollforward::MOST_PHASES;

/// Time after which what was measured counts half, in seconds; of what work costs, the time between looks at which some was
/// done.
const HALF_LIFE_S: f64 = 1800.0;

/// Records that a prior counts for.
const PRIOR: f64 = 3.0;

/// Looks at something done without which the variation is not believed.
const ENOUGH: f64 = 20.0;

/// Phases that stand for a service time whose variation is not known.
const USUAL_PHASES: usize = 2;

/// Start-up times that are remembered.
const STARTS: usize = 50;

/// What work costs in busy seconds, by the record and by the media second: mean and variation, old ones fading.
#[derive(Clone, Debug, Default)]
pub struct Service {
    prior_s: f64,
    /// Records that the prior still counts for.
    prior: f64,
    a_record: Cost,
    a_media_second: Cost,
}

impl Service {
    /// Starts with the time of a record in a slot, in seconds, until some were seen done.
    pub fn new(prior_s: f64) -> Self {
        Self { prior_s, prior: PRIOR, ..Self::default() }
    }

    /// Takes what was done within the last `elapsed_s` seconds.
    pub fn record(&mut self, elapsed_s: f64, records: f64, busy_s: f64, media_s: f64) {
        // When nothing was done nothing is known better: what was measured before a quiet hour is as good after it.
        if records <= 0.0 {
            return;
        }
        let keep = keep(elapsed_s);
        self.prior *= keep;
        self.a_record.record(keep, records, busy_s);
        self.a_media_second.record(keep, media_s, busy_s);
    }

    /// Returns the mean time of a record in a slot, in seconds.
    pub fn mean_s(&self) -> f64 {
        let (records, busy_s) = (self.a_record.amount + self.prior, self.a_record.busy_s + self.prior * self.prior_s);
        (busy_s / records.max(f64::MIN_POSITIVE)).max(1e-3)
    }

    /// Returns the phases of the Erlang distribution that varies as [`Self::record_variation`] says.
    pub fn phases(&self) -> usize {
        let phases = |variation: f64| ((1.0 / variation.max(1e-9)).round() as usize).clamp(1, MOST_PHASES);
        self.record_variation().map_or(USUAL_PHASES, phases)
    }

    /// Returns how the time of a record varies, as the variance over the square of the mean, once enough was seen.
    pub fn record_variation(&self) -> Option<f64> {
        self.a_record.variation(1.0)
    }

    /// Returns what a record costs in the lane whose work `self` was, at a stage whose work was `stage`; nothing while
    /// none of it was seen done.
    ///
    /// How long a record is depends on the lane, what a second of it costs on the stage: while little was done in the
    /// lane, the stage's cost of a media second counts too. Without media seconds its time of a record does.
    pub fn within(&self, stage: &Self) -> Option<LaneCost> {
        let (records, busy_s) = (self.a_record.amount, self.a_record.busy_s);
        if records <= 0.0 {
            return None;
        }
        let media_s = Some(self.a_media_second.amount / records).filter(|media_s| *media_s > 0.0);
        let Some((media_s, of_stage)) = media_s.zip(stage.a_media_second.mean()) else {
            let service_s = (busy_s + PRIOR * stage.mean_s()) / (records + PRIOR);
            return Some(LaneCost { service_s: service_s.max(1e-3), ..LaneCost::default() });
        };
        let cost = (busy_s + PRIOR * media_s * of_stage) / ((records + PRIOR) * media_s);
        Some(LaneCost {
            service_s: (media_s * cost).max(1e-3),
            media_s: Some(media_s),
            busy_s_per_media_s: Some(cost),
            variation: self.a_media_second.variation(media_s),
        })
    }
}

/// What a record of one lane costs.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct LaneCost {
    /// Its time in a slot, in seconds.
    pub service_s: f64,
    /// Its media, in seconds, where that is reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_s: Option<f64>,
    /// Busy seconds that a media second of it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_s_per_media_s: Option<f64>,
    /// How that varies from record to record: the variance over the square of the mean, once enough was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variation: Option<f64>,
}

/// What an amount of work cost.
#[derive(Clone, Debug, Default)]
struct Cost {
    amount: f64,
    busy_s: f64,
    /// How often something was seen done.
    looks: f64,
    squares: f64,
}

impl Cost {
    /// Keeps this share of what it knows and adds what `amount` cost.
    fn record(&mut self, keep: f64, amount: f64, busy_s: f64) {
        for sum in [&mut self.amount, &mut self.busy_s, &mut self.looks, &mut self.squares] {
            *sum *= keep;
        }
        let before = self.mean();
        self.amount += amount;
        self.busy_s += busy_s;
        if amount <= 0.0 {
            return;
        }
        let (seen, after) = (busy_s / amount, self.busy_s / self.amount);
        self.looks += 1.0;
        // The mean of an amount deviates by its variance over the amount: times that, each look tells the variance once.
        self.squares += amount * (seen - before.unwrap_or(seen)) * (seen - after);
    }

    fn mean(&self) -> Option<f64> {
        (self.amount > 0.0).then(|| self.busy_s / self.amount)
    }

    /// Returns the variance over the square of the mean for `amount`, if enough was seen.
    fn variation(&self, amount: f64) -> Option<f64> {
        let mean = self.mean().filter(|mean| *mean > 0.0 && self.looks >= ENOUGH)?;
        Some(self.squares / (self.looks - 1.0) / amount / mean.powi(2))
    }
}

/// Returns the share that is left after `elapsed_s` seconds of what was measured.
pub(crate) fn keep(elapsed_s: f64) -> f64 {
    0.5_f64.powf(elapsed_s / HALF_LIFE_S)
}

/// How far the units in work are, by phase: nobody reports it, so it follows from what was begun and done.
#[derive(Clone, Copy, Debug, Default)]
pub struct InWork([f64; MOST_PHASES]);

impl InWork {
    /// Moves everything on by `elapsed_s` and adds what was `begun` meanwhile.
    pub fn advance(&mut self, elapsed_s: f64, begun: f64, phases: usize, service_s: f64) {
        let over = 1.0 - (-elapsed_s * phases as f64 / service_s).exp();
        let mut moves = begun;
        for phase in self.0.iter_mut().take(phases) {
            let leaves = *phase * over;
            *phase += moves - leaves;
            moves = leaves;
        }
        self.0[phases..].fill(0.0);
    }

    /// Returns `total` units in these proportions over so many `phases`, at least one; those that are further are in the
    /// last of them.
    pub fn scaled_to(&self, total: f64, phases: usize) -> [f64; MOST_PHASES] {
        let sum: f64 = self.0.iter().sum();
        if sum <= 0.0 {
            return [total, 0.0, 0.0, 0.0];
        }
        let mut scaled = self.0.map(|phase| phase / sum * total);
        let further: f64 = scaled[phases..].iter().sum();
        scaled[phases..].fill(0.0);
        scaled[phases - 1] += further;
        scaled
    }
}

/// Start-up times of workers.
#[derive(Clone, Debug, Default)]
pub struct Startup {
    seen_s: VecDeque<f64>,
    /// The time in which nine of ten of them were ready: asked for at each look, and it seldom changes.
    p90_s: Option<f64>,
    /// Longest time to go of those that were starting at the last look, and how many they were.
    last: (f64, usize),
}

impl Startup {
    /// Notes the times to go, in seconds, of the workers that are starting: a new one tells the whole time.
    pub fn look(&mut self, to_go_s: impl Iterator<Item = f64>) {
        let (longest, count) = to_go_s.fold((0.0_f64, 0), |(longest, count), to_go| (longest.max(to_go), count + 1));
        if count > 0 && (longest > self.last.0 || count > self.last.1) {
            if self.seen_s.len() == STARTS {
                self.seen_s.pop_front();
            }
            self.seen_s.push_back(longest);
            self.p90_s = p90(self.seen_s.iter().copied());
        }
        self.last = (longest, count);
    }

    /// Returns the time in which nine of ten were ready, in seconds; `None` until some were seen.
    pub fn p90_s(&self) -> Option<f64> {
        self.p90_s
    }
}

/// Returns the value that nine of ten of `values` do not exceed, by the nearest rank; `None` if there are none.
pub fn p90(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get((sorted.len() * 9).div_ceil(10).saturating_sub(1)).copied()
}

/// How many records arrive at a stage for one that the stage before it finished.
#[derive(Clone, Debug, Default)]
pub struct FanOut {
    finished: f64,
    arrived: f64,
}

impl FanOut {
    /// Takes what was finished and what arrived within the last `elapsed_s` seconds.
    pub fn record(&mut self, elapsed_s: f64, finished: f64, arrived: f64) {
        let keep = keep(elapsed_s);
        self.finished = self.finished * keep + finished;
        self.arrived = self.arrived * keep + arrived;
    }

    /// Returns the ratio, one until some were seen.
    pub fn ratio(&self) -> f64 {
        (self.arrived + 1.0) / (self.finished + 1.0)
    }
}

#[cfg(test)]
mod tests;
