//! How many units are worked on at once, which may change while work goes on, and how much memory those that wait may
//! keep.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Whether a worker's slots change while it works, how soon a new one works, and when none is wanted any more.
#[derive(Clone, Debug, Default)]
pub struct Sizing {
    /// How many are wanted; without it as many as the arguments say.
    pub wanted: Option<watch::Receiver<u32>>,
    /// How long a new slot takes until it works: none for real work, what its worker would take for emulated work.
    pub startup: Duration,
    /// Cancelled when the worker is one too many: it takes no more, and has as long for what it has in hand as a unit may
    /// take (`--hard-limit`), and not only the drain's grace.
    pub let_go: CancellationToken,
}

/// The right to work; held while a unit is worked on.
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
    /// While somebody works alone the number of slots stays as it is.
    _size: Option<OwnedMutexGuard<()>>,
}

/// The slots of a worker.
pub(super) struct Slots {
    work: Arc<Semaphore>,
    size: watch::Sender<Size>,
    /// Held by whoever changes the number of slots, or has them all.
    resizing: Arc<Mutex<()>>,
    parked_kib: Arc<Semaphore>,
}

/// How many slots there are.
#[derive(Clone, Default, Debug)]
struct Size {
    wanted: u32,
    open: u32,
    /// When each further one opens, soonest first.
    starting: Vec<Instant>,
}

impl Size {
    /// Begins to start those that lack, and gives up starting those that are too many; the latest first.
    fn aim(&mut self, wanted: u32, startup: Duration) {
        self.wanted = wanted;
        self.starting.resize(wanted.saturating_sub(self.open) as usize, Instant::now() + startup);
    }

    /// Returns how many of the open ones are wanted.
    fn usable(&self) -> u32 {
        self.open.min(self.wanted)
    }

    /// Opens those that are due, and returns how many these are.
    fn open_due(&mut self) -> usize {
        let now = Instant::now();
        let due = self.starting.iter().take_while(|at| **at <= now).count();
        self.starting.drain(..due);
        self.open += due as u32;
        due
    }
}

impl Slots {
    pub(super) fn new(count: u32, startup: Duration, parked_mib: u32) -> Self {
        let mut size = Size::default();
        size.aim(count, startup);
        let work = Arc::new(Semaphore::new(size.open_due()));
        let parked_kib = Arc::new(Semaphore::new((parked_mib as usize) << 10));
        Self { work, size: watch::Sender::new(size), resizing: Arc::default(), parked_kib }
    }

    /// Returns how many slots may be used, and in how long each further one will be.
    pub(super) fn count(&self) -> (u32, Vec<Duration>) {
        let size = self.size.borrow();
        let left = size.starting.iter().map(|at| at.saturating_duration_since(Instant::now()));
        (size.usable(), left.collect())
    }

    /// Returns how many slots may be used.
    pub(super) fn open(&self) -> u32 {
        self.size.borrow().usable()
    }

    /// Waits for a slot; whoever waits longest is next.
    pub(super) async fn one(&self) -> Slot {
        Slot { _permit: self.work.clone().acquire_owned().await.expect("never closed"), _size: None }
    }

    /// Returns a slot if one is free and nobody waits for it.
    pub(super) fn one_now(&self) -> Option<Slot> {
        self.work.clone().try_acquire_owned().ok().map(|permit| Slot { _permit: permit, _size: None })
    }

    /// Waits for all slots: nothing else runs while they are held. The caller must hold none.
    pub(super) async fn all(&self) -> Slot {
        loop {
            // The sender lives as long as `self`.
            let _ = self.size.subscribe().wait_for(|size| size.open > 0).await;
            let unchanged = self.resizing.clone().lock_owned().await;
            let open = self.size.borrow().open;
            if open > 0 {
                let permit = self.work.clone().acquire_many_owned(open).await.expect("never closed");
                return Slot { _permit: permit, _size: Some(unchanged) };
            }
        }
    }

    /// Makes room for a unit of `bytes` to wait without a slot, if there is any.
    pub(super) fn park(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.parked_kib.clone().try_acquire_many_owned((bytes / 1024 + 1) as u32).ok()
    }

