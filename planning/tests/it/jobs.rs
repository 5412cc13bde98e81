//! The jobs that policies are compared by: a minute of work each, to begin within two.

use pipeline::lane::Lane;
use planning::observation::{self, Observation, Stage, Starting, Workers};
use planning::simulate::flow::{Flow, Spread, StageSpec};
use planning::simulate::load::{Kind, Load, Video, Work};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Longest wait before a job begins, in seconds.
pub const SLO_S: f64 = 120.0;

/// Returns `stages` in a row, of one to 400 workers each.
pub fn flow(stages: usize, startup_s: f64, partitions: u32) -> Flow {
    let stage = |index: usize| StageSpec {
        name: format!("stage{index}"),
        after: index.checked_sub(1).into_iter().collect(),
        partitions,
        slots_per_worker: 1,
        startup: Spread::constant(startup_s),
        min_replicas: 1,
        max_replicas: 400,
        wait_slo_s: SLO_S,
        cost_per_worker_hour: 1.0,
        ..StageSpec::default()
    };
    Flow { stages: (0..stages).map(stage).collect(), tick_s: 5.0, ..Flow::default() }
}

/// Returns a job at each of so many stages for each of `arrivals`.
pub fn load(arrivals: Vec<f64>, stages: usize, seed: u64) -> Load {
    let videos = arrivals.into_iter().map(|arrives_at| Video { arrives_at, lane: Lane::Standard, kind: 0 });
    let work = Work { units: 1, service: Spread { mean_s: 60.0, cv: 0.7 } };
    Load { videos: videos.collect(), kinds: vec![Kind { media_s: 60.0, work: vec![work; stages] }], seed }
}

/// Draws when `count` come within ten seconds.
pub fn at_once(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut arrivals: Vec<f64> = (0..count).map(|_| rng.random_range(0.0..10.0)).collect();
    arrivals.sort_by(f64::total_cmp);
    arrivals
}

/// Returns what is seen of ten stages of four lanes and a thousand workers each, up and down by the hour, so that queues come
/// and go.
pub fn large(tick: u32) -> Observation {
    let (ticks, at) = (f64::from(tick), f64::from(tick) * 5.0);
    let waiting = 100.0 * (1.0 + (at / 3600.0).sin());
    let lane = |lane: Lane| observation::Lane {
        lane: lane.to_string(),
        partitions: 400,
        end_offset_total: ticks * 10.0 + 200.0 + waiting,
        committed_total: ticks * 10.0,
        arrived_total: ticks * 10.0 + 200.0 + waiting,
        head_age_s: 5.0,
        ..observation::Lane::default()
    };
    let stage = |index: u32| Stage {
        stage: format!("stage{index}"),
        lanes: Lane::ALL.map(lane).into(),
        workers: Workers { ready: 900, busy: 900, starting: vec![Starting { ready_in_s: 30.0 }; 100], draining: 10 },
        replicas: 1000,
        max_replicas: 2000,
        slots_per_worker: 1,
        slots_busy: 400.0,
        wait_slo_s: SLO_S,
        done_total: ticks * 40.0,
        busy_seconds_total: ticks * 2400.0,
        ..Stage::default()
    };
    Observation { at, stages: (0..10).map(stage).collect(), ..Observation::default() }
}
