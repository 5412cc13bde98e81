//! The targets, and whether a run met them.

use serde::{Deserialize, Serialize};

use crate::measures::Measures;
use crate::quantiles::Quantiles;

/// How a run did by one target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As wanted.
    Met,
    /// Not as wanted.
    Missed,
    /// This run cannot tell.
    Open,
}

/// One target and what was measured of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Target {
    /// What is measured.
    pub name: String,
    /// What is wanted, in words.
    pub wanted: String,
    /// What was measured, in words; why not, for one that is open.
    pub measured: String,
    /// How it did.
    pub outcome: Outcome,
}

/// What a run can be judged by beside its measures.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Terms {
    /// Price of a slot for an hour, if one was given.
    pub slot_hour_price: Option<f64>,
    /// The workers were emulated, with the old system's times.
    pub emulated: bool,
}

/// Fewer arrivals say nothing of a rate.
const ENOUGH_FOR_A_RATE: usize = 100;
/// What ingest may take more under uploads, however many, in MiB.
const INGEST_GROWTH_MIB: f64 = 150.0;
/// In how many seconds more slots are to be there.
const CAPACITY_S: f64 = 60.0;

/// Returns every target with its outcome.
pub fn judge(measures: &Measures, terms: Terms) -> Vec<Target> {
    let mut targets = waits(measures);
    targets.extend(failures(measures));
    targets.extend(workers(measures));
    targets.push(cost(measures, terms));
    let growth = measures.ingest_growth_mib;
    targets.push(below("memory of ingest, over that before", growth, INGEST_GROWTH_MIB, "MiB"));
    let elsewhere = "measured with real pictures: docs/memory.md".to_owned();
    targets.push(open("memory of a worker, beside its models", "<= 300 MiB", elsewhere));
    for (name, wanted) in [
        ("throughput on one machine", "2 to 3.5 x the six steps in turn"),
        ("CPU beside the bare work", "<= 1.15 x"),
        ("path through the broker", ">= 80 % of a bare client"),
        ("upload beside a bare server", ">= 80 %"),
    ] {
        targets.push(open(name, wanted, "measured by `spillway bench`".to_owned()));
    }
    targets
}

/// Says whether no target was missed.
pub fn is_met(targets: &[Target]) -> bool {
    targets.iter().all(|target| target.outcome != Outcome::Missed)
}

fn waits(measures: &Measures) -> Vec<Target> {
    let pick = |all: Option<Quantiles>, of: fn(Quantiles) -> f64| all.map(of);
    let work = measures.processing;
    let mut targets =
        vec![below("accepted, p99 from the planned moment", pick(measures.acceptance, |q| q.p99), 1.0, "s")];
    targets.extend(queue_waits(measures));
    targets.push(below("processing, p50", pick(work, |q| q.p50), 180.0, "s"));
    targets.push(below("processing, p95", pick(work, |q| q.p95), 300.0, "s"));
    targets
}

fn queue_waits(measures: &Measures) -> [Target; 2] {
    let wait = measures.queue_wait;
    [
        below("queue wait to the first segment, p50", wait.map(|q| q.p50), 30.0, "s"),
        below("queue wait to the first segment, p95", wait.map(|q| q.p95), 120.0, "s"),
    ]
}

fn failures(measures: &Measures) -> Vec<Target> {
    let planned = measures.planned.max(1) as f64;
    let errors = measures.refused + measures.unsent + measures.not_done;
    let none = |name: &str, count: usize| Target {
        name: name.to_owned(),
        wanted: "0".to_owned(),
        measured: count.to_string(),
        outcome: if count == 0 { Outcome::Met } else { Outcome::Missed },
    };
    let completed = 100.0 * measures.done as f64 / planned;
    let rate = match measures.rate_per_hour {
        Some(rate) if measures.planned >= ENOUGH_FOR_A_RATE => above("videos an hour", Some(rate), 500.0, ""),
        _ => open("videos an hour", "> 500", format!("only {} arrivals", measures.planned)),
    };
    vec![
        below("errors, of all arrivals", Some(100.0 * errors as f64 / planned), 1.0, "%"),
        above("completed, of all arrivals", Some(completed), 95.0, "%"),
        none("accepted and lost", measures.lost),
        none("told twice", measures.duplicates),
        rate,
    ]
}

fn workers(measures: &Measures) -> [Target; 3] {
    let decision = below("first decision for more, from the first arrival", measures.decision_s, 10.0, "s");
    let decision = match measures.undecided_s {
        // More were needed if what there was left people waiting.
        Some(looked_s) if !is_met(&queue_waits(measures)) => missed(decision, format!("none in {looked_s:.0} s")),
        Some(_) => Target { measured: "there was none, and nobody waited too long".to_owned(), ..decision },
        None => decision,
    };
    let capacity = below("capacity, from that decision", measures.capacity_s, CAPACITY_S, "s");
    let capacity = match measures.unreached_s {
        Some(looked_s) if looked_s >= CAPACITY_S => missed(capacity, format!("not there after {looked_s:.0} s")),
        Some(looked_s) => Target { measured: format!("all had ended {looked_s:.0} s after it"), ..capacity },
        None => capacity,
    };
    [above("use of workers while loaded", measures.used.map(|used| used * 100.0), 70.0, "%"), decision, capacity]
}

