//! What a queue measures of itself: client-go's `workqueue` metrics.
use std::time::Duration;

use crate::metrics::{Histogram, Metric, Snapshot};

use super::Priority;
use super::slots::Tick;

/// controller-runtime's buckets: from 10 ns to 1000 s, each ten times the one before.
const BOUNDS: &[Duration] = &[
    Duration::from_nanos(10),
    Duration::from_nanos(100),
    Duration::from_micros(1),
    Duration::from_micros(10),
    Duration::from_micros(100),
    Duration::from_millis(1),
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(100),
    Duration::from_secs(1000),
];

/// Counts what happens in the queue.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    adds: u64,
    retries: u64,
    queued: Histogram,
    worked: Histogram,
    /// Of the keys that workers hold.
    started: u128,
}

impl Meter {
    pub(super) fn new() -> Self {
        let (queued, worked) = (Histogram::new(BOUNDS), Histogram::new(BOUNDS));
        Self { adds: 0, retries: 0, queued, worked, started: 0 }
    }

    pub(super) fn added(&mut self) {
        self.adds += 1;
    }

    pub(super) fn retried(&mut self) {
        self.retries += 1;
    }

    pub(super) fn taken(&mut self, added: Tick, now: Tick) {
        self.queued.observe(Duration::from_nanos(now.saturating_sub(added)));
        self.started += u128::from(now);
    }

    /// A key that was taken goes back; `counted` says that how long it was ready for will be counted again.
    pub(super) fn put_back(&mut self, added: Tick, started: Tick, counted: bool) {
        if counted {
            self.queued.retract(Duration::from_nanos(started.saturating_sub(added)));
        }
        self.started -= u128::from(started);
    }

    /// The work on a key that was taken at `started` ended, and took since `begun`.
    pub(super) fn done(&mut self, started: Tick, begun: Tick, now: Tick) {
        self.worked.observe(Duration::from_nanos(now.saturating_sub(begun)));
        self.started -= u128::from(started);
    }
}

/// What a queue showed at one moment.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) meter: Meter,
    pub(super) now: Tick,
    pub(super) depth: [usize; Priority::COUNT],
    pub(super) held: usize,
    /// When the work began that runs longest.
    pub(super) oldest: Option<Tick>,
}

impl Reading {
    /// Writes it under client-go's names with controller-runtime's labels.
    pub(super) fn write(&self, name: &str, snapshot: &mut Snapshot) {
        let labels = [("name", name), ("controller", name)];
        for priority in Priority::ALL {
            let priority_label = priority.value().to_string();
            let labels = [labels[0], labels[1], ("priority", priority_label.as_str())];
            snapshot.gauge(DEPTH, &labels, self.depth[priority as usize] as f64);
        }
        snapshot.counter(ADDS, &labels, self.meter.adds);
        snapshot.counter(RETRIES, &labels, self.meter.retries);
        snapshot.histogram(QUEUE_DURATION, &labels, &self.meter.queued);
        snapshot.histogram(WORK_DURATION, &labels, &self.meter.worked);
        // Each held key has run since it started: together, as many times now as there are, less all the starts.
        let unfinished = (self.held as u128 * u128::from(self.now)).saturating_sub(self.meter.started);
        snapshot.gauge(UNFINISHED, &labels, unfinished as f64 / 1e9);
        let longest = self.oldest.map_or(0, |oldest| self.now.saturating_sub(oldest));
        snapshot.gauge(LONGEST, &labels, longest as f64 / 1e9);
    }
}

const DEPTH: Metric = Metric { name: "workqueue_depth", help: "Keys that are ready and wait for a worker." };

const ADDS: Metric =
    Metric { name: "workqueue_adds_total", help: "Keys added, those that waited already not counted." };

const RETRIES: Metric =
    Metric { name: "workqueue_retries_total", help: "Keys added with a delay, of their own or of the rate limiter." };

const QUEUE_DURATION: Metric =
    Metric { name: "workqueue_queue_duration_seconds", help: "How long keys were ready before a worker took them." };

const WORK_DURATION: Metric = Metric { name: "workqueue_work_duration_seconds", help: "How long workers held a key." };

const UNFINISHED: Metric = Metric {
    name: "workqueue_unfinished_work_seconds",
    help: "How long the keys that workers hold now have been held, together.",
};

const LONGEST: Metric = Metric {
    name: "workqueue_longest_running_processor_seconds",
    help: "How long the key that is held longest has been held.",
};
