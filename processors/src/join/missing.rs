//! How many answers a window still lacks at the least: until so many have come nobody need count what is kept. Counting
//! after every answer would read a long video's rows over and over.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use pipeline::id::{TenantId, VideoId};
use pipeline::outbox::Source;

/// Windows remembered for a partition; beyond it all are forgotten, and counted again.
const WINDOWS: usize = 1024;

/// Names a window.
pub(super) type Window = (TenantId, VideoId, u32);

/// What is known of the windows of each partition. All that is kept of a gathering comes through its partition, so that
/// the number holds for as long as one worker hears every record there; a gap, or a record heard again, ends that.
#[derive(Default)]
pub(super) struct Missing(Mutex<HashMap<i32, Heard>>);

#[derive(Default)]
struct Heard {
    /// The offset of the record that follows.
    next: i64,
    lacking: HashMap<Window, u64>,
}

impl Missing {
    /// Notes that the record at `source` is heard, an answer for `window`; says whether the window may be complete now.
    pub(super) fn hear(&self, source: Source, window: &Window) -> bool {
        let mut partitions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = partitions.entry(source.partition).or_default();
        if heard.next != source.offset || heard.lacking.len() > WINDOWS {
            heard.lacking.clear();
        }
        heard.next = source.offset + 1;
        let Some(lacking) = heard.lacking.get_mut(window) else { return true };
        // An answer that repeats another one counts too: then the window is only counted sooner.
        *lacking = lacking.saturating_sub(1);
        *lacking == 0
    }

    /// Notes how many answers `window` lacks, as counted after the record at `source`.
    pub(super) fn counted(&self, source: Source, window: Window, lacking: u64) {
        let mut partitions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        partitions.entry(source.partition).or_default().lacking.insert(window, lacking);
    }

    /// Forgets what was counted: the window is closed, or something was taken out of it.
    pub(super) fn forget(&self, source: Source, window: &Window) {
        let mut partitions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(heard) = partitions.get_mut(&source.partition) {
            heard.lacking.remove(window);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window() -> Window {
        (TenantId::default_tenant(), VideoId::random(), 0)
    }

    fn at(offset: i64) -> Source {
        Source { partition: 3, offset }
    }

    #[test]
    fn a_counted_window_is_counted_again_when_it_may_be_complete() {
        let (missing, window) = (Missing::default(), window());
        assert!(missing.hear(at(10), &window), "nothing is known yet");
        missing.counted(at(10), window.clone(), 3);
        let asked: Vec<bool> = (11..14).map(|offset| missing.hear(at(offset), &window)).collect();
        assert_eq!(asked, [false, false, true]);
        missing.counted(at(13), window.clone(), 1);
        assert!(missing.hear(at(14), &window), "one was a repetition");
    }

    #[test]
    fn what_others_heard_meanwhile_is_counted() {
        for heard_next in [10, 12, 9] {
            let (missing, window) = (Missing::default(), window());
            missing.hear(at(10), &window);
            missing.counted(at(10), window.clone(), 3);
            assert!(missing.hear(at(heard_next), &window), "after 10 comes {heard_next}");
        }
    }

    #[test]
    fn what_was_taken_out_is_counted() {
        let (missing, window) = (Missing::default(), window());
        missing.hear(at(10), &window);
        missing.counted(at(10), window.clone(), 3);
        missing.forget(at(10), &window);
        assert!(missing.hear(at(11), &window));
    }
}
