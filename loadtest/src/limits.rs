//! How near each resource was to its end while the load lasted: what to look at when a target is missed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fleet::{Fleet, WORK};
use crate::machine::Machine;

/// A resource counts as the limit from this share on.
const FULL: f64 = 0.9;
/// At its end in such a share of the looks is often: a peak with a long tail is short beside it.
const OFTEN: f64 = 0.1;
/// So many records that wait for the one who writes the log are seconds of delay.
const STORE_BEHIND: f64 = 1_000.0;
/// Slots that idle in such a share while work waits do not get at it.
const IDLE: f64 = 0.2;

/// One resource.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Limit {
    /// Its name.
    pub resource: String,
    /// Whether it was at its end.
    pub reached: bool,
    /// What was seen, with numbers.
    pub seen: String,
}

/// Looks at every resource of what was seen from `from_ms` to `to_ms`.
pub fn limits(
    (from_ms, to_ms): (i64, i64),
    machine: &[Machine],
    cores: usize,
    fleets: &[Fleet],
    max_workers: Option<u32>,
) -> Vec<Limit> {
    let machine: Vec<&Machine> = machine.iter().filter(|seen| (from_ms..=to_ms).contains(&seen.at_ms)).collect();
    let fleets: Vec<&Fleet> = fleets.iter().filter(|seen| (from_ms..=to_ms).contains(&seen.at_ms)).collect();
    let mut limits = Vec::new();
    if !machine.is_empty() {
        limits.extend(cpu(&machine, cores));
    }
    if !fleets.is_empty() {
        limits.push(store(&fleets));
        limits.push(workers(&fleets, max_workers));
        limits.push(partitions(&fleets));
    }
    limits
}

fn limit(resource: &str, reached: bool, seen: String) -> Limit {
    Limit { resource: resource.to_owned(), reached, seen }
}

fn cpu(machine: &[&Machine], cores: usize) -> [Limit; 2] {
    let count = machine.len() as f64;
    let busy = machine.iter().map(|seen| seen.busy_cores).sum::<f64>() / count;
    let mut roles: BTreeMap<&str, f64> = BTreeMap::new();
    for (role, used) in machine.iter().flat_map(|seen| &seen.roles) {
        *roles.entry(role).or_default() += used / count;
    }
    let full = machine.iter().filter(|seen| seen.busy_cores >= FULL * cores as f64).count() as f64 / count;
    let mut by_use: Vec<(&str, f64)> = roles.iter().map(|(role, used)| (*role, *used)).collect();
    by_use.sort_by(|a, b| b.1.total_cmp(&a.1));
    let named: Vec<String> = by_use.iter().take(6).map(|(role, used)| format!("{role} {used:.2}")).collect();
    let ours: f64 = roles.values().sum();
    let seen = format!(
        "{busy:.2} of {cores} cores busy on average, all of them in {:.0} % of the seconds; {}, others {:.2}",
        full * 100.0,
        named.join(", "),
        (busy - ours).max(0.0)
    );
    let broker = roles.get("broker").copied().unwrap_or(0.0);
    let of_broker = format!("{broker:.2} cores of {cores}");
    [limit("CPU of this machine", full >= OFTEN, seen), limit("broker", broker >= 0.5 * cores as f64, of_broker)]
}

/// The gatherers write to the store and do little else: what waits for them waits for the store.
fn store(fleets: &[&Fleet]) -> Limit {
    let behind = |fleet: &&Fleet| {
        let waiting = |stage: &str| match fleet.lag.get(stage) {
            Some(lanes) => lanes.values().sum(),
            None => fleet.stages.get(stage).map_or(0.0, |workers| f64::from(workers.queued)),
        };
        ["join", "deliver", "record"].map(waiting).iter().sum::<f64>()
    };
    let mean = fleets.iter().map(behind).sum::<f64>() / fleets.len() as f64;
    let most = fleets.iter().map(behind).fold(0.0, f64::max);
    let seen = format!("{mean:.0} records waited for join, deliver and record on average, {most:.0} at the most");
    limit("store and gathering", mean >= STORE_BEHIND, seen)
}

