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
    next_look: f64,
    /// For each stage the wishes in the window, with their times.
    wishes: Vec<VecDeque<(f64, u32)>>,
}

impl KedaScaler {
    /// Starts with no history.
    pub fn new(keda: Keda) -> Self {
        Self { keda, next_look: f64::NEG_INFINITY, wishes: Vec::new() }
    }

    fn wish(&self, stage: &Stage) -> u32 {
        let partitions: u32 = stage.lanes.iter().map(|lane| lane.partitions).sum();
        let lag: f64 = stage.lanes.iter().map(|lane| lane.lag_records()).sum();
        let lag = lag.min(f64::from(partitions) * self.keda.lag_threshold);
        let current = stage.replicas;
        let ratio = lag / (self.keda.lag_threshold * f64::from(current.max(1)));
        if (ratio - 1.0).abs() <= TOLERANCE { current } else { (lag / self.keda.lag_threshold).ceil() as u32 }
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
            let wish = self.wish(stage).clamp(stage.min_replicas, stage.max_replicas);
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
