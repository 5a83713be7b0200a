//! Keys by the clock: timers, and the resync of primaries.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::resource::ObjectKey;

use super::inlet::{Inlet, Trigger};
use super::source::Source;

/// Lists the keys that are due, each time it is asked.
pub(super) type KeysFn = Arc<dyn Fn() -> Vec<ObjectKey> + Send + Sync>;

/// The shortest period of a timer: a shorter one would keep its thread.
const MIN_PERIOD: Duration = Duration::from_millis(1);

impl Source {
    /// Makes a source that enqueues what `keys` returns each `period`, for the first time one period after the start.
    ///
    /// Every period is drawn anew, up to a tenth shorter or longer, so that many processes do not act in step. The keys
    /// are of low priority: whatever happens in the cluster goes first. A panic of `keys` is reported and costs its turn.
    pub fn interval<I>(period: Duration, keys: impl Fn() -> I + Send + Sync + 'static) -> Self
    where
        I: IntoIterator<Item = ObjectKey>,
    {
        let keys: KeysFn = Arc::new(move || keys().into_iter().collect());
        Self::driven(move |inlet| Box::pin(tick(period, keys, inlet)))
    }
}

/// Enqueues what `keys` returns, period after period. Never ends.
pub(super) async fn tick(period: Duration, keys: KeysFn, inlet: Inlet) {
    loop {
        clock::sleep(jittered(period)).await;
        match catch_unwind(AssertUnwindSafe(|| keys())) {
            Ok(keys) => keys.into_iter().for_each(|key| inlet.add(key, Trigger::Known)),
            // It runs in the controller's own task, which must outlive it.
            Err(panic) => tracing::warn!("a timer listed no keys: it panicked: {}", super::panic_message(&*panic)),
        }
    }
}

/// Draws a time around `period`: as controller-runtime's cache does, 0.9 to 1.1 of it.
fn jittered(period: Duration) -> Duration {
    let period = period.max(MIN_PERIOD);
    let tenth = period / 10;
    clock::between(period - tenth, period.saturating_add(tenth))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_drawn_from_a_tenth_around_it_and_never_zero() {
        let hour = Duration::from_secs(3600);
        let drawn: Vec<_> = (0..1000).map(|_| jittered(hour)).collect();
        let (low, high) = (hour - hour / 10, hour + hour / 10);
        assert!(
            drawn.iter().all(|period| (low..=high).contains(period)),
            "{:?} {:?}",
            drawn.iter().min(),
            drawn.iter().max()
        );
        assert!(drawn.iter().any(|period| *period < hour) && drawn.iter().any(|period| *period > hour));
        assert!(jittered(Duration::ZERO) > Duration::ZERO);
        assert!(jittered(Duration::MAX) > hour, "and no overflow");
    }
}
