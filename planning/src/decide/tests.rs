//! The decision through its public face: bounds, order, data that is wrong, what is down.

mod lanes;
mod learning;
mod limits;

use proptest::prelude::*;

use super::*;
use crate::observation::{Breaker, Lane, Stage, Starting, Workers};
use crate::pin::Pin;

/// One stage of one lane with `ready` workers, all counters from one running count of ticks.
fn stage(tick: u32, waiting: f64, ready: u32) -> Stage {
    let done = f64::from(tick) * 2.0;
    let busy = waiting.min(f64::from(ready));
    Stage {
        stage: "analyze".to_owned(),
        lanes: vec![Lane {
            lane: "standard".to_owned(),
            partitions: 240,
            end_offset_total: done + busy + waiting,
            committed_total: done,
            arrived_total: done + busy + waiting,
            ..Lane::default()
        }],
        workers: Workers { ready, ..Workers::default() },
        replicas: ready,
        min_replicas: 1,
        max_replicas: 400,
        slots_per_worker: 1,
        slots_busy: busy,
        wait_slo_s: 120.0,
        done_total: done,
        busy_seconds_total: done * 60.0,
        ..Stage::default()
    }
}

fn seen(tick: u32, stages: Vec<Stage>) -> Observation {
    Observation { at: f64::from(tick) * 5.0, stages, ..Observation::default() }
}

fn one(memory: &mut Memory, seen: &Observation) -> StageDecision {
    decide(&Policy::default(), memory, seen).stages.remove(0)
}

#[test]
fn a_burst_is_answered_at_once() {
    let mut memory = Memory::default();
    (0..60).for_each(|tick| drop(one(&mut memory, &seen(tick, vec![stage(tick, 0.0, 2)]))));
    let decision = one(&mut memory, &seen(60, vec![stage(60, 300.0, 2)]));
    assert!(decision.replicas > 100, "{decision:?}");
    assert!(decision.reason.starts_with("up 2 ->"), "{}", decision.reason);
}

#[test]
fn a_burst_starts_workers_for_those_who_might_come_only_where_they_cannot_be_waited_for() {
    let burst = |startup_s: f64| {
        let mut memory = Memory::default();
        let mut at = |tick: u32, waiting: f64| {
            let stage = Stage { startup_p90_s: Some(startup_s), ..stage(0, waiting, 1) };
            one(&mut memory, &seen(tick, vec![stage]))
        };
        (0..60).for_each(|tick| drop(at(tick, 0.0)));
        at(60, 250.0)
    };
    let (soon, late) = (burst(45.0), burst(180.0));
    assert!((150..220).contains(&soon.replicas), "{soon:?}");
    assert_eq!(late.replicas, 240, "all that can have work: {late:?}");
}

#[test]
fn a_stage_with_nothing_to_do_is_left_alone_however_short_its_target() {
    let mut memory = Memory::default();
    for tick in 0..30 {
        let mut idle = stage(0, 0.0, 1);
        idle.wait_slo_s = 1.0;
        let decision = one(&mut memory, &seen(tick, vec![idle]));
        assert_eq!(decision.replicas, 1, "{decision:?}");
    }
}

#[test]
fn uploads_under_way_are_answered_before_they_arrive() {
    let mut memory = Memory::default();
    let idle = |tick: u32, under_way: f64| {
        let started = Some(stage(tick, 0.0, 1).lanes[0].arrived_total + under_way);
        Observation { uploads_started_total: started, ..seen(tick, vec![stage(tick, 0.0, 1)]) }
    };
    let before = (0..60).map(|tick| one(&mut memory, &idle(tick, 0.0))).last().unwrap();
    let after = one(&mut memory, &idle(60, 60.0));
    assert!(after.replicas > before.replicas + 5, "{before:?} {after:?}");
    assert!(after.reason.starts_with("up "), "{}", after.reason);
}

#[test]
fn scaling_down_waits_for_the_window() {
    let mut memory = Memory::default();
    let mut first_down = None;
    for tick in 0..60 {
        let decision = one(&mut memory, &seen(tick, vec![stage(tick, 0.0, 100)]));
        if decision.replicas < 100 && first_down.is_none() {
            first_down = Some(tick);
        }
    }
    // A minute is twelve ticks.
    assert!(first_down.is_some_and(|tick| (11..=13).contains(&tick)), "{first_down:?}");
}

#[test]
fn wrong_data_holds_the_last_good_scale_and_then_only_scales_up() {
    let mut memory = Memory::default();
    let good = one(&mut memory, &seen(0, vec![stage(0, 50.0, 10)]));
    for tick in 1..=20 {
        let mut wrong = stage(tick, 0.0, 10);
        wrong.lanes[0].committed_total += 1000.0;
        let decision = one(&mut memory, &seen(tick, vec![wrong]));
        assert!(decision.replicas >= good.replicas, "{decision:?}");
        assert!(decision.reason.contains("lag"), "{}", decision.reason);
        assert_eq!(decision.inputs, None);
    }
}

