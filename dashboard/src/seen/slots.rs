//! Slots that took work, minute by minute: what is paid for, busy or not. A minute that this dashboard did not watch is known
//! by what the autoscaler told of it.

use std::collections::BTreeMap;

use planning::record::Recorded;

/// How far back minutes are kept, in milliseconds: the hours that are told, the first of them whole.
pub const KEPT_MS: i64 = 25 * 3_600_000;
const MINUTE_MS: i64 = 60_000;
/// The share of a time that must be known to say what its slots come to.
const KNOWN: f64 = 0.9;

/// Slots that took work, by minute.
#[derive(Debug, Default)]
pub struct Slots {
    minutes: BTreeMap<i64, Minute>,
}

/// What was seen within one minute.
#[derive(Clone, Copy, Debug, Default)]
struct Minute {
    watched: Mean,
    told: Mean,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    total: f64,
    looks: u32,
}

impl Slots {
    /// Notes how many there were when this dashboard looked.
    pub fn watched(&mut self, at_ms: i64, ready: u32) {
        self.minute(at_ms).watched.add(f64::from(ready));
    }

    /// Notes how many there were by what the autoscaler saw at a tick.
    pub fn told(&mut self, at_ms: i64, recorded: &Recorded) {
        let stages = recorded.seen.stages.iter();
        let ready = stages.map(|stage| f64::from(stage.workers.ready) * f64::from(stage.slots_per_worker.max(1)));
        let ready: f64 = ready.sum();
        self.minute(at_ms).told.add(ready);
    }

    /// Says whether something is known of the minute in which `at_ms` lies.
    pub fn is_known(&self, at_ms: i64) -> bool {
        self.minutes.contains_key(&at_ms.div_euclid(MINUTE_MS))
    }

    /// Returns when the first minute begins of which something is known, in milliseconds since the Unix epoch.
    pub fn since_ms(&self) -> Option<i64> {
        self.minutes.keys().next().map(|minute| minute * MINUTE_MS)
    }

    /// Forgets what is too old.
    pub fn forget(&mut self, now_ms: i64) {
        self.minutes = self.minutes.split_off(&(now_ms - KEPT_MS).div_euclid(MINUTE_MS));
    }

    /// Returns the time of slots between two moments, in slot-seconds; nothing if too little of it is known.
    pub fn paid_s(&self, from_ms: i64, until_ms: i64) -> Option<f64> {
        let first = from_ms.div_euclid(MINUTE_MS);
        let wanted = ((until_ms - from_ms) as f64 / MINUTE_MS as f64).max(1.0);
        let means: Vec<f64> = self
            .minutes
            .range(first..)
            .take_while(|(minute, _)| **minute * MINUTE_MS < until_ms)
            .filter_map(|(_, minute)| minute.watched.value().or(minute.told.value()))
            .collect();
        let is_known = means.len() as f64 >= KNOWN * wanted;
        is_known.then(|| means.iter().sum::<f64>() / means.len() as f64 * (until_ms - from_ms) as f64 / 1e3)
    }

    fn minute(&mut self, at_ms: i64) -> &mut Minute {
        self.minutes.entry(at_ms.div_euclid(MINUTE_MS)).or_default()
    }
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.total += value;
        self.looks += 1;
    }

    fn value(self) -> Option<f64> {
        (self.looks > 0).then(|| self.total / f64::from(self.looks))
    }
}

#[cfg(test)]
mod tests {
    use planning::observation::{Stage, Workers};

    use super::*;
    use crate::seen::scaling::made;

    fn tick(ready: u32) -> Recorded {
        let workers = Workers { ready, ..Workers::default() };
        let of = |name| Stage { workers: workers.clone(), slots_per_worker: 4, ..made::stage(name) };
        made::tick([of("fetch"), of("cut")], [])
    }

    #[test]
    fn a_minute_that_was_not_watched_is_known_by_the_autoscaler_and_else_not_at_all() {
        let mut slots = Slots::default();
        for second in 0..600 {
            let at_ms = second * 1000;
            // The autoscaler counts workers of four slots, and is heard for eight minutes.
            if second < 480 {
                slots.told(at_ms, &tick(1));
            }
            if second < 60 {
                slots.watched(at_ms, 2);
            }
        }
        assert_eq!(slots.paid_s(0, 60_000), Some(120.0));
        assert_eq!(slots.paid_s(60_000, 480_000), Some(7.0 * 60.0 * 8.0));
        assert_eq!(slots.paid_s(0, 600_000), None, "two of ten minutes are not known");
        assert_eq!([479_999, 480_000].map(|at_ms| slots.is_known(at_ms)), [true, false]);
        slots.forget(KEPT_MS + 180_000);
        assert_eq!((slots.paid_s(0, 180_000), slots.paid_s(180_000, 240_000)), (None, Some(480.0)));
        assert_eq!(slots.since_ms(), Some(180_000));
    }
}
