//! What holds of every run: work is conserved, order is kept, limits are limits, and the same seed gives the same.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use pipeline::lane::Lane;
use planning::simulate::engine;
use planning::simulate::flow::{Flow, Spread};
use planning::simulate::keda::{Keda, KedaScaler};
use planning::simulate::load::{Kind, Load, Trace, Video, Work};
use planning::simulate::oracle::Oracle;
use planning::simulate::scaler::Fixed;
use proptest::prelude::*;

use crate::{fixed, poisson};

/// The waits of a queue with so many servers, by hand: whoever is free first takes the next.
fn waits_by_hand(arrivals: &[f64], services: &[f32], workers: u32) -> Vec<f32> {
    let mut free: BinaryHeap<Reverse<u64>> = (0..workers).map(|_| Reverse(0)).collect();
    let mut waits = Vec::new();
    for (at_s, service_s) in arrivals.iter().zip(services) {
        let Some(Reverse(bits)) = free.pop() else { break };
        // Times are not negative: their bits are in their order.
        let begins_s = f64::from_bits(bits).max(*at_s);
        waits.push((begins_s - at_s) as f32);
        free.push(Reverse((begins_s + f64::from(*service_s)).to_bits()));
    }
    waits
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn nobody_waits_while_a_worker_is_free(workers in 1u32..12, load in 0.3f64..1.5, cv in 0.0f64..1.5, seed in any::<u64>()) {
        let rate = load * f64::from(workers) / 60.0;
        let drawn = poisson(400, rate, seed, |_| Spread { mean_s: 60.0, cv });
        let flow = Flow { tick_s: 1e6, ..fixed(workers) };
        let outcome = engine::run(&flow, &drawn, &mut Fixed(vec![workers]), 1e7);
        let arrivals: Vec<f64> = drawn.videos.iter().map(|video| video.arrives_at).collect();
        let services: Vec<f32> = (0..400).flat_map(|video| drawn.services(video, 0)).collect();
        prop_assert_eq!(&outcome.stages[0].waits_s, &waits_by_hand(&arrivals, &services, workers));
        let work: f64 = services.iter().map(|service_s| f64::from(*service_s)).sum();
        prop_assert!((outcome.stages[0].busy_s / work - 1.0).abs() < 1e-6);
        prop_assert!(outcome.videos.iter().all(|video| video.done_at.is_some()));
    }

    #[test]
    fn work_is_counted_once_and_paid_for(
        threshold in 1.0f64..12.0, startup_s in 0.0f64..300.0, seed in any::<u64>(), slots in 1u32..4,
    ) {
        let mut flow = fixed(1);
        flow.stages[0].max_replicas = 40;
        flow.stages[0].slots_per_worker = slots;
        flow.stages[0].startup = Spread { mean_s: startup_s, cv: 0.3 };
        let drawn = poisson(600, 0.2, seed, |_| Spread { mean_s: 60.0, cv: 0.7 });
        let run = || engine::run(&flow, &drawn, &mut KedaScaler::new(Keda::with_defaults(threshold)), 2400.0);
        let outcome = run();
        let stage = &outcome.stages[0];
        let came = drawn.videos.iter().filter(|video| video.arrives_at <= 2400.0).count();
        prop_assert_eq!(stage.waits_s.len() + stage.unbegun_waits_s.len(), came);
        prop_assert!(stage.utilisation() <= 1.0 + 1e-9, "{}", stage.utilisation());
        prop_assert!(stage.scales.iter().all(|(_, to)| (1..=40).contains(to)));
        // The same seed gives the same, to the last bit.
        prop_assert_eq!(format!("{outcome:?}"), format!("{:?}", run()));
    }

    #[test]
    fn arrivals_vary_as_poisson_numbers_do(mean in 1.0f64..50.0, seed in any::<u64>()) {
        let trace = Trace { bucket_s: 60.0, counts: vec![mean; 2000] };
        let mut counts = vec![0.0f64; 2000];
        for at_s in trace.arrivals(1.0, seed) {
            counts[(at_s / 60.0) as usize] += 1.0;
        }
        let seen = counts.iter().sum::<f64>() / 2000.0;
        let variance = counts.iter().map(|count| (count - seen).powi(2)).sum::<f64>() / 2000.0;
        prop_assert!((seen / mean - 1.0).abs() < 0.15, "{seen} instead of {mean}");
        prop_assert!((variance / seen - 1.0).abs() < 0.2, "variance {variance}, mean {seen}");
    }
}

#[test]
fn a_lane_has_no_more_in_work_than_its_partitions_hold() {
    let mut flow = fixed(50);
    flow.stages[0].partitions = 7;
    let drawn = poisson(500, 1.0, 3, |_| Spread::constant(60.0));
    let outcome = engine::run(&flow, &drawn, &mut Fixed(vec![50]), 3600.0);
    assert_eq!(outcome.stages[0].peak_in_work, 7);
    assert_eq!(outcome.stages[0].waits_s.len(), 7 * 60, "seven at once, a minute each, for an hour");
}

#[test]
fn an_outside_api_takes_no_more_than_its_quota_and_the_rest_waits() {
    let mut flow = fixed(50);
    flow.stages[0].quota_per_hour = Some(100.0);
    let drawn = poisson(500, 1.0, 3, |_| Spread::constant(1.0));
    let outcome = engine::run(&flow, &drawn, &mut Fixed(vec![50]), 3.0 * 3600.0 - 1.0);
    assert_eq!((outcome.stages[0].waits_s.len(), outcome.stages[0].unbegun_waits_s.len()), (300, 200));
}

#[test]
fn who_knows_what_comes_has_the_workers_there() {
    // An hour of little, then ten times as much: ready when it comes, and gone when it is over.
    let counts = [vec![6.0; 60], vec![60.0; 60], vec![6.0; 60]].concat();
    let trace = Trace { bucket_s: 60.0, counts };
    let work = Work { units: 1, service: Spread { mean_s: 60.0, cv: 0.7 } };
    let videos = trace.arrivals(1.0, 4).into_iter();
    let videos = videos.map(|arrives_at| Video { arrives_at, lane: Lane::Standard, kind: 0 }).collect();
    let drawn = Load { videos, kinds: vec![Kind { media_s: 60.0, work: vec![work] }], seed: 4 };
    let mut flow = fixed(1);
    flow.stages[0].max_replicas = 100;
    flow.stages[0].startup = Spread::constant(180.0);
    let mut oracle = Oracle::new(&flow, &drawn, trace.length_s());
    let outcome = engine::run(&flow, &drawn, &mut oracle, trace.length_s());
    let stage = &outcome.stages[0];
    assert!(stage.share_over(120.0) < 0.02, "{}", stage.share_over(120.0));
    assert!(stage.utilisation() > 0.9, "{}", stage.utilisation());
}
