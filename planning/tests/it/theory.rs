//! Waits that theory gives exactly.

use planning::simulate::engine;
use planning::simulate::flow::Spread;
use planning::simulate::load::Load;
use planning::simulate::scaler::Fixed;

use crate::{exponential, fixed, poisson};

const SERVICE_S: f64 = 60.0;
const COUNT: usize = 100_000;

#[track_caller]
fn check_mean_wait(load: &Load, workers: u32, wanted_s: f64, tolerance: f64) {
    let end_s = load.videos.last().map_or(0.0, |video| video.arrives_at);
    let outcome = engine::run(&fixed(workers), load, &mut Fixed(vec![workers]), end_s);
    let waits_s = &outcome.stages[0].waits_s;
    let mean_s = waits_s.iter().map(|wait_s| f64::from(*wait_s)).sum::<f64>() / waits_s.len() as f64;
    assert!((mean_s / wanted_s - 1.0).abs() < tolerance, "{mean_s} s instead of {wanted_s} s");

    // Little's law: what waits on average is what arrives in a second times how long it waits.
    let backlog = &outcome.stages[0].backlog;
    let waiting = backlog.iter().map(|(_, units)| f64::from(*units)).sum::<f64>() / backlog.len() as f64;
    let rate = load.videos.len() as f64 / end_s;
    assert!((waiting / (rate * mean_s) - 1.0).abs() < 0.02, "{waiting} wait instead of {}", rate * mean_s);
}

/// The mean wait with exponential times by Erlang's formula, in seconds.
fn erlang_c_wait_s(workers: u32, load: f64) -> f64 {
    let offered = load * f64::from(workers);
    // Erlang B by its recursion, which does not overflow, then C from it.
    let blocked = (1..=workers).fold(1.0, |blocked, n| offered * blocked / (f64::from(n) + offered * blocked));
    let waits = blocked / (1.0 - load * (1.0 - blocked));
    waits * SERVICE_S / (f64::from(workers) * (1.0 - load))
}

#[test]
fn many_workers_with_exponential_times_wait_as_erlang_says() {
    for (workers, load, tolerance) in [(1, 0.6, 0.08), (4, 0.7, 0.08)] {
        let rate = load * f64::from(workers) / SERVICE_S;
        let drawn = poisson(COUNT, rate, 5, |even| Spread::constant(SERVICE_S * exponential(even)));
        check_mean_wait(&drawn, workers, erlang_c_wait_s(workers, load), tolerance);
    }
}

#[test]
fn one_worker_waits_as_pollaczek_and_khinchine_say() {
    for (cv, load) in [(0.0, 0.7), (0.7, 0.6)] {
        let wanted_s = load / (1.0 - load) * (1.0 + cv * cv) / 2.0 * SERVICE_S;
        let drawn = poisson(COUNT, load / SERVICE_S, 9, |_| Spread { mean_s: SERVICE_S, cv });
        check_mean_wait(&drawn, 1, wanted_s, 0.08);
    }
}
