//! KEDA's Kafka scaler with the Kubernetes horizontal pod autoscaler behind it, by their formulas.
//!
//! KEDA hands the summed lag to the autoscaler as an external metric with an average target, capped at the number of
//! partitions times the threshold. The autoscaler wants `ceil(lag / threshold)` workers, leaves the scale alone while
//! that is within a tolerance of 10 %, limits the rate of scaling up, and scales down to the highest wish of a window.
//! Source: <https://keda.sh/docs/latest/scalers/apache-kafka/>,
//! <https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/>.

use std::collections::VecDeque;

use super::scaler::Scaler;
use crate::observation::{Observation, Stage};

/// Tolerance within which the scale is left alone.
const TOLERANCE: f64 = 0.1;

/// KEDA's and the autoscaler's settings.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Keda {
    /// `lagThreshold`: records of lag a worker.
    pub lag_threshold: f64,
    /// Time between two looks, in seconds.
    pub sync_s: f64,
    /// Whether a look at most doubles the scale or adds four workers, whichever is more.
    pub limits_rate: bool,
    /// `stabilizationWindowSeconds` of scaling down.
    pub down_window_s: f64,
}

impl Keda {
    /// The defaults of both with a threshold of its own.
    pub const fn with_defaults(lag_threshold: f64) -> Self {
        Self { lag_threshold, sync_s: 15.0, limits_rate: true, down_window_s: 300.0 }
    }

    /// Scales up at once and down after a minute.
    pub const fn fast(lag_threshold: f64) -> Self {
        Self { lag_threshold, sync_s: 15.0, limits_rate: false, down_window_s: 60.0 }
    }
}

/// The rival's state.
#[derive(Clone, Debug)]
pub struct KedaScaler {
    keda: Keda,
    /// Records that one simulated record of each stage stands for; one where nothing is said.
    stands_for: Vec<u32>,
    next_look: f64,
    /// For each stage the wishes in the window, with their times.
    wishes: Vec<VecDeque<(f64, u32)>>,
}

impl KedaScaler {
    /// Starts with no history.
    pub fn new(keda: Keda) -> Self {
        Self::grained(keda, Vec::new())
    }

    /// Starts with no history where one simulated record of each stage, in their order, stands for so many.
    pub fn grained(keda: Keda, stands_for: Vec<u32>) -> Self {
        Self { keda, stands_for, next_look: f64::NEG_INFINITY, wishes: Vec::new() }
    }

    /// Returns how many workers the stage in place `index` is to have by its lag alone.
    fn wish(&self, index: usize, stage: &Stage) -> u32 {
        let threshold = self.keda.lag_threshold;
        let partitions: u32 = stage.lanes.iter().map(|lane| lane.partitions).fold(0, u32::saturating_add);
        let seen: f64 = stage.lanes.iter().map(|lane| lane.lag_records()).sum();
        let lag = seen * f64::from(self.stands_for.get(index).copied().unwrap_or(1));
        let lag = lag.min(f64::from(partitions) * threshold);
        let current = stage.replicas;
        let ratio = lag / (threshold * f64::from(current.max(1)));
        if (ratio - 1.0).abs() <= TOLERANCE { current } else { (lag / threshold).ceil() as u32 }
    }
}

