//! What happens, as the brokers tell it and as far as they are heard ([`hearing`]): who works ([`workers`]), what becomes of videos ([`traffic`]), what waits
//! ([`queues`]), what was given up ([`letters`]), what the autoscaler decides ([`scaling`]), how the service is ([`service`]), and all that over time
//! ([`history`], [`slots`]). [`listen`] keeps it up to date. Nothing here is kept over a restart: topics are read again.

pub mod hearing;
pub mod history;
pub mod letters;
pub mod listen;
pub mod queues;
pub mod scaling;
pub mod service;
pub mod slots;
pub mod traffic;
pub mod workers;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;
use planning::cost::Prices;
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
