//! Waiting for what must come true.

use std::time::{Duration, Instant};

/// How often is looked.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until `look` finds something and returns it.
pub async fn until<T>(what: &str, limit: Duration, look: impl AsyncFnMut() -> Option<T>) -> T {
    looking_each(LOOK_EVERY, what, limit, look).await
}

/// Does the same for what lasts only a moment: looks again after `pause`.
pub async fn looking_each<T>(
    pause: Duration,
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < limit, "did not come true within {limit:?}: {what}");
        tokio::time::sleep(pause).await;
    }
}