/// What is seen of `stages` while `held_up` waits for something; all do if that is empty.
fn paused(tick: u32, held_up: &str, stages: Vec<Stage>) -> Observation {
    let breaker = Breaker { stage: held_up.to_owned(), reason: "3 of 3 workers wait: no store".to_owned() };
    Observation { breakers: vec![breaker], ..seen(tick, stages) }
}

#[test]
fn a_stage_that_waits_for_something_keeps_its_scale_and_says_why() {
    for held_up in ["analyze", ""] {
        let mut memory = Memory::default();
        for tick in 0..40 {
            let waiting = if tick < 20 { 300.0 } else { 0.0 };
            let mut stage = stage(tick, waiting, 30);
            // Its outside quota is used up: that is why it waits.
            stage.quota_left = Some(0.0);
            let decision = one(&mut memory, &paused(tick, held_up, vec![stage]));
            assert_eq!(decision.replicas, 30, "{decision:?}");
            assert!(decision.reason.starts_with("held at 30,") && decision.reason.contains("no store"), "{decision:?}");
        }
        let elsewhere = paused(40, "cut", vec![stage(40, 300.0, 30)]);
        assert!(one(&mut memory, &elsewhere).replicas > 60, "another stage's trouble is none of its own");
    }
}

#[test]
fn wrong_data_beside_something_that_is_down_scales_nothing_up() {
    let mut memory = Memory::default();
    for tick in 0..20 {
        let mut wrong = stage(tick, 500.0, 10);
        wrong.lanes.push(Lane { lane: "batch".to_owned(), committed_total: 5.0, ..Lane::default() });
        let decision = one(&mut memory, &paused(tick, "analyze", vec![wrong]));
        assert_eq!(decision.replicas, 10, "{decision:?}");
        assert!(decision.reason.contains("no store") && decision.reason.contains("lag"), "{}", decision.reason);
    }
}

#[test]
fn what_is_wrong_for_long_scales_up_by_what_is_plausible_of_it() {
    let mut memory = Memory::default();
    let decisions: Vec<StageDecision> = (0..=13)
        .map(|tick| {
            let mut wrong = stage(tick, 500.0, 10);
            wrong.lanes.push(Lane { lane: "batch".to_owned(), committed_total: 5.0, ..Lane::default() });
            one(&mut memory, &seen(tick, vec![wrong]))
        })
        .collect();
    assert!(decisions[..12].iter().all(|decision| decision.replicas == 10), "{decisions:?}");
    let floor = &decisions[12];
    assert!(floor.replicas > 200 && floor.reason.starts_with("only up, 10 -> "), "{floor:?}");
    assert_eq!(decisions[13].replicas, floor.replicas, "it does not go on from what it asked for itself");
}

#[test]
fn what_is_seen_no_longer_is_held_and_then_only_scaled_up() {
    let mut memory = Memory::default();
    one(&mut memory, &seen(0, vec![Stage { max_replicas: 10, ..stage(0, 500.0, 10) }]));
    for tick in 1..=20 {
        let stale = Some("it was not seen: the brokers do not answer".to_owned());
        let decision = one(&mut memory, &seen(tick, vec![Stage { stale, ..stage(0, 500.0, 10) }]));
        assert!(decision.reason.contains("the brokers do not answer"), "{decision:?}");
        if tick < 13 {
            assert!(decision.replicas == 10 && decision.reason.starts_with("held at 10: "), "{tick}: {decision:?}");
        } else {
            assert!(decision.replicas > 200 && decision.reason.starts_with("only up, "), "{tick}: {decision:?}");
        }
    }
    let again = one(&mut memory, &seen(21, vec![stage(21, 500.0, 230)]));
    assert!(again.inputs.is_some() && again.replicas >= 230, "nobody goes before a window has passed: {again:?}");
}

#[test]
fn a_pin_wins_over_something_that_is_down() {
    let mut observation = paused(0, "analyze", vec![stage(0, 300.0, 20)]);
    observation.pins.insert("analyze".to_owned(), Pin { fixed: Some(5), ..Pin::default() });
    assert_eq!(one(&mut Memory::default(), &observation).replicas, 5);
}

#[test]
fn what_is_stuck_starts_no_workers_behind_it() {
    let mut later = stage(0, 0.0, 1);
    later.stage = "cut".to_owned();
    let stages = vec![stage(0, 300.0, 100), later];
    let free = decide(&Policy::default(), &mut Memory::default(), &seen(0, stages.clone()));
    let stuck = decide(&Policy::default(), &mut Memory::default(), &paused(0, "analyze", stages));
    assert!(free.stages[1].replicas > 10, "{free:?}");
    assert_eq!(stuck.stages[1].replicas, 1, "{stuck:?}");
}