impl Scaler for KedaScaler {
    fn scale(&mut self, seen: &Observation) -> Vec<u32> {
        if seen.at < self.next_look {
            return seen.stages.iter().map(|stage| stage.replicas).collect();
        }
        self.next_look = seen.at + self.keda.sync_s;
        self.wishes.resize_with(seen.stages.len(), VecDeque::new);
        let mut scales = Vec::new();
        for (index, stage) in seen.stages.iter().enumerate() {
            let wish = self.wish(index, stage).clamp(stage.min_replicas, stage.max_replicas);
            let wishes = &mut self.wishes[index];
            wishes.push_back((seen.at, wish));
            while wishes.front().is_some_and(|(at, _)| *at < seen.at - self.keda.down_window_s) {
                wishes.pop_front();
            }
            let current = stage.replicas;
            let scale = if wish > current {
                let most = if self.keda.limits_rate { (current * 2).max(current + 4) } else { u32::MAX };
                wish.min(most)
            } else {
                wishes.iter().map(|(_, wish)| *wish).max().unwrap_or(wish).min(current)
            };
            scales.push(scale);
        }
        scales
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Lane;

    /// A stage of two lanes of 50 partitions each, with so many workers and records of lag.
    fn stage(replicas: u32, lag: f64) -> Stage {
        let lane = |lag: f64| Lane {
            partitions: 50,
            end_offset_total: 100.0 + lag,
            committed_total: 100.0,
            ..Lane::default()
        };
        let lanes = vec![lane(lag / 2.0), lane(lag / 2.0)];
        Stage { lanes, replicas, min_replicas: 1, max_replicas: 400, ..Stage::default() }
    }

    /// Has `scaler` look at one stage.
    fn look(scaler: &mut KedaScaler, at: f64, replicas: u32, lag: f64) -> u32 {
        scaler.scale(&Observation { at, stages: vec![stage(replicas, lag)], ..Observation::default() })[0]
    }

    #[track_caller]
    fn check(keda: Keda, (replicas, lag): (u32, f64), scale: u32) {
        assert_eq!(look(&mut KedaScaler::new(keda), 0.0, replicas, lag), scale, "{replicas} workers, a lag of {lag}");
    }

    #[test]
    fn a_worker_is_wanted_for_each_threshold_of_lag_begun() {
        for (lag, scale) in [(21.0, 3), (39.0, 4), (41.0, 5)] {
            check(Keda::fast(10.0), (1, lag), scale);
        }
        check(Keda::fast(10.0), (7, 0.0), 1);
    }

    #[test]
    fn within_a_tenth_the_scale_is_left_alone() {
        for (lag, scale) in [(109.0, 10), (111.0, 12), (91.0, 10), (89.0, 9)] {
            check(Keda::fast(10.0), (10, lag), scale);
        }
    }

    #[test]
    fn there_are_no_more_workers_than_partitions_and_no_more_than_may_be() {
        check(Keda::fast(2.0), (1, 1e6), 100);
        let most = Stage { max_replicas: 30, ..stage(1, 1e6) };
        let seen = Observation { stages: vec![most], ..Observation::default() };
        assert_eq!(KedaScaler::new(Keda::fast(2.0)).scale(&seen), [30]);
    }

    #[test]
    fn a_look_doubles_the_scale_or_adds_four_at_most_where_the_rate_is_limited() {
        for (replicas, scale) in [(1, 5), (3, 7), (4, 8), (10, 20)] {
            check(Keda::with_defaults(1.0), (replicas, 100.0), scale);
            check(Keda::fast(1.0), (replicas, 100.0), 100);
        }
    }

    #[test]
    fn it_looks_each_fifteen_seconds() {
        let mut scaler = KedaScaler::new(Keda::fast(1.0));
        let scales = [0.0, 5.0, 10.0, 15.0].map(|at| look(&mut scaler, at, 10, if at == 0.0 { 10.0 } else { 50.0 }));
        assert_eq!(scales, [10, 10, 10, 50]);
    }

    #[test]
    fn down_goes_to_the_highest_wish_of_the_window() {
        let mut scaler = KedaScaler::new(Keda::with_defaults(1.0));
        let scales = [(0.0, 80.0), (150.0, 40.0), (300.0, 20.0), (315.0, 20.0), (465.0, 20.0)]
            .map(|(at, lag)| look(&mut scaler, at, 80, lag));
        assert_eq!(scales, [80, 80, 80, 40, 20]);
    }

    #[test]
    fn a_record_that_stands_for_many_counts_as_many_and_others_do_not() {
        // Two stages of one lag: in the first a record stands for ten.
        let seen = Observation { stages: vec![stage(1, 8.0), stage(1, 8.0)], ..Observation::default() };
        assert_eq!(KedaScaler::grained(Keda::fast(2.0), vec![10, 1]).scale(&seen), [40, 4]);
    }
}