    /// Keeps as many slots as are wanted, for ever. A new one opens when it has started; one too many is closed when it
    /// is free: what is in hand is finished.
    pub(super) async fn resize(&self, sizing: Sizing) {
        let Sizing { mut wanted, startup, .. } = sizing;
        loop {
            if let Some(wanted) = &mut wanted {
                let count = *wanted.borrow_and_update();
                self.size.send_modify(|size| size.aim(count, startup));
            }
            let (excess, next) = {
                let size = self.size.borrow();
                (size.open.saturating_sub(size.wanted), size.starting.first().copied())
            };
            tokio::select! {
                () = changed(&mut wanted) => {}
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => self.open_due().await,
                () = self.close(excess), if excess > 0 => {}
            }
        }
    }

    async fn open_due(&self) {
        let _resizing = self.resizing.lock().await;
        let mut due = 0;
        self.size.send_modify(|size| due = size.open_due());
        self.work.add_permits(due);
    }

    async fn close(&self, count: u32) {
        let _resizing = self.resizing.lock().await;
        // Waiting for them together lets nobody who comes later go first.
        self.work.acquire_many(count).await.expect("never closed").forget();
        self.size.send_modify(|size| size.open -= count);
    }
}

/// Waits until another number is wanted, for ever if nobody can want one.
async fn changed(wanted: &mut Option<watch::Receiver<u32>>) {
    if let Some(wanted) = wanted
        && wanted.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slots that are resized beside the test; what is wanted, and the slots.
    fn sized(count: u32, startup: Duration) -> (watch::Sender<u32>, Arc<Slots>) {
        let (want, wanted) = watch::channel(count);
        let slots = Arc::new(Slots::new(count, startup, 1));
        let resized = slots.clone();
        tokio::spawn(
            async move { resized.resize(Sizing { wanted: Some(wanted), startup, ..Sizing::default() }).await },
        );
        (want, slots)
    }

    async fn until(slots: &Slots, open: u32) {
        slots.size.subscribe().wait_for(|size| size.open == open).await.unwrap();
    }

    /// Says whether a slot is to be had within a moment.
    async fn is_free(slots: &Slots) -> bool {
        tokio::time::timeout(Duration::from_millis(50), slots.one()).await.is_ok()
    }

    #[tokio::test]
    async fn a_slot_too_many_is_closed_when_its_work_is_done() {
        let (want, slots) = sized(3, Duration::ZERO);
        let (first, second, third) = (slots.one().await, slots.one().await, slots.one().await);
        want.send(1).unwrap();
        slots.size.subscribe().wait_for(|size| size.wanted == 1).await.unwrap();
        assert_eq!(slots.count(), (1, vec![]));
        drop(first);
        assert!(!is_free(&slots).await, "it is closed, not used again");
        drop(second);
        until(&slots, 1).await;
        assert!(!is_free(&slots).await);
        drop(third);
        slots.one().await;
    }

    #[tokio::test]
    async fn a_new_slot_opens_after_its_start() {
        let startup = Duration::from_millis(200);
        let (want, slots) = sized(2, startup);
        let (open, starting) = slots.count();
        assert_eq!((open, starting.len()), (0, 2));
        let begun = Instant::now();
        let _first = slots.one().await;
        assert!(begun.elapsed() > startup / 2);
        until(&slots, 2).await;
        want.send(4).unwrap();
        let _others = (slots.one().await, slots.one().await, slots.one().await);
        assert!(begun.elapsed() > startup * 3 / 2);
        want.send(6).unwrap();
        slots.size.subscribe().wait_for(|size| size.wanted == 6).await.unwrap();
        let due = slots.size.borrow().starting[0];
        want.send(5).unwrap();
        slots.size.subscribe().wait_for(|size| size.wanted == 5).await.unwrap();
        assert_eq!(slots.size.borrow().starting, [due], "the one still wanted does not start anew");
        want.send(4).unwrap();
        slots.size.subscribe().wait_for(|size| size.wanted == 4).await.unwrap();
        assert_eq!(slots.count(), (4, vec![]));
    }

    #[tokio::test]
    async fn nothing_runs_beside_a_unit_that_is_alone() {
        let (want, slots) = sized(2, Duration::ZERO);
        let alone = slots.all().await;
        want.send(5).unwrap();
        assert!(!is_free(&slots).await);
        drop(alone);
        until(&slots, 5).await;
        want.send(0).unwrap();
        until(&slots, 0).await;
        let nobody = tokio::time::timeout(Duration::from_millis(50), slots.all()).await;
        assert!(nobody.is_err(), "there is no slot");
        want.send(1).unwrap();
        slots.all().await;
    }
}