fn cost(measures: &Measures, terms: Terms) -> Target {
    let name = "cost a video";
    let why = match terms {
        Terms { slot_hour_price: None, .. } => "no --slot-hour-price was given",
        Terms { emulated: true, .. } => "emulated workers take the old system's times, and cost what it cost",
        Terms { .. } => "",
    };
    let a_video = || {
        let hours = measures.slot_hours.filter(|_| measures.done > 0)?;
        Some(terms.slot_hour_price? * hours / measures.done as f64)
    };
    match a_video() {
        Some(cost) if terms.emulated => open(name, "< $0.05", format!("${cost:.3}, not judged: {why}")),
        Some(cost) => Target {
            name: name.to_owned(),
            wanted: "< $0.05".to_owned(),
            measured: format!("${cost:.3}"),
            outcome: if cost < 0.05 { Outcome::Met } else { Outcome::Missed },
        },
        None if why.is_empty() => open(name, "< $0.05", "nothing was heard of workers".to_owned()),
        None => open(name, "< $0.05", why.to_owned()),
    }
}

fn below(name: &str, measured: Option<f64>, limit: f64, unit: &str) -> Target {
    compared(name, measured, &format!("< {limit} {unit}"), unit, |measured| measured < limit)
}

fn above(name: &str, measured: Option<f64>, limit: f64, unit: &str) -> Target {
    compared(name, measured, &format!("> {limit} {unit}"), unit, |measured| measured > limit)
}

fn compared(name: &str, measured: Option<f64>, wanted: &str, unit: &str, is_met: impl Fn(f64) -> bool) -> Target {
    let Some(value) = measured else { return open(name, wanted, "nothing was seen of it".to_owned()) };
    let digits = if value.abs() < 10.0 { 2 } else { 1 };
    Target {
        name: name.to_owned(),
        wanted: wanted.trim().to_owned(),
        measured: format!("{value:.digits$} {unit}").trim().to_owned(),
        outcome: if is_met(value) { Outcome::Met } else { Outcome::Missed },
    }
}

fn missed(target: Target, measured: String) -> Target {
    Target { measured, outcome: Outcome::Missed, ..target }
}

fn open(name: &str, wanted: &str, why: String) -> Target {
    Target { name: name.to_owned(), wanted: wanted.trim().to_owned(), measured: why, outcome: Outcome::Open }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Measures {
        let times = |p99: f64| Some(Quantiles { count: 100, p50: p99 / 4.0, p95: p99 / 2.0, p99, max: p99 });
        Measures {
            planned: 100,
            accepted: 100,
            done: 100,
            acceptance: times(0.9),
            queue_wait: times(100.0),
            processing: times(400.0),
            rate_per_hour: Some(900.0),
            used: Some(0.8),
            slot_hours: Some(4.0),
            decision_s: Some(5.0),
            capacity_s: Some(50.0),
            ..Measures::default()
        }
    }

    #[track_caller]
    fn check(measures: Measures, terms: Terms, missed: &[&str]) {
        let targets = judge(&measures, terms);
        let names: Vec<&str> =
            targets.iter().filter(|t| t.outcome == Outcome::Missed).map(|t| t.name.as_str()).collect();
        assert_eq!(names, missed);
        assert_eq!(is_met(&targets), missed.is_empty());
    }

    #[test]
    fn each_target_is_missed_by_its_own_number() {
        let priced = Terms { slot_hour_price: Some(1.0), emulated: false };
        check(good(), priced, &[]);
        check(Measures { lost: 1, ..good() }, priced, &["accepted and lost"]);
        check(Measures { duplicates: 2, ..good() }, priced, &["told twice"]);
        check(Measures { used: Some(0.7), ..good() }, priced, &["use of workers while loaded"]);
        check(Measures { rate_per_hour: Some(499.0), ..good() }, priced, &["videos an hour"]);
        check(Measures { slot_hours: Some(5.0), ..good() }, priced, &["cost a video"]);
        let growing = Measures { ingest_growth_mib: Some(151.0), ..good() };
        check(growing, priced, &["memory of ingest, over that before"]);
        let refused = Measures { refused: 6, done: 94, accepted: 94, ..good() };
        check(refused, priced, &["errors, of all arrivals", "completed, of all arrivals"]);
    }

    #[test]
    fn slots_that_never_come_are_a_miss() {
        let never = |unreached_s| Measures { capacity_s: None, unreached_s: Some(unreached_s), ..good() };
        check(never(300.0), Terms::default(), &["capacity, from that decision"]);
        check(never(40.0), Terms::default(), &[]);
        let undecided = Measures { decision_s: None, capacity_s: None, undecided_s: Some(300.0), ..good() };
        check(undecided.clone(), Terms::default(), &[]);
        let queue_wait = undecided.queue_wait.map(|wait| Quantiles { p95: 130.0, ..wait });
        let waits = ["queue wait to the first segment, p95", "first decision for more, from the first arrival"];
        check(Measures { queue_wait, ..undecided }, Terms::default(), &waits);
    }

    #[test]
    fn what_cannot_be_told_is_open_and_no_miss() {
        let little = Measures { planned: 10, done: 10, rate_per_hour: Some(1.0), ..Measures::default() };
        check(little, Terms::default(), &[]);
        check(
            Measures { slot_hours: Some(500.0), ..good() },
            Terms { slot_hour_price: Some(1.0), emulated: true },
            &[],
        );
    }
}
