use std::sync::Arc;

use planning::decision::StageDecision;
use planning::measure::LaneCost;
use planning::observation::{Lane, Observation, Stage};
use planning::record::Recorded;

use super::*;
use crate::seen::scaling::made;

fn tick(at_ms: i64, scales: &[(&str, u32)]) -> Tick {
    let reason = match scales {
        [("cut", 4)] => "up 1 -> 4: the queue grows",
        _ => "another reason",
    };
    let decided = scales.iter().map(|(stage, replicas)| made::decided(stage, *replicas));
    let decided: Vec<_> = decided.map(|decided| StageDecision { reason: reason.to_owned(), ..decided }).collect();
    Tick { at_ms, recorded: Arc::new(made::tick([], decided)), keda: Arc::default() }
}

#[test]
fn what_changed_is_told_newest_first_and_a_stage_that_was_not_seen_changes_nothing() {
    let ticks = [
        tick(0, &[("cut", 1), ("fetch", 1)]),
        tick(5000, &[("cut", 4)]),
        tick(10_000, &[("cut", 4), ("fetch", 2)]),
        tick(15_000, &[("cut", 2), ("fetch", 3)]),
    ];
    let newest_first: Vec<&Tick> = ticks.iter().rev().collect();
    let told = |stage, most| {
        let changes = newest(&newest_first, stage, Which::Changes, most);
        changes
            .into_iter()
            .map(|change| (change.at_ms / 1000, change.stage, change.from, change.to))
            .collect::<Vec<_>>()
    };
    let cut = |at, from, to| (at, "cut".to_owned(), from, to);
    assert_eq!(told(None, 9), [cut(15, 4, 2), (15, "fetch".to_owned(), 2, 3), cut(5, 1, 4)]);
    assert_eq!(told(Some("cut"), 1), [cut(15, 4, 2)]);
    let all = newest(&newest_first, Some("cut"), Which::All, 9);
    let [_, stays, up] = &all[..] else { panic!("three decisions") };
    assert_eq!((up.why(), stays.why()), ("the queue grows", "another reason"));
    let all: Vec<String> = all.iter().map(Change::told).collect();
    assert_eq!(all, ["cut 4 → 2", "cut stays at 4", "cut 1 → 4"]);
    // A page ends with a whole tick, so that the next one misses nothing.
    assert_eq!(newest(&newest_first, None, Which::All, 1).len(), 2);
}

#[test]
fn a_decision_tells_within_what_it_was_made_and_what_keda_would_have_had() {
    let lane = Lane {
        lane: "batch".to_owned(),
        end_offset_total: 9.0,
        committed_total: 5.0,
        head_age_s: 70.0,
        ..Lane::default()
    };
    let stage = Stage {
        lanes: vec![lane],
        min_replicas: 1,
        max_replicas: 40,
        wait_slo_s: 120.0,
        quota_left: Some(300.0),
        cost_per_worker_hour: Some(0.045),
        ..made::stage("cut")
    };
    let pin = Pin { max: Some(8), ..Pin::default() };
    let seen = Observation {
        stages: vec![stage],
        budget_per_hour: Some(2.5),
        pins: [("cut".to_owned(), pin)].into(),
        ..Observation::default()
    };
    let cost = LaneCost { service_s: 30.0, ..LaneCost::default() };
    let lanes = vec![InLane { lane: "batch".to_owned(), cost }];
    let inputs = Inputs { record_variation: Some(0.5), lanes, ..Inputs::default() };
    let decided = |replicas, inputs| {
        let decided = StageDecision { inputs, ..made::decided("cut", replicas) };
        let recorded = Arc::new(Recorded { seen: seen.clone(), decided: vec![decided], policy: None });
        Tick { at_ms: 0, recorded, keda: Arc::from([Keda { default: 5, tuned: 6 }]) }
    };
    let change = newest(&[&decided(3, Some(inputs)), &decided(1, None)], None, Which::Changes, 9).remove(0);
    let facts = change.facts();
    for (name, value) in [
        ("how that varies, variance over the square of the mean", "0.5"),
        ("a record of batch", "30 s"),
        ("workers it may have", "1 to 40"),
        ("pin", "max:8"),
        ("budget for all workers, an hour", "$2.50"),
        ("units that an outside service still allowed", "300"),
        ("longest wait there may be", "2 min 0 s"),
        ("waited or in work, batch", "4, the oldest for 1 min 10 s"),
        ("workers KEDA would have had", "5 by default, 6 tuned"),
    ] {
        assert!(facts.contains(&(name.to_owned(), value.to_owned())), "{name}: {facts:?}");
    }
    let told = serde_json::to_value(&change).unwrap();
    assert_eq!(told["within"]["pin"], serde_json::json!({"max": 8}));
    assert_eq!((&told["within"]["budget_per_hour"], &told["keda"]["default"]), (&2.5.into(), &5.into()));
    // Where the data was bad there was still a bound, and a rival.
    let held = newest(&[&decided(3, None), &decided(1, None)], None, Which::Changes, 9).remove(0);
    assert!(held.facts().contains(&("pin".to_owned(), "max:8".to_owned())));
}
