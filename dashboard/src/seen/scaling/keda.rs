//! How many workers KEDA would have of the same queues, tick after tick, with the scale that it would have given itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use planning::observation::{Observation, Stage};
use planning::simulate::keda::{self, KedaScaler};
use planning::simulate::scaler::Scaler;
use serde::Serialize;

/// Records of lag a worker, by default and as tuned by hand: those that the planner compares with.
const THRESHOLDS: (f64, f64) = (10.0, 2.0);

/// How many workers KEDA would have of a stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Keda {
    /// With its defaults and a threshold of 10 records.
    pub default: u32,
    /// With a threshold of 2 records, at once, down after a minute.
    pub tuned: u32,
}

/// KEDA in both its settings at every stage.
#[derive(Debug, Default)]
pub struct Rivals {
    /// When it last looked; nothing before the first tick.
    last_at: Option<f64>,
    stages: BTreeMap<String, [Rival; 2]>,
}

/// KEDA with the scale that it would have by now.
#[derive(Debug)]
struct Rival {
    scaler: KedaScaler,
    replicas: u32,
}

impl Rivals {
    /// Lets it look at the next tick, and returns what it would have of each stage.
    pub fn scale(&mut self, seen: &Observation) -> Arc<[Keda]> {
        // Another autoscaler took over, with a clock of its own.
        if self.last_at.is_some_and(|last_at| seen.at <= last_at) {
            self.stages.clear();
        }
        self.last_at = Some(seen.at);
        let scale = |stage: &Stage| {
            let [usual, tuned] = self.stages.entry(stage.stage.clone()).or_insert_with(|| Rival::both(stage));
            Keda { default: usual.scale(seen.at, stage), tuned: tuned.scale(seen.at, stage) }
        };
        seen.stages.iter().map(scale).collect()
    }
}

impl Rival {
    fn both(stage: &Stage) -> [Self; 2] {
        let (usual, tuned) = THRESHOLDS;
        let begin = |keda| Self { scaler: KedaScaler::new(keda), replicas: stage.replicas };
        [begin(keda::Keda::with_defaults(usual)), begin(keda::Keda::fast(tuned))]
    }

    fn scale(&mut self, at: f64, stage: &Stage) -> u32 {
        let own = Stage { replicas: self.replicas, ..stage.clone() };
        let scales = self.scaler.scale(&Observation { at, stages: vec![own], ..Observation::default() });
        self.replicas = scales.first().copied().unwrap_or(self.replicas).clamp(stage.min_replicas, stage.max_replicas);
        self.replicas
    }
}

#[cfg(test)]
mod tests {
    use planning::observation::Lane;

    use super::*;

    fn seen(at: f64, waiting: f64) -> Observation {
        let lane = Lane { partitions: 40, end_offset_total: waiting, ..Lane::default() };
        let stage = Stage {
            stage: "cut".to_owned(),
            lanes: vec![lane],
            replicas: 2,
            min_replicas: 1,
            max_replicas: 30,
            ..Stage::default()
        };
        Observation { at, stages: vec![stage], ..Observation::default() }
    }

    #[test]
    fn keda_scales_by_its_own_numbers_and_keeps_them_between_its_looks() {
        let mut rivals = Rivals::default();
        let waiting = [0.0, 0.0, 0.0, 200.0, 200.0, 200.0, 200.0];
        let scales =
            waiting.iter().enumerate().map(|(tick, waiting)| rivals.scale(&seen(tick as f64 * 5.0, *waiting))[0]);
        let (usual, tuned): (Vec<u32>, Vec<u32>) = scales.map(|keda| (keda.default, keda.tuned)).unzip();
        // Ten records a worker want 20, and a look adds four or doubles; two records a worker want more than there may be.
        assert_eq!(usual, [1, 1, 1, 5, 5, 5, 10]);
        assert_eq!(tuned, [1, 1, 1, 30, 30, 30, 30]);
        // A clock that begins anew is another autoscaler's: it begins with the scale that is there.
        assert_eq!(rivals.scale(&seen(0.0, 20.0))[0], Keda { default: 2, tuned: 10 });
    }
}
