//! What the reconciles of one controller came to, counted.
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
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
    shares: Box<[Share]>,
}

/// How many shares there are at most. Workers take turns with them, so that those of an ordinary controller have one each
/// and wait for nobody to count a reconcile that takes a microsecond; of many workers, most wait for something else anyway.
const MAX_SHARES: usize = 16;

/// What some of the workers counted. Apart from the others in memory, or two processors would pass it to and fro.
#[derive(Debug)]
#[repr(align(128))]
struct Share {
    running: AtomicUsize,
    tally: Mutex<Tally>,
}

#[derive(Debug)]
struct Tally {
    outcomes: [u64; Outcome::COUNT],
    times: Histogram,
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

impl Counters {
    /// Makes counters for so many workers, of which nothing has run.
    pub(super) fn new(workers: usize) -> Self {
        let share = || Share {
            running: AtomicUsize::new(0),
            tally: Mutex::new(Tally { outcomes: [0; Outcome::COUNT], times: Histogram::new(BOUNDS) }),
        };
        Self { shares: (0..workers.clamp(1, MAX_SHARES)).map(|_| share()).collect() }
    }

    /// Counts a reconcile of the worker with this number as running until the guard is dropped or told how it ended.
    pub(super) fn start(&self, worker: usize) -> Running<'_> {
        let share = &self.shares[worker % self.shares.len()];
        share.running.fetch_add(1, Relaxed);
        Running(share)
    }

    pub(super) fn running(&self) -> usize {
        self.shares.iter().map(|share| share.running.load(Relaxed)).sum()
    }

    /// Returns how long reconciles took.
    pub(super) fn times(&self) -> Histogram {
        let mut times = Histogram::new(BOUNDS);
        self.shares.iter().for_each(|share| times.merge(&share.tally().times));
        times
    }

    pub(super) fn read(&self) -> Counts {
        let read = |outcome: Outcome| self.shares.iter().map(|share| share.tally().outcomes[outcome as usize]).sum();
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
}

impl Share {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reconcile that runs.
#[derive(Debug)]
pub(super) struct Running<'a>(&'a Share);

impl Running<'_> {
    /// Counts that it ended in this way after so long.
    pub(super) fn ended(self, outcome: Outcome, time: Duration) {
        let mut tally = self.0.tally();
        tally.outcomes[outcome as usize] += 1;
        tally.times.observe(time);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_workers_count_apart_is_told_together() {
        let workers = 2 * MAX_SHARES + 1;
        let counters = Counters::new(workers);
        let runs: Vec<_> = (0..workers).map(|worker| counters.start(worker)).collect();
        assert_eq!((counters.running(), counters.shares.len()), (workers, MAX_SHARES));
        for (number, run) in runs.into_iter().enumerate() {
            let outcome = if number == 0 { Outcome::Conflict } else { Outcome::Succeeded };
            run.ended(outcome, Duration::from_millis(7));
        }
        let counts = Counts { conflicts: 1, succeeded: workers as u64 - 1, ..Counts::default() };
        assert_eq!((counters.running(), counters.read()), (0, counts));
        assert_eq!(counters.times().count(), workers as u64);
        assert_eq!(counters.times().sum(), Duration::from_millis(7) * workers as u32);
        assert_eq!(Counters::new(0).running(), 0);
    }
}
