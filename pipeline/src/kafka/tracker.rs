//! Offsets in hand, one tracker per assignment of a partition: work is concurrent, acknowledgement is in order.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Which offsets are in hand, and up to where all is done.
#[derive(Default, Debug)]
struct InHand {
    open: BTreeSet<i64>,
    /// One more than the last offset begun; `None` before the first.
    next: Option<i64>,
    /// The position that was last stored.
    stored: Option<i64>,
}

impl InHand {
    fn begin(&mut self, offset: i64) {
        self.open.insert(offset);
        self.next = Some(offset + 1);
    }

    /// Returns the end of the contiguous prefix of finished records.
    fn position(&self) -> Option<i64> {
        self.open.first().copied().or(self.next)
    }
}

/// One assignment of one partition.
#[derive(Debug)]
pub struct Tracker {
    topic: String,
    partition: i32,
    in_hand: Mutex<InHand>,
    revoked: CancellationToken,
    finished: Arc<Notify>,
}

impl Tracker {
    /// Begins an assignment; `finished` is told whenever a record is.
    pub(super) fn new(topic: &str, partition: i32, finished: Arc<Notify>) -> Self {
        let (in_hand, revoked) = Default::default();
        Self { topic: topic.to_owned(), partition, in_hand, revoked, finished }
    }

    /// Takes a record in hand.
    pub(super) fn begin(self: &Arc<Self>, offset: i64) -> Ticket {
        self.lock().begin(offset);
        Ticket { tracker: self.clone(), offset }
    }

    /// Returns the position to store if it moved since it was last asked for.
    pub(super) fn moved(&self) -> Option<i64> {
        let mut in_hand = self.lock();
        let position = in_hand.position();
        if position == in_hand.stored || in_hand.next.is_none() {
            return None;
        }
        in_hand.stored = position;
        position
    }

    /// Ends the assignment.
    pub(super) fn revoke(&self) {
        self.revoked.cancel();
    }

    /// Returns the topic's full name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Returns the partition's number.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// Returns the token that is cancelled when the partition is taken away.
    pub fn revoked(&self) -> &CancellationToken {
        &self.revoked
    }

    fn lock(&self) -> MutexGuard<'_, InHand> {
        self.in_hand.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A record in hand. Dropped unfinished, it is delivered again, to this member or the next.
#[derive(Debug)]
pub struct Ticket {
    tracker: Arc<Tracker>,
    offset: i64,
}

impl Ticket {
    /// Acknowledges the record; its position is sent once all before it are acknowledged too.
    pub fn finish(self) {
        self.tracker.lock().open.remove(&self.offset);
        self.tracker.finished.notify_one();
    }

    /// Returns the assignment it belongs to.
    pub fn tracker(&self) -> &Arc<Tracker> {
        &self.tracker
    }

    /// Returns its place in the partition.
    pub fn offset(&self) -> i64 {
        self.offset
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_position_is_the_end_of_the_finished_prefix(finished in Just((0..40).collect::<Vec<i64>>()).prop_shuffle(), gap in 0i64..1000) {
            let tracker = Arc::new(Tracker::new("t", 0, Arc::default()));
            let mut tickets: Vec<Option<Ticket>> = (0..40).map(|n| Some(tracker.begin(gap + n))).collect();
            for (count, n) in finished.iter().enumerate() {
                tickets[*n as usize].take().expect("each once").finish();
                let unfinished = (0..40).find(|n| !finished[..=count].contains(n)).unwrap_or(40);
                prop_assert_eq!(tracker.lock().position(), Some(gap + unfinished));
            }
        }
    }

    #[test]
    fn only_a_moved_position_is_stored() {
        let tracker = Arc::new(Tracker::new("t", 0, Arc::default()));
        assert_eq!(tracker.moved(), None);
        let (first, second) = (tracker.begin(7), tracker.begin(9));
        assert_eq!((tracker.moved(), tracker.moved()), (Some(7), None));
        second.finish();
        assert_eq!(tracker.moved(), None);
        first.finish();
        assert_eq!((tracker.moved(), tracker.moved()), (Some(10), None));
    }
}
