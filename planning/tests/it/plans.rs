//! Plans: what they promise of their inputs, and the form in which they are told.

use planning::plan::answer::{Answer, answer};
use planning::plan::arrivals::Arrivals;
use planning::plan::runs::Effort;
use planning::plan::runs::Scaling;
use planning::plan::scenario::Scenario;
use serde_json::Value;

/// Two hours of little load: enough for all that is told.
fn small() -> Scenario {
    let counts: String =
        (0..120).map(|minute| format!("{},{}\n", minute * 60, if minute == 70 { 30 } else { 1 })).collect();
    let arrivals = Arrivals::parse(&format!("seconds,arrivals\n{counts}"), None).expect("a trace");
    Scenario { name: "small".to_owned(), arrivals, ..Scenario::of_users(0, 0) }
}

fn answered(scenario: &Scenario) -> Answer {
    answer(scenario, &Effort::all(2)).expect("nobody stops it")
}

#[test]
fn a_plan_is_the_same_each_time_and_its_form_is_kept() {
    let told = serde_json::to_value(answered(&small())).unwrap();
    assert_eq!(told, serde_json::to_value(answered(&small())).unwrap());
    // Numbers depend on the policy; which there are does not.
    insta::assert_json_snapshot!(without_numbers(told));
}

fn without_numbers(value: Value) -> Value {
    match value {
        Value::Number(_) => Value::from(0),
        Value::Array(values) => values.into_iter().map(without_numbers).collect(),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, without_numbers(value))).collect())
        }
        // Sentences and order tell of numbers too.
        Value::String(text) if text.len() > 40 => Value::from("a sentence"),
        other => other,
    }
}

#[test]
fn the_first_limit_to_break_is_the_one_that_is_short() {
    let mut scenario = small();
    scenario.limits.partitions = 400;
    #[track_caller]
    fn check(scenario: &Scenario, what: &str) {
        let first = &answered(scenario).breaking[0];
        assert!(first.what.starts_with(what) && first.days == Some(0.0), "{first:?}");
    }
    scenario.limits.max_workers = 2;
    check(&scenario, "workers");
    scenario.limits.max_workers = 400;
    scenario.limits.partitions = 1;
    check(&scenario, "partitions");
    scenario.limits.partitions = 400;
    scenario.limits.budget_per_month = Some(1.0);
    check(&scenario, "budget");
    scenario.limits.budget_per_month = None;
    scenario.limits.broker_disk_gb = 1e-3;
    check(&scenario, "brokers' disk");
    scenario.limits.broker_disk_gb = 1e9;
    scenario.limits.quota_per_hour = Some(10.0);
    check(&scenario, "outside quota");
}

#[test]
fn what_costs_twice_is_billed_twice_and_the_old_system_by_the_video() {
    let mut scenario = small();
    let bill = |scenario: &Scenario, scaling: Scaling| {
        let answer = answered(scenario);
        answer.rivals.iter().find(|rival| rival.scaling == scaling).map(|rival| rival.bill).unwrap()
    };
    let once = bill(&scenario, Scaling::Spillway);
    assert!((once.workers + once.base + once.storage - once.per_month).abs() < 1e-6, "{once:?}");
    assert_eq!(bill(&scenario, Scaling::Old).per_video, 0.10);
    scenario.prices.worker_hour *= 2.0;
    let twice = bill(&scenario, Scaling::Spillway);
    assert!((twice.workers / once.workers - 2.0).abs() < 1e-9 && twice.base == once.base, "{twice:?}");
}