#[test]
fn what_happens_while_something_is_down_fools_nobody_afterwards() {
    // Five minutes as usual, five in which little is done and takes ages, and two as usual, with what has come meanwhile.
    let run = |is_down: &dyn Fn(u32) -> bool| {
        let mut memory = Memory::default();
        let (mut done, mut busy_s, mut decisions) = (0.0, 0.0, Vec::new());
        for tick in 0..144 {
            let (finished, each_s) = if is_down(tick) { (0.2, 900.0) } else { (2.0, 60.0) };
            (done, busy_s) = (done + finished, busy_s + finished * each_s);
            let mut stage = stage(tick, 0.0, 30);
            (stage.done_total, stage.busy_seconds_total, stage.slots_busy) = (done, busy_s, 24.0);
            stage.lanes[0].end_offset_total = 2.0 * f64::from(tick + 1) + 24.0;
            stage.lanes[0].committed_total = done;
            let seen = if is_down(tick) { paused(tick, "", vec![stage]) } else { seen(tick, vec![stage]) };
            decisions.push(one(&mut memory, &seen));
        }
        decisions
    };
    let (troubled, calm) = (run(&|tick| (60..120).contains(&tick)), run(&|_| false));
    let inputs = |decision: &StageDecision| decision.inputs.clone().expect("good data");
    for tick in 60..144 {
        let (troubled, calm) = (inputs(&troubled[tick]), inputs(&calm[tick]));
        assert!((troubled.service_s - calm.service_s).abs() < 1.0, "{tick}: {troubled:?} {calm:?}");
        assert!((troubled.expected - calm.expected).abs() < 1e-6, "{tick}: {troubled:?} {calm:?}");
    }
    assert!(troubled[60..120].iter().all(|decision| decision.replicas == 30));
    assert!(troubled[120].replicas > 30, "what has piled up is worked on: {:?}", troubled[120]);
    assert!(troubled[120..].iter().all(|decision| decision.replicas >= 30), "nobody goes before a window has passed");
}

#[test]
fn a_later_stage_starts_its_workers_while_the_work_is_upstream() {
    let mut memory = Memory::default();
    let mut later = stage(0, 0.0, 1);
    later.stage = "cut".to_owned();
    let mut first = stage(0, 100.0, 1);
    first.workers.starting = vec![Starting { ready_in_s: 10.0 }; 99];
    first.replicas = 100;
    let decision = decide(&Policy::default(), &mut memory, &seen(0, vec![first, later]));
    assert!(decision.stages[1].replicas > 10, "{decision:?}");
    assert!(decision.stages[1].reason.contains("upstream"), "{decision:?}");
}

#[test]
fn the_same_observations_give_the_same_decisions() {
    let run = || {
        let mut memory = Memory::default();
        (0..200)
            .map(|tick| one(&mut memory, &seen(tick, vec![stage(tick, f64::from(tick % 37), 5)])))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is seen, however wrong, the scale stays within the bounds and a reason is given.
    #[test]
    fn decisions_stay_in_bounds(
        lags in prop::collection::vec((-10.0..2000.0_f64, 0..60_u32, 0..40_usize), 1..40),
        min in 0..5_u32,
        max in 5..300_u32,
        slots in 1..8_u32,
    ) {
        let mut memory = Memory::default();
        for (tick, (lag, ready, starting)) in lags.into_iter().enumerate() {
            let mut stage = stage(tick as u32, 0.0, ready);
            stage.lanes[0].end_offset_total = stage.lanes[0].committed_total + lag;
            stage.workers.starting = vec![Starting { ready_in_s: 20.0 }; starting];
            stage.replicas = ready + starting as u32;
            (stage.min_replicas, stage.max_replicas, stage.slots_per_worker) = (min, max, slots);
            let decision = one(&mut memory, &seen(tick as u32, vec![stage]));
            prop_assert!((min..=max).contains(&decision.replicas), "{decision:?}");
            prop_assert!(!decision.reason.is_empty());
        }
    }

    /// Whatever is seen while something is down, good or wrong, the scale stays as it is, within the bounds.
    #[test]
    fn nothing_moves_while_something_is_down(
        ticks in prop::collection::vec((-10.0..2000.0_f64, 0..60_u32, any::<bool>()), 1..60),
        min in 0..5_u32,
        max in 5..300_u32,
    ) {
        let mut memory = Memory::default();
        for (tick, (lag, ready, is_down)) in ticks.into_iter().enumerate() {
            let tick = tick as u32;
            let mut stage = stage(tick, 0.0, ready);
            stage.lanes[0].end_offset_total = stage.lanes[0].committed_total + lag;
            (stage.min_replicas, stage.max_replicas) = (min, max);
            let seen = if is_down { paused(tick, "", vec![stage]) } else { seen(tick, vec![stage]) };
            let decision = one(&mut memory, &seen);
            if is_down {
                prop_assert_eq!(decision.replicas, ready.clamp(min, max), "{:?}", decision);
                prop_assert!(decision.reason.contains("no store"));
            }
        }
    }

    /// More waiting never asks for fewer workers.
    #[test]
    fn more_waiting_never_asks_for_fewer(waiting in 0.0..1000.0_f64, more in 0.0..1000.0_f64, ready in 1..50_u32) {
        let first = one(&mut Memory::default(), &seen(0, vec![stage(0, waiting, ready)]));
        let second = one(&mut Memory::default(), &seen(0, vec![stage(0, waiting + more, ready)]));
        prop_assert!(second.replicas >= first.replicas, "{first:?} {second:?}");
    }
}
