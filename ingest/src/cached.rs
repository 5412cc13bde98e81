//! What is read now and then and used again meanwhile.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Reading takes no larger share of the time than one in this, however much there is to read.
const SHARE: u32 = 20;

/// How long one waits for another's reading where nothing is known.
const PATIENCE: Duration = Duration::from_millis(500);

/// A value that is read anew when it is old. While one caller reads, others go on with what there was.
pub struct Cached<T> {
    known: Mutex<Option<Known<T>>>,
    reading: tokio::sync::Mutex<()>,
}

struct Known<T> {
    value: Arc<T>,
    good_until: Instant,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self { known: Mutex::default(), reading: tokio::sync::Mutex::default() }
    }
}

impl<T> Cached<T> {
    /// Returns the value, read again if it was read longer than `fresh` ago.
    ///
    /// # Errors
    /// Those of `read`; what was known stays.
    pub async fn get<F, E>(&self, fresh: Duration, read: impl FnOnce() -> F) -> Result<Arc<T>, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        if let Some((value, true)) = self.known() {
            return Ok(value);
        }
        let _turn = match (self.reading.try_lock(), self.known()) {
            (Ok(turn), _) => Some(turn),
            (Err(_), Some((old, _))) => return Ok(old),
            // Where reading fails slowly those who wait are not to do so one after another.
            (Err(_), None) => tokio::time::timeout(PATIENCE, self.reading.lock()).await.ok(),
        };
        // Whoever had the turn before may have read it.
        if let Some((value, true)) = self.known() {
            return Ok(value);
        }
        let begun = Instant::now();
        let value = Arc::new(read().await?);
        let good_until = Instant::now() + fresh.max(begun.elapsed() * SHARE);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(Known { value: value.clone(), good_until });
        Ok(value)
    }

    /// Returns what was read last, however old.
    pub fn last(&self) -> Option<Arc<T>> {
        self.known().map(|(value, _)| value)
    }

    fn known(&self) -> Option<(Arc<T>, bool)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map(|known| (known.value.clone(), Instant::now() < known.good_until))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn many_at_once_are_one_reading() {
        let (cached, readings) = (Cached::default(), AtomicU32::new(0));
        let read = async || {
            tokio::task::yield_now().await;
            Ok::<_, ()>(readings.fetch_add(1, Ordering::Relaxed))
        };
        let found = join_all((0..50).map(|_| cached.get(Duration::from_secs(60), read))).await;
        assert!(found.iter().all(|value| value.as_deref() == Ok(&0)));
        assert_eq!(cached.get(Duration::from_secs(60), read).await.as_deref(), Ok(&0));
    }

    #[tokio::test]
    async fn an_error_is_told_and_the_next_one_reads_again() {
        let cached: Cached<u32> = Cached::default();
        assert_eq!(cached.get(Duration::ZERO, async || Err::<u32, _>("away")).await, Err("away"));
        assert_eq!(cached.get(Duration::ZERO, async || Ok::<_, &str>(7)).await.as_deref(), Ok(&7));
    }
}
