//! When one handler is told of everything anew, and of what it still has to be told.
use std::time::Duration;
use std::vec;

use tokio::time::Instant;

use crate::clock;
use crate::resource::ObjectKey;

/// The resyncs of one handler.
#[derive(Debug)]
pub(super) struct Resync {
    period: Duration,
    /// When the next round begins.
    due: Instant,
    /// What is left of the present round.
    keys: vec::IntoIter<ObjectKey>,
}

impl Resync {
    /// Makes the resyncs of a handler that has come now.
    pub(super) fn new(period: Duration) -> Self {
        Self { period, due: clock::now() + jittered(period), keys: Vec::new().into_iter() }
    }

    /// Returns when the next round begins.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Says whether a round is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.keys.len() > 0
    }

    /// Begins a round if one is due and none is under way: two at once would tell everything twice.
    pub(super) fn begin(&mut self, keys: impl FnOnce() -> Vec<ObjectKey>) {
        let now = clock::now();
        if now >= self.due && !self.is_under_way() {
            self.due = now + jittered(self.period);
            self.keys = keys().into_iter();
        }
    }

    /// Returns the next `count` keys to tell of.
    pub(super) fn next(&mut self, count: usize) -> impl Iterator<Item = ObjectKey> {
        self.keys.by_ref().take(count)
    }
}

/// A tenth less to a tenth more, so that rounds of many handlers, and of many processes, do not come together
/// (controller-runtime's `SyncPeriod`).
fn jittered(period: Duration) -> Duration {
    let tenth = period / 10;
    clock::between((period - tenth).max(super::handler::MIN_RESYNC_PERIOD), period.saturating_add(tenth))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_round_that_is_due_waits_for_the_one_under_way() {
        let period = Duration::from_secs(10);
        let keys = || ["a", "b", "c"].map(ObjectKey::cluster).into();
        let mut resync = Resync::new(period);
        resync.begin(|| unreachable!("none is due"));
        clock::sleep(2 * period).await;
        resync.begin(keys);
        assert_eq!(resync.next(1).count(), 1);
        clock::sleep(2 * period).await;
        resync.begin(|| unreachable!("two are not told yet"));
        assert_eq!(resync.next(3).count(), 2);
        assert!(!resync.is_under_way());
        resync.begin(keys);
        assert_eq!(resync.next(3).count(), 3);
    }
}
