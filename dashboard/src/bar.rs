//! The bar on every page: how it goes, in one line.

use jiff::Timestamp;
use pipeline::event::EndState;
use serde::Serialize;

use crate::say;
use crate::seen::{FRESH_MS, Seen, State};

const HOUR_MS: i64 = 3_600_000;

/// How it goes.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Bar {
    /// When it was made, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// How old what was seen of the brokers is, in milliseconds; nothing before the first look.
    pub age_ms: Option<i64>,
    /// Whether that is too old to be shown as it is now.
    pub is_stale: bool,
    /// Videos of which no unit was begun.
    pub queued: usize,
    /// Videos in work.
    pub running: usize,
    /// Videos that ended well within the last hour.
    pub done_1h: usize,
    /// Videos that ended with parts missing within the last hour.
    pub partial_1h: usize,
    /// Videos that failed within the last hour.
    pub failed_1h: usize,
    /// How long the video waits that has waited longest for its first segment, in seconds.
    pub oldest_wait_s: Option<f64>,
    /// Slots that take work.
    pub workers_ready: u32,
    /// Slots that are to be, where an autoscaler says so.
    pub workers_target: Option<u32>,
    /// What a video costs now, in dollars: the slots of the last hour by the videos that ended in it.
    pub cost_per_video: Option<f64>,
}

impl Bar {
    /// Sums up what is known.
    pub fn of(seen: &Seen) -> Self {
        Self::at(&seen.read(), seen.slot_price, Timestamp::now())
    }

    fn at(state: &State, slot_price: f64, now: Timestamp) -> Self {
        let now_ms = now.as_millisecond();
        let age_ms = state.age_ms(now);
        let ended =
            |how: EndState| state.traffic.ended_since(now_ms - HOUR_MS).filter(|ended| ended.how == Some(how)).count();
        let queued = state.traffic.open().filter(|open| open.begun_ms.is_none()).count();
        Self {
            at_ms: now_ms,
            age_ms,
            is_stale: age_ms.is_none_or(|age_ms| age_ms > FRESH_MS),
            queued,
            running: state.traffic.open().count() - queued,
            done_1h: ended(EndState::Done),
            partial_1h: ended(EndState::Partial),
            failed_1h: ended(EndState::Failed),
            oldest_wait_s: state.traffic.oldest_wait_s(now_ms),
            workers_ready: state.workers.whole().ready,
            workers_target: state.scaling.target(now),
            cost_per_video: cost_per_video(state, slot_price, now_ms),
        }
    }

    /// Says a count.
    pub fn count(&self, count: &usize) -> String {
        say::count(*count as i128)
    }

    /// Says the longest wait.
    pub fn oldest(&self) -> String {
        self.oldest_wait_s.map_or_else(|| "none".to_owned(), say::span)
    }

    /// Says what a video costs.
    pub fn cost(&self) -> String {
        say::price(self.cost_per_video)
    }

    /// Says how old it is.
    pub fn age(&self) -> String {
        self.age_ms.map_or_else(|| "nothing yet".to_owned(), |age_ms| format!("{} ago", say::span(age_ms as f64 / 1e3)))
    }
}

/// Pays the slots that were ready over the last hour, busy or not, and shares that among the videos that ended in it.
fn cost_per_video(state: &State, slot_price: f64, now_ms: i64) -> Option<f64> {
    let watched = state.history.watched(now_ms - HOUR_MS, now_ms)?;
    let videos = state.traffic.ended_since(watched.from_ms).count();
    if videos == 0 {
        return None;
    }
    let hours = watched.length_ms() as f64 / HOUR_MS as f64;
    Some(watched.mean_ready * hours * slot_price / videos as f64)
}
