//! What the policy is held to: bursts, and what deciding costs.

use std::time::{Duration, Instant};

use planning::decide::decide;
use planning::memory::Memory;
use planning::policy::Policy;
use planning::simulate::engine;
use planning::simulate::keda::{Keda, KedaScaler};
use planning::simulate::outcome::Outcome;
use planning::simulate::scaler::{Planned, Scaler};

use crate::jobs::{at_once, flow, large, load};

/// Seeds that a burst is simulated with; the means count.
const SEEDS: u64 = 20;

/// Runs `count` videos that come within ten seconds to an idle flow of `stages`, by each seed.
fn burst(
    count: usize,
    (stages, startup_s, partitions): (usize, f64, u32),
    length_s: f64,
    scaler: impl Fn() -> Box<dyn Scaler>,
) -> Vec<Outcome> {
    let flow = flow(stages, startup_s, partitions);
    let run = |seed| engine::run(&flow, &load(at_once(count, seed), stages, seed), scaler().as_mut(), length_s);
    (0..SEEDS).map(run).collect()
}

fn mean(outcomes: &[Outcome], of: impl Fn(&Outcome) -> f64) -> f64 {
    outcomes.iter().map(of).sum::<f64>() / outcomes.len() as f64
}

fn planned() -> Box<dyn Scaler> {
    Box::new(Planned::new(Policy::default()))
}

#[test]
fn five_hundred_at_once_begin_in_time_for_less_than_a_queue_of_one_a_worker_costs() {
    let shape = (1, 45.0, 400);
    let ours = burst(500, shape, 1800.0, planned);
    let keda = burst(500, shape, 1800.0, || Box::new(KedaScaler::new(Keda::fast(1.0))));
    let p95_s = mean(&ours, |outcome| outcome.stages[0].wait_quantile(0.95));
    let hours = |outcomes: &[Outcome]| mean(outcomes, |outcome| outcome.stages[0].worker_hours());
    println!("p95 {p95_s:.1} s, {:.2} of {:.2} worker-hours", hours(&ours), hours(&keda));
    assert!(p95_s <= 85.0, "{p95_s} s");
    assert!(hours(&ours) <= 0.70 * hours(&keda), "{} of {} worker-hours", hours(&ours), hours(&keda));
    let first_s = ours.iter().filter_map(|outcome| outcome.stages[0].scales.first()).map(|scale| scale.0);
    assert_eq!(first_s.fold(0.0, f64::max), 5.0, "the first tick");
}

#[test]
fn a_hundred_at_once_wait_once_for_three_stages_to_start() {
    let ours = burst(100, (3, 180.0, 240), 3600.0, planned);
    let p95_s = mean(&ours, |outcome| outcome.video_wait_quantile(0.95));
    assert!(p95_s <= 280.0, "{p95_s} s");
}

#[test]
fn deciding_takes_less_than_a_millisecond() {
    let (policy, mut memory) = (Policy::default(), Memory::default());
    let took = |tick: u32| {
        let seen = large(tick);
        let begun = Instant::now();
        let decision = decide(&policy, &mut memory, &seen);
        assert!(decision.stages.iter().all(|stage| stage.inputs.is_some()), "{decision:?}");
        begun.elapsed()
    };
    let mut took: Vec<Duration> = (0..400).map(took).collect();
    took.sort_unstable();
    // Others use the machine too, and unoptimised it takes some times as long.
    let (most, limit) = (took[took.len() / 2], Duration::from_millis(if cfg!(debug_assertions) { 5 } else { 1 }));
    println!("half of the decisions took {most:?} at most");
    assert!(most < limit, "{most:?}");
}
