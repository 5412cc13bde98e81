//! What is measured, on made-up work.

use super::*;

/// Times of records, in seconds, that vary by a ninth: 40 and 80, in a fixed order without a pattern.
fn times() -> impl Iterator<Item = f64> {
    let mut state = 1_u32;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if state >> 31 == 0 { 40.0 } else { 80.0 }
    })
}

#[test]
fn variation_does_not_depend_on_how_many_are_done_within_a_look() {
    let variation = |counts: &[usize]| {
        let (mut service, mut times) = (Service::default(), times());
        for count in counts.iter().cycle().take(1000) {
            let busy_s: f64 = times.by_ref().take(*count).sum();
            service.record(5.0, *count as f64, busy_s, 10.0 * *count as f64);
        }
        assert!((service.mean_s() - 60.0).abs() < 3.0, "{}", service.mean_s());
        let cost = service.within(&service).unwrap();
        assert!((cost.variation.unwrap() - service.a_record.variation(1.0).unwrap()).abs() < 1e-6, "{cost:?}");
        assert!((cost.busy_s_per_media_s.unwrap() - 6.0).abs() < 0.3, "{cost:?}");
        cost.variation.unwrap()
    };
    for counts in [&[1][..], &[4], &[1, 0, 7, 2, 0, 0, 30], &[100, 1]] {
        let seen = variation(counts);
        assert!((seen * 9.0 - 1.0).abs() < 0.25, "{counts:?}: {seen}");
    }
}

#[test]
fn phases_follow_how_records_vary() {
    let seen = |at_once: f64, short_s: f64, long_s: f64| {
        let mut service = Service::new(60.0);
        for look in 0..200 {
            assert!(look > 19 || service.phases() == USUAL_PHASES, "nobody knows yet");
            service.record(5.0, at_once, at_once * if look % 2 == 0 { short_s } else { long_s }, 0.0);
        }
        service
    };
    let phases = |short_s: f64, long_s: f64| seen(1.0, short_s, long_s).phases();
    assert_eq!([phases(60.0, 60.0), phases(30.0, 90.0), phases(20.0, 100.0), phases(10.0, 110.0)], [4, 4, 2, 1]);
    // The mean of three varies a third as much as each of them does.
    let variation = |at_once| seen(at_once, 30.0, 90.0).record_variation().unwrap();
    assert!((variation(3.0) - 3.0 * variation(1.0)).abs() < 1e-9);
}

#[test]
fn half_is_forgotten_in_half_an_hour_of_looks_at_which_something_was_done() {
    for pause in [0, 36] {
        let mut service = Service::new(60.0);
        let mut work = |looks: usize, each_s: f64| {
            for _ in 0..looks {
                service.record(5.0, 60.0, 60.0 * each_s, 0.0);
                (0..pause).for_each(|_| service.record(5.0, 0.0, 0.0, 0.0));
            }
            service.mean_s()
        };
        work(5000, 10.0);
        let after = work(360, 20.0);
        assert!((after - 15.0).abs() < 0.5, "{pause}: {after}");
    }
}

#[test]
fn the_prior_is_forgotten_by_what_is_seen_and_not_by_time() {
    let mut service = Service::new(60.0);
    assert_eq!(service.mean_s(), 60.0);
    service.record(5.0, 100.0, 1000.0, 0.0);
    let seen = service.mean_s();
    assert!(seen < 12.0);
    service.record(86_400.0, 0.0, 0.0, 0.0);
    assert!((service.mean_s() - seen).abs() < 1e-9, "a night without work tells nothing");
}

#[test]
fn a_lane_borrows_the_cost_of_a_media_second_and_not_the_length() {
    let mut stage = Service::new(60.0);
    stage.record(5.0, 1000.0, 5000.0, 10_000.0);
    let mut lane = Service::default();
    assert_eq!(lane.within(&stage), None, "nothing of it was done");
    lane.record(5.0, 1.0, 60.0, 100.0);
    let first = lane.within(&stage).unwrap();
    assert!((first.service_s - 52.5).abs() < 0.1, "ten times as long, at nearly the stage's cost: {first:?}");
    lane.record(5.0, 99.0, 5940.0, 9900.0);
    let cost = lane.within(&stage).unwrap();
    assert!((cost.service_s - 60.0).abs() < 0.5 && cost.media_s == Some(100.0), "{cost:?}");

    let mut lane = Service::default();
    lane.record(5.0, 3.0, 45.0, 0.0);
    let cost = lane.within(&stage).unwrap();
    assert!((cost.service_s - 10.0).abs() < 0.2 && cost.busy_s_per_media_s.is_none(), "half its own: {cost:?}");
}

#[test]
fn units_that_are_further_than_the_phases_asked_for_are_in_the_last() {
    let mut in_work = InWork::default();
    (0..50).for_each(|_| in_work.advance(5.0, 1.0, 4, 60.0));
    for phases in 1..=MOST_PHASES {
        let scaled = in_work.scaled_to(12.0, phases);
        assert!((scaled.iter().sum::<f64>() - 12.0).abs() < 1e-9, "{scaled:?}");
        assert!(scaled[..phases].iter().all(|units| *units > 0.0), "{scaled:?}");
        assert!(scaled[phases..].iter().all(|units| *units == 0.0), "{scaled:?}");
    }
}

#[test]
fn start_up_is_what_a_new_worker_has_to_go() {
    let mut startup = Startup::default();
    assert_eq!(startup.p90_s(), None);
    for to_go in [30.0, 25.0, 20.0, 60.0, 55.0] {
        startup.look(std::iter::once(to_go));
    }
    assert_eq!(startup.p90_s(), Some(60.0));
}

#[test]
fn fan_out_follows_what_arrives() {
    let mut fan_out = FanOut::default();
    assert_eq!(fan_out.ratio(), 1.0);
    (0..50).for_each(|_| fan_out.record(5.0, 1.0, 12.0));
    assert!((fan_out.ratio() - 12.0).abs() < 0.5, "{}", fan_out.ratio());
}
