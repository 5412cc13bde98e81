//! The bar on every page: how it goes, in one line.

use jiff::Timestamp;
use pipeline::event::EndState;
use serde::Serialize;

use crate::part::counted;
use crate::say;
use crate::seen::{HOUR_MS, Seen, State};

/// How it goes.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Bar {
    /// When it was made, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// How old what was seen of the brokers is, in milliseconds; nothing before the first look.
    pub age_ms: Option<i64>,
    /// Whether what is shown is not how it is now.
    pub is_stale: bool,
    /// Why it is not.
    pub stale_because: Option<String>,
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
    /// Processes that take work; gatherers do not count, here and below.
    pub workers_ready: u32,
    /// Processes that are to be, where an autoscaler says so: one that scales slots does not.
    pub workers_target: Option<u32>,
    /// Slots that take work.
    pub slots_ready: u32,
    /// Slots that are to be, where an autoscaler says so.
    pub slots_target: Option<u32>,
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
        let stale_because = state.stale(now);
        let ended =
            |how: EndState| state.traffic.ended_since(now_ms - HOUR_MS).filter(|ended| ended.how == Some(how)).count();
        let crew = state.workers.whole();
        let queued = state.traffic.open().filter(|open| open.begun_ms.is_none()).count();
        Self {
            at_ms: now_ms,
            age_ms: state.age_ms(now),
            is_stale: stale_because.is_some(),
            stale_because,
            queued,
            running: state.traffic.open().count() - queued,
            done_1h: ended(EndState::Done),
            partial_1h: ended(EndState::Partial),
            failed_1h: ended(EndState::Failed),
            oldest_wait_s: state.traffic.oldest_wait_s(now_ms),
            workers_ready: crew.processes_ready,
            workers_target: state.scaling.target_workers(&state.workers, now),
            slots_ready: crew.ready,
            slots_target: state.scaling.target(now),
            cost_per_video: cost_per_video(state, slot_price, now_ms),
        }
    }

    /// Says a count.
    pub fn count(&self, count: &usize) -> String {
        say::count(*count as i128)
    }

    /// Says the longest wait.
    pub fn oldest(&self) -> String {
        let since_ms = |wait_s: f64| self.at_ms - (wait_s * 1e3).round() as i64;
        self.oldest_wait_s.map_or_else(|| "none".to_owned(), |wait_s| counted(since_ms(wait_s), wait_s))
    }

    /// Says how many there are, and how many are to be.
    pub fn of_target(&self, ready: &u32, target: &Option<u32>) -> String {
        target.map_or_else(|| ready.to_string(), |target| format!("{ready} / {target}"))
    }

    /// Says what a video costs.
    pub fn cost(&self) -> String {
        say::price(self.cost_per_video)
    }

    /// Says how old it is.
    pub fn seen(&self) -> String {
        let stale = if self.is_stale { "stale: " } else { "" };
        match self.age_ms {
            None => format!("{stale}nothing yet"),
            Some(age_ms) => format!("{stale}{} ago", say::span(age_ms as f64 / 1e3)),
        }
    }

    /// Says of when it is.
    pub fn seen_at(&self) -> String {
        say::moment(say::at(self.at_ms - self.age_ms.unwrap_or_default()))
    }

    /// Says when it was made.
    pub fn made(&self) -> String {
        say::moment(say::at(self.at_ms))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pipeline::event::{WorkerReport, WorkerState};
    use pipeline::stage::StageName;

    use super::*;

    #[test]
    fn what_is_not_heard_yet_or_no_more_is_not_shown_as_new() {
        let now = say::at(1_700_000_000_000);
        let now_ms = now.as_millisecond();
        let bar = |state: &State| Bar::at(state, 0.04, now);
        let mut state = State::default();
        state.queues.take(BTreeMap::new(), now_ms - 1000);
        assert_eq!((bar(&state).is_stale, bar(&state).age_ms), (true, Some(1000)), "a day of events is to be read");
        state.hearing.up_to_date();
        assert!(!bar(&state).is_stale);
        state.hearing.word(now_ms - 20_000);
        assert_eq!((bar(&state).is_stale, bar(&state).age_ms), (true, Some(20_000)), "the queues alone are seen");
        state.hearing.word(now_ms);
        state.hearing.broke_off("no leader".to_owned());
        assert!(bar(&state).stale_because.is_some_and(|why| why.contains("no leader")));
    }

    #[test]
    fn workers_are_told_apart_from_their_slots() {
        let now = say::at(1_700_000_000_000);
        let mut state = State::default();
        for (worker, stage, slots) in [("a", StageName::Cut, 4), ("b", StageName::Cut, 4), ("c", StageName::Join, 12)] {
            let (worker, state_now) = (worker.to_owned(), WorkerState::Ready as i32);
            let stage = stage as i32;
            state.workers.hear(WorkerReport { worker, stage, state: state_now, slots, ..WorkerReport::default() });
        }
        let bar = Bar::at(&state, 0.04, now);
        assert_eq!((bar.workers_ready, bar.workers_target, bar.slots_ready, bar.slots_target), (2, None, 8, None));
        assert_eq!([bar.of_target(&2, &None), bar.of_target(&2, &Some(3))], ["2", "2 / 3"]);
    }
}
