//! What happens when: a heap of events, the earliest first.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// A video is submitted.
    Arrive { video: u32 },
    /// A worker has started.
    Ready { stage: u16, worker: u32 },
    /// A unit is done.
    Finish { stage: u16, worker: u32, lane: u8, video: u32, service_s: f32 },
    /// An outside API admits work again.
    Refill,
    /// The workers are scaled.
    Tick,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    at: f64,
    /// Of equal times the earlier made comes first.
    order: u64,
    what: What,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Event {}
impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Event {
    /// The earliest is the greatest, since the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.total_cmp(&self.at).then(other.order.cmp(&self.order))
    }
}

/// The events to come.
#[derive(Debug, Default)]
pub(super) struct Events {
    heap: BinaryHeap<Event>,
    made: u64,
}

impl Events {
    /// Adds what happens at `at` seconds.
    pub(super) fn push(&mut self, at: f64, what: What) {
        self.made += 1;
        self.heap.push(Event { at, order: self.made, what });
    }

    /// Takes the earliest.
    pub(super) fn pop(&mut self) -> Option<(f64, What)> {
        self.heap.pop().map(|event| (event.at, event.what))
    }
}
