//! Which feed brings much at the moment, and which nothing.
//!
//! A client asks a broker one question for records at a time. A feed whose prefetch is full is left out of it, and if all
//! other feeds are empty then, the question waits out `fetch.wait.max.ms` at the broker, however soon there is room
//! again. Who takes long for a record does not feel it. Who takes a whole prefetch in a moment and then waits for more
//! would: for him the empty feeds are held back, and only looked at now and then.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::args::PREFETCH_KIB;

/// How long what is taken of a feed is added up.
const WINDOW: Duration = Duration::from_millis(200);

/// What was taken of each feed lately, in bytes.
pub(super) struct Flow {
    since: Instant,
    taken: BTreeMap<usize, usize>,
}

impl Flow {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, taken: BTreeMap::new() }
    }

    /// Notes that `bytes` were taken of `feed`.
    pub(super) fn took(&mut self, feed: usize, bytes: usize, now: Instant) {
        if now.duration_since(self.since) > WINDOW {
            self.since = now;
            self.taken.clear();
        }
        *self.taken.entry(feed).or_default() += bytes;
    }

    /// Says whether some feed gave a whole prefetch a moment ago.
    pub(super) fn is_much(&self, now: Instant) -> bool {
        let much = PREFETCH_KIB as usize * 1024;
        now.duration_since(self.since) <= WINDOW && self.taken.values().any(|bytes| *bytes >= much)
    }

    /// Says whether nothing was taken of `feed` lately.
    pub(super) fn is_still(&self, feed: usize) -> bool {
        !self.taken.contains_key(&feed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_is_a_prefetch_of_one_feed_in_a_moment() {
        let (begun, half) = (Instant::now(), PREFETCH_KIB as usize * 512);
        let mut flow = Flow::new(begun);
        flow.took(2, half, begun);
        flow.took(1, half, begun);
        assert!(!flow.is_much(begun), "each feed for itself");
        flow.took(2, half, begun + WINDOW);
        assert!(flow.is_much(begun + WINDOW));
        assert!(!flow.is_much(begun + 2 * WINDOW), "what is past does not count");
        assert_eq!([0, 1, 2].map(|feed| flow.is_still(feed)), [true, false, false]);
        flow.took(2, half, begun + 2 * WINDOW);
        assert!(!flow.is_much(begun + 2 * WINDOW));
        assert_eq!([0, 1, 2].map(|feed| flow.is_still(feed)), [true, true, false]);
    }
}
