//! Waiting for what must come true.

use std::panic::Location;
use std::time::{Duration, Instant};

/// How often is looked.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until `look` finds something and returns it.
///
/// # Panics
/// When it has found nothing after `limit`; the panic names the caller's place.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, look: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    looking_each(LOOK_EVERY, what, limit, look)
}

/// Does the same for what lasts only a moment: looks again after `pause`.
///
/// # Panics
/// As [`until`].
#[track_caller]
pub fn looking_each<T>(
    pause: Duration,
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> impl Future<Output = T> {
    let place = Location::caller();
    async move {
        let begun = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(begun.elapsed() < limit, "{place}: did not come true within {limit:?}: {what}");
            tokio::time::sleep(pause).await;
        }
    }
}
