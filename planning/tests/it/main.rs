//! The simulator held against theory, and plans held against the simulator.

mod flows;
mod jobs;
mod laws;
mod plans;
mod targets;
mod theory;
mod told;

use pipeline::lane::Lane;
use planning::simulate::flow::{Flow, Spread, StageSpec};
use planning::simulate::load::{Kind, Load, Video, Work};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// One stage with `workers` that are always there.
fn fixed(workers: u32) -> Flow {
    let stage = StageSpec {
        name: "analyze".to_owned(),
        partitions: 1000,
        slots_per_worker: 1,
        min_replicas: workers,
        max_replicas: workers,
        wait_slo_s: 120.0,
        ..StageSpec::default()
    };
    Flow { stages: vec![stage], tick_s: 5.0, budget_per_hour: None }
}

/// Videos of one unit each, whose times between arrivals are exponential.
fn poisson(count: usize, rate: f64, seed: u64, mut service: impl FnMut(f64) -> Spread) -> Load {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut load = Load { seed, ..Load::default() };
    let mut at_s = 0.0;
    for kind in 0..count {
        at_s += exponential(rng.random_range(0.0..1.0)) / rate;
        let work = Work { units: 1, service: service(rng.random_range(0.0..1.0)) };
        load.videos.push(Video { arrives_at: at_s, lane: Lane::Standard, kind });
        load.kinds.push(Kind { media_s: 60.0, work: vec![work] });
    }
    load
}

/// Turns an even draw into one of an exponential time with the mean 1.
fn exponential(even: f64) -> f64 {
    -(1.0 - even).ln()
}
