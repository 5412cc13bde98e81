//! What waits in the brokers for each stage, and how that changes.

use std::collections::{BTreeMap, VecDeque};

use pipeline::kafka::lag::{LaneLag, Read};
use pipeline::stage::StageName;

/// Over how long rates are taken, in milliseconds.
const RATES_MS: i64 = 60_000;

/// What waits, as it was last read.
#[derive(Debug, Default)]
pub struct Queues {
    lanes: BTreeMap<StageName, Vec<LaneLag>>,
    /// Earlier reads, oldest first.
    earlier: VecDeque<Earlier>,
    /// Why a stage's queue is not known, by stage.
    pub unknown: BTreeMap<StageName, String>,
    /// When it was read, in milliseconds since the Unix epoch.
    pub read_at_ms: Option<i64>,
    /// Why the last attempt to read came to nothing.
    pub trouble: Option<String>,
}

/// What was read at a moment of the stages whose groups answered.
#[derive(Debug)]
struct Earlier {
    at_ms: i64,
    lanes: BTreeMap<StageName, Vec<LaneLag>>,
}

/// How fast a lane or a partition fills and empties.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rates {
    /// Records that came, each second.
    pub arriving: f64,
    /// Records that were acknowledged, each second.
    pub leaving: f64,
}

impl Rates {
    /// Returns in how long `waiting` records will be done at these rates, in seconds; nothing if they grow.
    pub fn empty_in_s(&self, waiting: i64) -> Option<f64> {
        let shrinking = self.leaving - self.arriving;
        match waiting {
            ..=0 => Some(0.0),
            _ => (shrinking > 0.0).then(|| waiting as f64 / shrinking),
        }
    }
}

impl Queues {
    /// Takes in what was read at `at_ms`; a stage whose group did not answer keeps what was known, and says so.
    pub fn take(&mut self, read: Read, at_ms: i64) {
        self.unknown.clear();
        let mut answered = BTreeMap::new();
        for (stage, lanes) in read {
            match lanes {
                Ok(lanes) => drop(answered.insert(stage, lanes)),
                Err(error) => drop(self.unknown.insert(stage, format!("{error:#}"))),
            }
        }
        self.lanes.extend(answered.clone());
        self.earlier.push_back(Earlier { at_ms, lanes: answered });
        // The oldest that is kept is just beyond the time over which rates are taken.
        while self.earlier.get(1).is_some_and(|second| at_ms - second.at_ms >= RATES_MS) {
            self.earlier.pop_front();
        }
        self.read_at_ms = Some(at_ms);
        self.trouble = None;
    }

    /// Returns the lanes of `stage`, most urgent first; gatherers have one.
    pub fn of(&self, stage: StageName) -> &[LaneLag] {
        self.lanes.get(&stage).map_or(&[], |lanes| lanes)
    }

    /// Says whether the queue of `stage` was seen at the last look.
    pub fn is_seen(&self, stage: StageName) -> bool {
        self.lanes.contains_key(&stage) && !self.unknown.contains_key(&stage)
    }

    /// Returns how many records wait for `stage` or are in its hands.
    pub fn records(&self, stage: StageName) -> i64 {
        self.of(stage).iter().map(waiting).sum()
    }

    /// Returns when the oldest record came that waits for `stage` or is in its hands, in milliseconds since the Unix epoch.
    pub fn oldest_ms(&self, stage: StageName) -> Option<i64> {
        self.of(stage).iter().filter_map(|lane| lane.oldest_ms).min()
    }

    /// Returns how fast a lane of `stage` fills and empties, over the last minute; nothing before there were two reads, and
    /// while its queue is not seen.
    pub fn rates(&self, stage: StageName, lane: usize) -> Option<Rates> {
        self.rates_by(stage, |lanes| lanes.get(lane).map(|lane| (lane.end_total, lane.committed_total)))
    }

    /// Returns the same of one partition of a lane.
    pub fn partition_rates(&self, stage: StageName, lane: usize, partition: i32) -> Option<Rates> {
        self.rates_by(stage, |lanes| {
            let one = lanes.get(lane)?.by_partition.iter().find(|one| one.partition == partition)?;
            Some((one.end, one.committed))
        })
    }

    /// Compares the end and the acknowledged place that `places` finds in the first and the last read.
    fn rates_by(&self, stage: StageName, places: impl Fn(&[LaneLag]) -> Option<(i64, i64)>) -> Option<Rates> {
        let last = self.earlier.back()?;
        let first = self.earlier.iter().find(|earlier| earlier.lanes.contains_key(&stage))?;
        let seconds = (last.at_ms - first.at_ms) as f64 / 1e3;
        let of = |earlier: &Earlier| places(earlier.lanes.get(&stage)?);
        let ((came_before, went_before), (came, went)) = (of(first)?, of(last)?);
        // Topics that were made anew begin again at 0.
        let rate = |now: i64, before: i64| (now - before).max(0) as f64 / seconds;
        (seconds > 0.0).then(|| Rates { arriving: rate(came, came_before), leaving: rate(went, went_before) })
    }
}

/// Returns how many records lie in a lane that nobody has acknowledged.
pub fn waiting(lane: &LaneLag) -> i64 {
    (lane.end_total - lane.committed_total).max(0)
}

#[cfg(test)]
mod tests {
    use pipeline::kafka::lag::PartitionLag;

    use super::*;

    fn read(end_total: i64, committed_total: i64) -> Read {
        let one = PartitionLag { partition: 3, end: end_total, committed: committed_total, oldest_ms: None };
        let lane = LaneLag { partitions: 1, end_total, committed_total, by_partition: vec![one], oldest_ms: None };
        Read::from([(StageName::Cut, Ok(vec![lane]))])
    }

    #[test]
    fn rates_are_of_the_last_minute_and_say_when_it_is_empty() {
        let mut queues = Queues::default();
        queues.take(read(0, 0), 0);
        assert_eq!(queues.rates(StageName::Cut, 0), None);
        for second in 1..=120 {
            // Ten a second came in the first minute, none later; five a second are done.
            queues.take(read(10 * second.min(60), 5 * second), second * 1000);
        }
        let rates = queues.rates(StageName::Cut, 0).unwrap();
        assert_eq!(rates, Rates { arriving: 0.0, leaving: 5.0 });
        assert_eq!(queues.partition_rates(StageName::Cut, 0, 3), Some(rates));
        assert_eq!(queues.partition_rates(StageName::Cut, 0, 2), None);
        assert_eq!((queues.records(StageName::Cut), rates.empty_in_s(100)), (0, Some(20.0)));
        assert_eq!(Rates { arriving: 2.0, leaving: 1.0 }.empty_in_s(1), None);
    }

    #[test]
    fn a_stage_that_does_not_answer_keeps_what_was_known_and_says_so() {
        let mut queues = Queues::default();
        queues.take(read(7, 3), 1000);
        queues.take(Read::from([(StageName::Cut, Err(anyhow::anyhow!("no coordinator")))]), 2000);
        assert_eq!((queues.records(StageName::Cut), queues.unknown.len()), (4, 1));
        assert!(!queues.is_seen(StageName::Cut) && queues.rates(StageName::Cut, 0).is_none());
    }
}
