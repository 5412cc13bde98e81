//! How many uploads were begun and how many of them have ended: those between are videos that come soon.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The uploads of new videos since the process started. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Uploads(Arc<Counts>);

#[derive(Default)]
struct Counts {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Uploads {
    /// Counts one as under way until the result is dropped.
    pub(super) fn begin(&self) -> Upload {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        Upload(self.0.clone())
    }

    /// Returns how many were begun and how many of them have ended.
    pub(super) fn totals(&self) -> (u64, u64) {
        // One that begins and ends between the two reads must not have ended before it was begun.
        let ended = self.0.ended.load(Ordering::SeqCst);
        (self.0.begun.load(Ordering::SeqCst), ended)
    }
}

/// An upload under way.
#[must_use]
pub struct Upload(Arc<Counts>);

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}
