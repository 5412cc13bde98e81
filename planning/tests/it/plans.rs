//! Plans: what they promise of their inputs, and the form in which they are told.

use planning::plan::answer::{Answer, answer};
use planning::plan::arrivals::Arrivals;
use planning::plan::breaking::{Breaking, find};
use planning::plan::carrying::Carries;
use planning::plan::runs::{Effort, Job, Scaling, Span, run_all};
use planning::plan::scenario::Scenario;
use serde_json::Value;

/// Five quarters of an hour of little load and short videos: enough for all that is told.
fn small() -> Scenario {
    let counts: String =
        (0..75).map(|minute| format!("{},{}\n", minute * 60, if minute == 30 { 30 } else { 1 })).collect();
    let arrivals = Arrivals::parse(&format!("seconds,arrivals\n{counts}"), None).expect("a trace");
    let mut scenario = Scenario { name: "small".to_owned(), arrivals, ..Scenario::of_users(0, 0) };
    scenario.mix.lengths = vec![(60.0, 2.0), (180.0, 4.0)];
    scenario
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
    let effort = Effort::all(2);
    // What is used without limits is the same whatever they are, and so is the bill where none is in the way.
    let open = Scenario { limits: scenario.limits.open(), ..scenario.clone() };
    let peak = Job { scaling: Scaling::Spillway, seed: 1, span: Span::Peak };
    let unlimited = run_all(&open, &[peak], &effort).expect("nobody stops it");
    let per_month = answered(&scenario).rivals[0].bill.per_month;
    let check = |scenario: &Scenario, what: &str| {
        let first = &find(scenario, &unlimited, per_month, &effort).expect("nobody stops it")[0];
        assert!(first.what.starts_with(what) && first.days == Some(0.0), "{what}: {first:?}");
    };
    scenario.limits.max_workers = 2;
    check(&scenario, "workers");
    scenario.limits.max_workers = 400;
    scenario.limits.partitions = 1;
    check(&scenario, "partitions");
    scenario.limits.partitions = 400;
    scenario.limits.budget_per_month = Some(1.0);
    check(&scenario, "budget for a month");
    scenario.limits.budget_per_month = None;
    scenario.limits.budget_per_hour = Some(0.3);
    check(&scenario, "budget for an hour");
    scenario.limits.budget_per_hour = None;
    scenario.limits.broker_disk_gb = 1e-3;
    check(&scenario, "brokers' disk");
    scenario.limits.broker_disk_gb = 1e9;
    scenario.limits.quota_per_hour = Some(10.0);
    check(&scenario, "outside quota");
}

/// Returns what is said of the limit called `what`.
fn limit(answer: &Answer, what: &str) -> Breaking {
    answer.breaking.iter().find(|breaking| breaking.what.starts_with(what)).expect("a limit").clone()
}

#[test]
fn a_limit_breaks_at_the_load_at_which_it_alone_makes_waits_miss_their_target() {
    let mut scenario = small();
    scenario.limits.partitions = 400;
    scenario.limits.max_workers = 12;
    let workers = limit(&answered(&scenario), "workers");
    let Some(Carries::UpTo(times)) = workers.carries else { panic!("{workers:?}") };
    let days = workers.days.expect("it grows");
    assert!((1.2f64.powf(days / 30.44) - times.max(1.0)).abs() < 0.01, "{workers:?}");
    // What is somewhat more than that is too much, and what is somewhat less is not.
    let again = |times: f64| limit(&answered(&scenario.times(times)), "workers").days;
    assert_eq!(again(1.2 * times), Some(0.0));
    assert!(again(0.8 * times).is_none_or(|days| days > 0.0));
}

#[test]
fn less_than_would_be_asked_for_may_be_enough() {
    let mut scenario = small();
    let plenty = limit(&answered(&scenario), "workers");
    assert!(plenty.days.is_none_or(|days| days > 0.0), "{plenty:?}");
    // As much as a third less, and waits keep their target all the same.
    scenario.limits.max_workers = (plenty.used * 0.67).floor() as u32;
    let fewer = limit(&answered(&scenario), "workers");
    assert!(fewer.used > f64::from(scenario.limits.max_workers), "{fewer:?}");
    assert!(fewer.days.is_none_or(|days| days > 0.0), "{fewer:?}");
}

#[test]
fn what_would_be_without_limits_has_no_budget_either() {
    let mut scenario = small();
    let unlimited = answered(&scenario).unlimited_wait_p95_s;
    scenario.limits.budget_per_hour = Some(0.3);
    let held = answered(&scenario);
    assert_eq!(held.unlimited_wait_p95_s, unlimited);
    assert!(held.rivals[0].queue_wait_p95_s.mid > 2.0 * unlimited.mid, "{:?}", held.rivals[0].queue_wait_p95_s);
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
