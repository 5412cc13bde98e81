//! Uploads under way, as the processes of ingest tell: videos that are about to arrive.

use std::collections::HashMap;
use std::time::Instant;

use pipeline::event::SystemState;
use pipeline::workers::SILENCE;

/// What each process of ingest last said.
#[derive(Default)]
pub struct Uploads {
    processes: HashMap<String, Told>,
}

struct Told {
    at_ms: i64,
    under_way: u64,
    heard: Instant,
}

impl Uploads {
    /// Hears what a process said, at `now`.
    pub fn hear(&mut self, state: SystemState, now: Instant) {
        // What it says lies in several partitions, and what is later may be heard sooner.
        if self.processes.get(&state.process).is_some_and(|told| told.at_ms > state.at_ms) {
            return;
        }
        let under_way = state.uploads_begun_total.saturating_sub(state.uploads_ended_total);
        self.processes.insert(state.process, Told { at_ms: state.at_ms, under_way, heard: now });
    }

    /// Returns how many uploads are under way in all processes that were heard lately, in the world's time; nothing if none
    /// was. Those of a
    /// process that is gone broke off with it.
    pub fn under_way(&mut self, now: Instant) -> Option<u64> {
        self.processes.retain(|_, told| now.duration_since(told.heard) <= SILENCE);
        let all = self.processes.values().map(|told| told.under_way);
        (!self.processes.is_empty()).then(|| all.sum())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn state(process: &str, at_ms: i64, begun: u64, ended: u64) -> SystemState {
        SystemState {
            process: process.to_owned(),
            at_ms,
            uploads_begun_total: begun,
            uploads_ended_total: ended,
            ..SystemState::default()
        }
    }

    #[test]
    fn uploads_of_all_processes_count_until_they_end_or_their_process_does() {
        let (mut uploads, begun) = (Uploads::default(), Instant::now());
        assert_eq!(uploads.under_way(begun), None, "nobody says anything");
        uploads.hear(state("a", 1_000, 105, 100), begun);
        uploads.hear(state("b", 1_000, 2, 0), begun);
        assert_eq!(uploads.under_way(begun), Some(7));
        uploads.hear(state("a", 900, 90, 10), begun);
        assert_eq!(uploads.under_way(begun), Some(7), "that was before");
        let later = begun + SILENCE;
        uploads.hear(state("a", 16_000, 106, 106), later);
        assert_eq!(uploads.under_way(later), Some(2));
        let restarted = later + Duration::from_secs(1);
        uploads.hear(state("c", 17_000, 1, 0), restarted);
        assert_eq!(uploads.under_way(restarted), Some(1), "b is gone, and c counts from its own start");
        assert_eq!(uploads.under_way(restarted + 2 * SILENCE), None);
    }
}
