//! How much of what `split` made still waits for the stages after it. One worker of `split` fills the brokers' disks faster than
//! many others empty them, so it makes no more while there is much; before that its pieces go to the blob store.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pipeline::outbox::{Pulse, Stopped};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long nothing may be heard of the backlog before progress is shown again.
const BEAT: Duration = Duration::from_secs(1);
/// What a piece is taken to have until one was made, in bytes.
const UNKNOWN_BYTES: f64 = 1_000_000.0;
/// How many pieces back their size is remembered.
const REMEMBERED: f64 = 64.0;

/// What waits behind `split`.
pub(super) struct Backlog {
    /// Pieces that wait for the stages after it.
    waiting: watch::Receiver<u64>,
    limit_bytes: u64,
    /// The mean of the latest pieces made here, in bytes: brokers tell of records, not of bytes.
    mean_bytes: Mutex<f64>,
}

impl Backlog {
    pub(super) fn new(waiting: watch::Receiver<u64>, limit_bytes: u64) -> Self {
        Self { waiting, limit_bytes, mean_bytes: Mutex::new(UNKNOWN_BYTES) }
    }

    /// Notes the size of a piece that was made.
    pub(super) fn made(&self, bytes: u64) {
        let mut mean_bytes = self.mean_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        *mean_bytes += (bytes as f64 - *mean_bytes) / REMEMBERED;
    }

    /// Says whether so much waits that pieces are better off in the blob store.
    pub(super) fn is_much(&self) -> bool {
        self.bytes() >= self.limit_bytes / 2
    }

    /// Waits until less than the limit waits; that is no lack of progress.
    ///
    /// # Errors
    /// [`Stopped`] when the work must end.
    pub(super) async fn room(&self, pulse: &Pulse) -> Result<(), Stopped> {
        let mut waiting = self.waiting.clone();
        let mut told = false;
        while self.bytes() >= self.limit_bytes {
            if !told {
                tracing::info!(pieces = *waiting.borrow(), "too much waits behind this stage: making no more of it");
                told = true;
            }
            pulse.beat()?;
            // Nobody is left to tell of it when the process ends, which the pulse says.
            let changed = timeout(BEAT, waiting.changed()).await;
            if changed.is_ok_and(|changed| changed.is_err()) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        let mean_bytes = *self.mean_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        (*self.waiting.borrow() as f64 * mean_bytes) as u64
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn no_more_is_made_until_less_waits() {
        let (tell, waiting) = watch::channel(9);
        let (backlog, pulse) = (Backlog::new(waiting, 20_000_000), Pulse::new(CancellationToken::new()));
        assert!(!backlog.is_much());
        backlog.room(&pulse).await.unwrap();
        tell.send(20).unwrap();
        assert!(backlog.is_much());
        let mut room = std::pin::pin!(backlog.room(&pulse));
        assert!(futures::poll!(&mut room).is_pending());
        tell.send(19).unwrap();
        room.await.unwrap();
    }

    #[tokio::test]
    async fn what_waits_is_counted_in_bytes_and_the_end_is_heard() {
        let (_tell, waiting) = watch::channel(10);
        let (backlog, stop) = (Backlog::new(waiting, 20_000_000), CancellationToken::new());
        for _ in 0..1000 {
            backlog.made(4_000_000);
        }
        stop.cancel();
        assert_eq!(backlog.room(&Pulse::new(stop)).await, Err(Stopped));
    }
}
