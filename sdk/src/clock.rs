//! The only door to time and randomness: everything else asks here, so that a test can close it.
use std::time::Duration;

use tokio::time::Instant;

/// Returns the monotonic time, which a paused tokio runtime controls.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Returns the wall-clock time for what is written into objects: whole seconds, as `metav1.Time` keeps them.
pub(crate) fn timestamp() -> jiff::Timestamp {
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Waits on the monotonic time.
pub(crate) async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Waits for `future` on the monotonic time; `None` when it took longer than `limit`, and then it is dropped.
pub(crate) async fn timeout<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(limit, future).await.ok()
}

/// Draws a duration between `low` and `high`, so that many clients do not act in step.
pub(crate) fn between(low: Duration, high: Duration) -> Duration {
    if high <= low {
        return low;
    }
    let span = u64::try_from((high - low).as_millis()).unwrap_or(u64::MAX);
    low + Duration::from_millis(fastrand::u64(0..=span))
}
