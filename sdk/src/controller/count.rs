//! What the reconciles of one controller came to, counted.
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::metrics::Histogram;

use super::follow_up::Outcome;

/// How often the reconciles of one controller ended in which way since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Ended well, nothing more asked for.
    pub succeeded: u64,
    /// Ended well and asked to come back.
    pub requeued: u64,
    /// Failed with a transient error.
    pub transient_errors: u64,
    /// Lost a race.
    pub conflicts: u64,
    /// Failed with a terminal error.
    pub terminal_errors: u64,
    /// Panicked.
    pub panics: u64,
    /// Were dropped at the controller's deadline. Time limits inside a reconcile do not count.
    pub timeouts: u64,
}

/// The same, while it counts.
#[derive(Debug)]
pub(super) struct Counters {
    outcomes: [AtomicU64; Outcome::COUNT],
    running: AtomicUsize,
    times: Mutex<Histogram>,
}

/// controller-runtime's buckets of `reconcile_time_seconds`, in milliseconds.
const BOUNDS: &[Duration] = &{
    const MILLISECONDS: [u64; 40] = [
        5, 10, 25, 50, 100, 150, 200, 250, 300, 350, 400, 450, 500, 600, 700, 800, 900, 1000, 1250, 1500, 1750, 2000,
        2500, 3000, 3500, 4000, 4500, 5000, 6000, 7000, 8000, 9000, 10_000, 15_000, 20_000, 25_000, 30_000, 40_000,
        50_000, 60_000,
    ];
    let mut bounds = [Duration::ZERO; MILLISECONDS.len()];
    let mut index = 0;
    while index < bounds.len() {
        bounds[index] = Duration::from_millis(MILLISECONDS[index]);
        index += 1;
    }
    bounds
};

impl Default for Counters {
    fn default() -> Self {
        let (outcomes, running) = Default::default();
        Self { outcomes, running, times: Mutex::new(Histogram::new(BOUNDS)) }
    }
}

impl Counters {
    /// Counts a reconcile that ended in this way after so long.
    pub(super) fn count(&self, outcome: Outcome, time: Duration) {
        self.of(outcome).fetch_add(1, Ordering::Relaxed);
        self.lock().observe(time);
    }

    /// Returns how long reconciles took.
    pub(super) fn times(&self) -> Histogram {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Histogram> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a reconcile as running until the guard is dropped.
    pub(super) fn start(&self) -> Running<'_> {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(self)
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    pub(super) fn read(&self) -> Counts {
        let read = |outcome: Outcome| self.of(outcome).load(Ordering::Relaxed);
        Counts {
            succeeded: read(Outcome::Succeeded),
            requeued: read(Outcome::Requeued),
            transient_errors: read(Outcome::Transient),
            conflicts: read(Outcome::Conflict),
            terminal_errors: read(Outcome::Terminal),
            panics: read(Outcome::Panicked),
            timeouts: read(Outcome::TimedOut),
        }
    }

    fn of(&self, outcome: Outcome) -> &AtomicU64 {
        &self.outcomes[outcome as usize]
    }
}

/// A reconcile that runs.
#[derive(Debug)]
pub(super) struct Running<'a>(&'a Counters);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}
