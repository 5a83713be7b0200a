//! How one handler is served.
use std::time::Duration;

/// Shortest resync period; a shorter one is raised to it (client-go's `minimumResyncPeriod`).
pub const MIN_RESYNC_PERIOD: Duration = Duration::from_secs(1);

/// How one handler is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandlerOptions {
    /// `None` when nothing was said.
    resync_period: Option<Duration>,
}

impl HandlerOptions {
    /// Tells the handler of every cached object anew, as an update whose old and new state are the same, about once in
    /// `period`; zero means never, which is the default.
    ///
    /// Each handler has its own period, counted from when it was registered and drawn anew each time from a tenth less to
    /// a tenth more, so that handlers do not act in step. Periods below [`MIN_RESYNC_PERIOD`] are raised to it. Nothing is
    /// asked of the API server: a resync repeats what is cached. It is for handlers that can lose work, since the cache
    /// itself misses nothing.
    #[must_use]
    pub fn resync_period(mut self, period: Duration) -> Self {
        self.resync_period = Some(period);
        self
    }

    /// Takes what was not said from `default`.
    pub(in crate::informer) fn or(self, default: Self) -> Self {
        Self { resync_period: self.resync_period.or(default.resync_period) }
    }

    /// Returns the period, if there is to be a resync.
    pub(in crate::informer) fn resync(self) -> Option<Duration> {
        self.resync_period.filter(|period| !period.is_zero()).map(|period| period.max(MIN_RESYNC_PERIOD))
    }
}
