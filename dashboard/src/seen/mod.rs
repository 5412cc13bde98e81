//! What happens, as the brokers tell it and as far as they are heard ([`hearing`]): who works ([`workers`]), what becomes of videos ([`traffic`]), what waits
//! ([`queues`]), what was given up ([`letters`]), what the autoscaler decides ([`scaling`]), how the service is ([`service`]), and all that over time
//! ([`history`], [`slots`]). [`listen`] keeps it up to date, `recall` brings back what was before. Nothing here is kept over a restart: topics are read again.

pub mod hearing;
pub mod history;
pub mod letters;
pub mod listen;
pub mod queues;
mod recall;
pub mod scaling;
pub mod service;
pub mod slots;
pub mod traffic;
pub mod workers;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use planning::cost::Prices;
use planning::stages::STAGES;
use tokio::sync::watch;

use crate::args::DashboardArgs;
use hearing::Hearing;
use history::History;
use letters::Letters;
use queues::Queues;
use scaling::Scaling;
use service::Service;
use slots::Slots;
use traffic::Traffic;
use workers::Workers;

/// A minute, in milliseconds.
pub const MINUTE_MS: i64 = 60_000;
/// An hour, in milliseconds.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Data older than this is not shown as if it were new, in milliseconds.
pub const FRESH_MS: i64 = 10_000;

/// All that is known now.
#[derive(Debug, Default)]
pub struct State {
    /// How well the topics are heard from which most of this is known.
    pub hearing: Hearing,
    /// Who works.
    pub workers: Workers,
    /// What becomes of videos.
    pub traffic: Traffic,
    /// What waits.
    pub queues: Queues,
    /// What was given up.
    pub letters: Letters,
    /// What the autoscaler sees and decides.
    pub scaling: Scaling,
    /// How the service is.
    pub service: Service,
    /// All that over time.
    pub history: History,
    /// Slots that took work, by minute.
    pub slots: Slots,
}

impl State {
    /// Returns how old what is known is, in milliseconds: since the last look at the queues, or since a process of the
    /// service was last heard, whichever is longer ago; nothing before the first look.
    pub fn age_ms(&self, now: Timestamp) -> Option<i64> {
        let read_at_ms = self.queues.read_at_ms?;
        // Each of them speaks once in several seconds: what is not late is not old.
        let late = self.hearing.last_word_ms().filter(|word_ms| now.as_millisecond() - word_ms > FRESH_MS);
        Some(now.as_millisecond() - late.map_or(read_at_ms, |word_ms| word_ms.min(read_at_ms)))
    }

    /// Says why what is known is not how it is at `now`, if it is not.
    pub fn stale(&self, now: Timestamp) -> Option<String> {
        let is_old = self.queues.read_at_ms.is_none_or(|read_ms| now.as_millisecond() - read_ms > FRESH_MS);
        if is_old {
            let trouble = self.queues.trouble.as_ref();
            return Some(trouble.map_or_else(
                || "the queues are not seen".to_owned(),
                |trouble| format!("the brokers do not answer: {trouble}"),
            ));
        }
        self.hearing.gap(now.as_millisecond())
    }

    /// Returns when the oldest record came that waits for `stage` and that nobody has begun, in milliseconds since the Unix
    /// epoch. What lies longest in the brokers is no answer: it may be in somebody's hands.
    pub fn waits_since_ms(&self, stage: StageName) -> Option<i64> {
        self.workers.oldest_fetched_ms(stage).unwrap_or_else(|| self.queues.oldest_ms(stage))
    }

    /// Returns how many records wait in each lane, most urgent first, of all stages that work: neither acknowledged nor in
    /// somebody's hands. Nothing while a queue is not seen.
    pub fn waiting_by_lane(&self) -> Option<[i64; Lane::ALL.len()]> {
        let mut waiting = [0; Lane::ALL.len()];
        for stage in STAGES {
            if !self.queues.is_seen(stage) {
                return None;
            }
            let in_hand = self.workers.in_hand_by_lane(stage);
            for (index, lane) in self.queues.of(stage).iter().enumerate().take(waiting.len()) {
                waiting[index] += (queues::waiting(lane) - in_hand[index]).max(0);
            }
        }
        Some(waiting)
    }

    /// Forgets what is heard again when topics are followed anew and would count twice; events count once by their ids.
    fn begin_hearing(&mut self) {
        self.hearing.begin();
        self.scaling = Scaling::default();
        self.letters.clear();
    }
}

/// Shares what is known.
pub struct Seen {
    state: RwLock<State>,
    ticks: watch::Sender<i64>,
    /// Price of a slot for an hour, in dollars.
    pub slot_price: f64,
}

impl Seen {
    /// Begins with nothing.
    pub fn new(args: &DashboardArgs) -> Self {
        let slot_price = args.slot_price.unwrap_or_else(|| Prices::default().worker_hour);
        Self { state: RwLock::default(), ticks: watch::Sender::new(0), slot_price }
    }

    /// Returns what is known. Not to be held over an `await`.
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known. Not to be held over an `await`.
    pub fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the ticks: each is the time of a point in [`History`], in milliseconds since the Unix epoch.
    pub fn ticks(&self) -> watch::Receiver<i64> {
        self.ticks.subscribe()
    }

    /// Returns how many follow.
    pub fn followers(&self) -> usize {
        self.ticks.receiver_count()
    }

    pub(crate) fn tick(&self, at_ms: i64) {
        self.ticks.send_replace(at_ms);
    }
}

#[cfg(test)]
mod tests {
    use pipeline::event::{UnitInHand, WorkerReport, WorkerState};
    use pipeline::kafka::lag::{LaneLag, Read};

    use super::*;

    fn queue(records: i64, oldest_ms: i64) -> LaneLag {
        LaneLag { end_total: records, oldest_ms: Some(oldest_ms), ..LaneLag::default() }
    }

    #[test]
    fn what_is_in_hand_does_not_wait() {
        let mut state = State::default();
        assert_eq!(state.waiting_by_lane(), None, "no queue is seen yet");
        let lanes = || Ok(Lane::ALL.map(|_| queue(3, 1000)).into());
        state.queues.take(STAGES.into_iter().map(|stage| (stage, lanes())).collect(), 9000);
        assert_eq!(state.waits_since_ms(StageName::Cut), Some(1000), "nobody is there who could have begun it");
        let stages = STAGES.len() as i64;
        assert_eq!(state.waiting_by_lane(), Some(Lane::ALL.map(|_| 3 * stages)));
        let unit = || UnitInHand { lane: Lane::Batch as i32, age_ms: 7000, ..UnitInHand::default() };
        let report = WorkerReport {
            worker: "a".to_owned(),
            stage: StageName::Cut as i32,
            at_ms: 9000,
            state: WorkerState::Ready as i32,
            units: vec![unit(), unit()],
            ..WorkerReport::default()
        };
        state.workers.hear(report.clone());
        assert_eq!(state.waits_since_ms(StageName::Cut), None, "a long unit is no waiting one");
        let batch = Lane::Batch.index();
        assert_eq!(state.waiting_by_lane().map(|waiting| waiting[batch]), Some(3 * stages - 2));
        state.workers.hear(WorkerReport { queued: 1, head_age_ms: 500, ..report });
        assert_eq!(state.waits_since_ms(StageName::Cut), Some(8500));
        state.queues.take(Read::from([(StageName::Fetch, Err(anyhow::anyhow!("no coordinator")))]), 9500);
        assert_eq!(state.waiting_by_lane(), None);
    }
}