fn workers(fleets: &[&Fleet], max_workers: Option<u32>) -> Limit {
    let slots = |fleet: &&Fleet| -> u32 {
        WORK.iter().filter_map(|stage| fleet.stages.get(stage.as_str())).map(|workers| workers.slots).sum()
    };
    let most = fleets.iter().map(slots).max().unwrap_or(0);
    let bound = |fleet: &&&Fleet| {
        let wanted = WORK.iter().filter_map(|stage| fleet.wanted.get(stage.as_str()));
        max_workers.is_some_and(|max| wanted.copied().max().unwrap_or(0) >= max)
    };
    let share = fleets.iter().filter(bound).count() as f64 / fleets.len() as f64;
    let bounded = match max_workers {
        Some(max) => format!("; some stage was to have all of {max} in {:.0} % of the looks", share * 100.0),
        None => String::new(),
    };
    limit("workers", share >= OFTEN, format!("{most} slots at the most{bounded}"))
}

/// Slots that idle while work of their stage waits cannot get at it: too few partitions, or records come too slowly.
fn partitions(fleets: &[&Fleet]) -> Limit {
    let (mut idle, mut slots) = (0.0, 0.0);
    for fleet in fleets {
        for workers in WORK.iter().filter_map(|stage| fleet.stages.get(stage.as_str())) {
            if workers.queued > 0 {
                idle += f64::from(workers.slots.saturating_sub(workers.busy));
                slots += f64::from(workers.slots);
            }
        }
    }
    let share = if slots > 0.0 { idle / slots } else { 0.0 };
    let seen = format!("{:.0} % of the slots had nothing in hand while work of their stage waited", share * 100.0);
    limit("partitions and passing on", share >= IDLE, seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Workers;

    fn machine(at_ms: i64, busy_cores: f64, broker: f64) -> Machine {
        let roles = BTreeMap::from([("broker".to_owned(), broker)]);
        Machine { at_ms, busy_cores, roles, memory_mib: BTreeMap::new() }
    }

    fn fleet(at_ms: i64, stage: &str, workers: Workers, wanted: u32) -> Fleet {
        let (stages, wanted) = (BTreeMap::from([(stage.to_owned(), workers)]), [("cut".to_owned(), wanted)].into());
        Fleet { at_ms, stages, wanted, lag: BTreeMap::new() }
    }

    #[track_caller]
    fn check(machine: &[Machine], fleets: &[Fleet], reached: &[&str]) {
        let limits = limits((0, 10), machine, 2, fleets, Some(40));
        let names: Vec<&str> = limits.iter().filter(|l| l.reached).map(|l| l.resource.as_str()).collect();
        assert_eq!(names, reached, "{limits:?}");
    }

    #[test]
    fn what_is_full_is_named() {
        let workers = |slots, busy, queued| Workers { slots, busy, queued, starting: 0 };
        check(&[machine(1, 0.5, 0.2), machine(99, 2.0, 2.0)], &[], &[]);
        check(&[machine(1, 1.9, 0.4)], &[], &["CPU of this machine"]);
        let peak_and_tail: Vec<Machine> =
            (0..10).map(|at_ms| machine(at_ms, if at_ms < 2 { 1.9 } else { 0.1 }, 0.1)).collect();
        check(&peak_and_tail, &[], &["CPU of this machine"]);
        check(&[machine(1, 1.2, 1.1)], &[], &["broker"]);
        check(&[], &[fleet(1, "record", workers(1, 1, 5000), 1)], &["store and gathering"]);
        check(&[], &[fleet(1, "cut", workers(40, 40, 9), 40)], &["workers"]);
        check(&[], &[fleet(1, "cut", workers(10, 4, 9), 10)], &["partitions and passing on"]);
    }
}
