//! How many units are worked on at once, and how much memory those that wait may keep.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The right to work; held while a unit is worked on.
pub(super) type Slot = OwnedSemaphorePermit;

/// The slots of a worker.
pub(super) struct Slots {
    work: Arc<Semaphore>,
    count: u32,
    parked_kib: Arc<Semaphore>,
}

impl Slots {
    pub(super) fn new(count: u32, parked_mib: u32) -> Self {
        let work = Arc::new(Semaphore::new(count as usize));
        Self { work, count, parked_kib: Arc::new(Semaphore::new((parked_mib as usize) << 10)) }
    }

    /// Waits for a slot; whoever waits longest is next.
    pub(super) async fn one(&self) -> Slot {
        self.work.clone().acquire_owned().await.expect("never closed")
    }

    /// Waits for all slots: nothing else runs while they are held. The caller must hold none.
    pub(super) async fn all(&self) -> Slot {
        self.work.clone().acquire_many_owned(self.count).await.expect("never closed")
    }

    /// Makes room for a unit of `bytes` to wait without a slot, if there is any.
    pub(super) fn park(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.parked_kib.clone().try_acquire_many_owned((bytes / 1024 + 1) as u32).ok()
    }
}
