//! What the reconciles of one controller came to, counted.
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

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
#[derive(Debug, Default)]
pub(super) struct Counters {
    outcomes: [AtomicU64; Outcome::COUNT],
    running: AtomicUsize,
}

impl Counters {
    pub(super) fn count(&self, outcome: Outcome) {
        self.of(outcome).fetch_add(1, Ordering::Relaxed);
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
