//! The product's flow as it is simulated, and how long that takes.

use std::time::Instant;

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
    let begun = Instant::now();
    let job = Job { scaling: Scaling::KedaTuned, seed: 1, span: Span::Whole };
    let run = run(&scenario, job, &|| false).expect("nobody stops it");
    let took_s = begun.elapsed().as_secs_f64();
    assert!(run.outcome.videos.len() as f64 > 0.9 * f64::from(videos));
    println!("a day of {videos} videos: {took_s:.2} s");
    assert!(took_s < limit_s, "{took_s} s");
}
