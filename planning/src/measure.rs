//! What a unit of work costs and how long a worker takes to start, measured as it goes.

use std::collections::VecDeque;

use crate::rollforward::MOST_PHASES;

/// Time after which what was measured counts half, in seconds.
const HALF_LIFE_S: f64 = 1800.0;

/// Records that the prior counts for.
const PRIOR: f64 = 3.0;

/// Records without which the variation is not believed.
const ENOUGH: f64 = 20.0;

/// Phases that stand for a service time whose variation is not known.
const USUAL_PHASES: usize = 2;

/// Start-up times that are remembered.
const STARTS: usize = 50;

/// Service times: mean and variation, old ones fading.
#[derive(Clone, Debug, Default)]
pub struct Service {
    records: f64,
    busy_s: f64,
    media_s: f64,
    squares: f64,
}

impl Service {
    /// Takes what was done within the last `elapsed_s` seconds.
    pub fn record(&mut self, elapsed_s: f64, records: f64, busy_s: f64, media_s: f64) {
        if records <= 0.0 {
            return;
        }
        let keep = 0.5_f64.powf(elapsed_s / HALF_LIFE_S);
        let mean = if self.records > 0.0 { self.busy_s / self.records } else { busy_s / records };
        // The sum of n records deviates from n means by n variances.
        self.squares = self.squares * keep + (busy_s - records * mean).powi(2) / records;
        self.records = self.records * keep + records;
        self.busy_s = self.busy_s * keep + busy_s;
        self.media_s = self.media_s * keep + media_s;
    }

    /// Returns the mean time of a record in a slot, in seconds; `prior_s` until there are some.
    pub fn mean_s(&self, prior_s: f64) -> f64 {
        ((self.busy_s + PRIOR * prior_s) / (self.records + PRIOR)).max(1e-3)
    }

    /// Returns the busy seconds that a media second costs, if media was reported.
    pub fn per_media_s(&self) -> Option<f64> {
        (self.media_s > 0.0).then(|| self.busy_s / self.media_s)
    }

    /// Returns the phases of the Erlang distribution that varies as much.
    pub fn phases(&self) -> usize {
        if self.records < ENOUGH {
            return USUAL_PHASES;
        }
        let mean = self.busy_s / self.records;
        let variation = self.squares / self.records / (mean * mean).max(f64::MIN_POSITIVE);
        ((1.0 / variation.max(1e-9)).round() as usize).clamp(1, MOST_PHASES)
    }
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

    /// Returns `total` units in these proportions.
    pub fn scaled_to(&self, total: f64) -> [f64; MOST_PHASES] {
        let sum: f64 = self.0.iter().sum();
        if sum > 0.0 { self.0.map(|phase| phase / sum * total) } else { [total, 0.0, 0.0, 0.0] }
    }
}

/// Start-up times of workers.
#[derive(Clone, Debug, Default)]
pub struct Startup {
    seen_s: VecDeque<f64>,
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
        }
        self.last = (longest, count);
    }

    /// Returns the time in which nine of ten were ready, in seconds; `None` until some were seen.
    pub fn p90_s(&self) -> Option<f64> {
        p90(self.seen_s.iter().copied())
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
        let keep = 0.5_f64.powf(elapsed_s / HALF_LIFE_S);
        self.finished = self.finished * keep + finished;
        self.arrived = self.arrived * keep + arrived;
    }

    /// Returns the ratio, one until some were seen.
    pub fn ratio(&self) -> f64 {
        (self.arrived + 1.0) / (self.finished + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_variation_are_found() {
        let mut service = Service::default();
        for tick in 0..400 {
            // Two records a tick whose times are 40 s or 80 s alternately: mean 60, variation a ninth.
            let busy_s = if tick % 2 == 0 { 2.0 * 40.0 } else { 2.0 * 80.0 };
            service.record(5.0, 2.0, busy_s, 20.0);
        }
        assert!((service.mean_s(1.0) - 60.0).abs() < 2.0, "{}", service.mean_s(1.0));
        assert!((service.per_media_s().unwrap() - 6.0).abs() < 0.2);
        assert_eq!(service.phases(), 4);
    }

    #[test]
    fn the_prior_is_forgotten_by_what_is_seen() {
        let mut service = Service::default();
        assert_eq!(service.mean_s(60.0), 60.0);
        service.record(5.0, 100.0, 1000.0, 0.0);
        assert!(service.mean_s(60.0) < 12.0);
        assert_eq!(service.per_media_s(), None);
    }

    #[test]
    fn start_up_is_what_a_new_worker_has_to_go() {
        let mut startup = Startup::default();
        assert_eq!(startup.p90_s(), None);
        for to_go in [30.0, 25.0, 20.0, 60.0, 55.0] {
            startup.look(std::iter::once(to_go));
        }
        assert_eq!(startup.p90_s(), Some(60.0));
    }

    #[test]
    fn fan_out_follows_what_arrives() {
        let mut fan_out = FanOut::default();
        assert_eq!(fan_out.ratio(), 1.0);
        (0..50).for_each(|_| fan_out.record(5.0, 1.0, 12.0));
        assert!((fan_out.ratio() - 12.0).abs() < 0.5, "{}", fan_out.ratio());
    }
}
