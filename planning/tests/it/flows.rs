//! The product's flow as it is simulated, and how long that takes.

use planning::plan::emulated::{Emulation, Sent};
use planning::plan::runs::{Job, Scaling, Span, run};
use planning::plan::scenario::Scenario;
use planning::plan::system;
use planning::simulate::engine;
use planning::simulate::keda::{Keda, KedaScaler};

#[test]
fn stages_wait_for_those_before_them_and_segments_run_side_by_side() {
    let emulation = Emulation::default();
    let sent: Vec<Sent> = (0..40)
        .map(|place| Sent { at_s: f64::from(place) * 3.0, length_s: 400.0, priority: place % 5 == 0, clips: 3 })
        .collect();
    let load = emulation.load(&sent, 2);
    let mut keda = KedaScaler::new(Keda::fast(1.0));
    let outcome = engine::run(&emulation.flow(), &load, &mut keda, 7200.0);
    for (video, firsts) in outcome.firsts.chunks(6).enumerate() {
        let [fetch, split, transcribe, analyze, moments, cut] = firsts else { panic!("six stages") };
        assert!(fetch.begun_at <= split.arrived_at && split.begun_at <= transcribe.arrived_at, "{firsts:?}");
        assert_eq!(transcribe.arrived_at, analyze.arrived_at);
        assert!(transcribe.begun_at.max(analyze.begun_at) < moments.arrived_at && moments.begun_at < cut.arrived_at);
        assert!(outcome.videos[video].done_at.is_some_and(|done_at| done_at > cut.begun_at), "{video}");
    }
    let waits = outcome.queue_waits_s(&system::BEFORE, &system::SEGMENTS);
    let sums = outcome.videos.iter().map(|video| video.waited_s);
    assert!(waits.iter().zip(sums).all(|(wait, sum)| *wait <= sum + 1e-3), "a first wait is within all waits");
}

#[test]
fn a_day_of_four_thousand_videos_is_simulated_in_a_second() {
    // Unoptimised it takes some ten times as long: a tenth of the day stands for it.
    let (videos, limit_s) = if cfg!(debug_assertions) { (400, 10.0) } else { (4000, 1.0) };
    let scenario = Scenario::of_users(videos / 8, videos);
    let job = Job { scaling: Scaling::Spillway, seed: 1, span: Span::Whole };
    let took_s = || {
        let begun_s = cpu_s();
        let run = run(&scenario, job, &|| false).expect("nobody stops it");
        let took_s = cpu_s() - begun_s;
        assert!(run.outcome.videos.len() as f64 > 0.9 * f64::from(videos));
        took_s
    };
    let took_s = (0..3).map(|_| took_s()).fold(f64::INFINITY, f64::min);
    println!("a day of {videos} videos: {took_s:.2} s");
    assert!(took_s < limit_s, "{took_s} s");
}

/// Returns the CPU time of this thread, in seconds: others use the machine too, and a simulation is of one thread.
fn cpu_s() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells it");
    told.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok()).expect("a number") / 1e9
}
