//! What bounds a decision, and numbers beyond all bounds.

use super::*;

#[test]
fn a_pin_wins() {
    let mut memory = Memory::default();
    let mut observation = seen(0, vec![stage(0, 300.0, 2)]);
    observation.pins.insert("analyze".to_owned(), Pin { fixed: Some(7), ..Pin::default() });
    assert_eq!(one(&mut memory, &observation).replicas, 7);
    observation.at += 5.0;
    observation.pins.insert("analyze".to_owned(), Pin { max: Some(20), ..Pin::default() });
    let decision = one(&mut memory, &observation);
    assert_eq!(decision.replicas, 20);
    assert!(decision.reason.contains("a pin"), "{}", decision.reason);
}

#[test]
fn a_budget_bounds_what_is_added_and_says_so() {
    let mut memory = Memory::default();
    let mut observation = seen(0, vec![stage(0, 300.0, 2)]);
    observation.budget_per_hour = Some(12.0);
    let decision = one(&mut memory, &observation);
    assert_eq!(decision.replicas, 12);
    assert!(decision.reason.contains("budget"), "{}", decision.reason);
}

#[test]
fn a_pin_wins_over_maximum_minimum_and_budget() {
    let check = |pin: &str, budget_per_hour: Option<f64>, expected: u32, words: &str| {
        let mut stage = stage(0, 300.0, 5);
        (stage.min_replicas, stage.max_replicas) = (3, 10);
        let mut observation = Observation { budget_per_hour, ..seen(0, vec![stage]) };
        observation.pins.insert("analyze".to_owned(), pin.parse().unwrap());
        let decision = one(&mut Memory::default(), &observation);
        assert_eq!(decision.replicas, expected, "{pin}: {decision:?}");
        assert!(decision.reason.starts_with(words), "{pin}: {decision:?}");
    };
    check("max:20", None, 20, "up 5 -> 20, at a pin");
    check("max:2", None, 2, "5 -> 2, at a pin");
    check("min:12", None, 12, "up 5 -> 12, at a pin");
    check("fixed:8", Some(6.0), 8, "up 5 -> 8, at a pin");
    check("min:7", Some(6.0), 7, "the budget allows 7 of 10");
    check("max:20", Some(6.0), 6, "the budget allows 6 of 20");
}

#[test]
fn what_is_there_above_the_budget_goes_from_the_first_stage_on() {
    let mut later = stage(0, 300.0, 20);
    later.stage = "cut".to_owned();
    let check = |budget: f64, cost: Option<f64>, expected: [u32; 2]| {
        let mut stages = vec![stage(0, 300.0, 20), later.clone()];
        stages.iter_mut().for_each(|stage| stage.cost_per_worker_hour = cost);
        let observation = Observation { budget_per_hour: Some(budget), ..seen(0, stages) };
        let decision = decide(&Policy::default(), &mut Memory::default(), &observation);
        let replicas: Vec<u32> = decision.stages.iter().map(|stage| stage.replicas).collect();
        assert_eq!(replicas, expected, "{decision:?}");
    };
    check(40.0, None, [20, 20]);
    check(60.0, None, [20, 40]);
    check(30.0, None, [10, 20]);
    check(15.0, None, [1, 14]);
    check(0.0, None, [1, 1]);
    check(30.0, Some(0.5), [20, 40]);
}

#[test]
fn a_quota_for_less_than_a_worker_is_worked_off_by_one() {
    let check = |quota_left: f64, expected: u32| {
        let stage = Stage { min_replicas: 0, quota_left: Some(quota_left), ..stage(0, 300.0, 0) };
        assert_eq!(one(&mut Memory::default(), &seen(0, vec![stage])).replicas, expected, "{quota_left}");
    };
    check(0.0, 0);
    check(30.0, 1);
    check(600.0, 10);
}

#[test]
fn a_stricter_quantile_keeps_more_to_spare_where_nobody_can_be_sent_in_time() {
    let enough = |quantile: Option<f64>, startup_s: f64| {
        let mut memory = Memory::default();
        let decision = (0..300).map(|tick| {
            let mut stage = Stage { startup_p90_s: Some(startup_s), ..stage(tick, 0.0, 60) };
            (stage.slots_busy, stage.wait_slo_quantile) = (24.0, quantile);
            stage.lanes[0].end_offset_total += 24.0;
            one(&mut memory, &seen(tick, vec![stage]))
        });
        decision.last().and_then(|decision| decision.inputs).unwrap().enough
    };
    let late = [Some(0.5), Some(0.95), Some(0.999), Some(2.0)].map(|quantile| enough(quantile, 180.0));
    assert!(late.is_sorted_by(|fewer, more| fewer < more), "{late:?}");
    assert_eq!(enough(None, 180.0), late[2]);
    assert_eq!(enough(Some(0.5), 10.0), enough(Some(0.999), 10.0), "who comes is seen in time");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Numbers of any size are answered within the bounds, soon and in little memory.
    #[test]
    fn numbers_of_any_size_are_answered(
        numbers in prop::collection::vec(prop_oneof![prop::num::f64::ANY, 0.0..1e16_f64, 0.0..300.0_f64], 12),
        ready in any::<u32>(),
        slots in any::<u32>(),
        partitions in any::<u32>(),
    ) {
        let mut memory = Memory::default();
        for tick in 0..3 {
            let mut huge = stage(tick, numbers[0], 0);
            (huge.workers.ready, huge.slots_per_worker, huge.lanes[0].partitions) = (ready, slots, partitions);
            (huge.wait_slo_s, huge.slots_busy, huge.quota_left) = (numbers[1], numbers[2], Some(numbers[3]));
            huge.startup_p90_s = (numbers[4] > 100.0).then_some(numbers[5]);
            huge.workers.starting = vec![Starting { ready_in_s: numbers[6] }];
            huge.lanes[0].end_offset_total += numbers[7];
            huge.lanes[0].head_age_s = numbers[8];
            (huge.done_total, huge.busy_seconds_total) = (numbers[9] * f64::from(tick), numbers[10] * f64::from(tick));
            let observation = Observation { budget_per_hour: Some(numbers[11]), ..seen(tick, vec![huge]) };
            prop_assert!((1..=400).contains(&one(&mut memory, &observation).replicas));
        }
    }
}
