//! How a controller is doing: for probes and logs, and as metrics under controller-runtime's names.
use std::sync::Arc;

use crate::metrics::{Metric, Snapshot};
use crate::queue::WorkQueue;
use crate::resource::ObjectKey;

use super::count::{Counters, Counts};
use super::parking::{GateStats, Parking};
use super::source::SourceStatus;

/// How one controller is doing.
#[derive(Clone, Debug)]
pub struct ControllerStatus {
    /// Its name.
    pub name: String,
    /// The kinds it watches: it reconciles once all of them have synced.
    pub sources: Vec<SourceStatus>,
    /// How many keys are ready and wait for a worker.
    pub queued: usize,
    /// What its reconciles came to.
    pub counts: Counts,
    /// How often and for how long keys waited for caches to show their own writes.
    pub read_your_writes: GateStats,
}

/// Tells how a controller is doing, for as long as anybody asks.
#[derive(Clone)]
pub(crate) struct Monitor {
    pub(super) name: Arc<str>,
    pub(super) concurrency: usize,
    pub(super) queue: WorkQueue<ObjectKey>,
    pub(super) parking: Arc<Parking>,
    pub(super) counters: Arc<Counters>,
    pub(super) sources: Vec<Arc<dyn Fn() -> SourceStatus + Send + Sync>>,
}

impl Monitor {
    /// Returns the name of the controller.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns its status now.
    pub(crate) fn status(&self) -> ControllerStatus {
        ControllerStatus {
            name: self.name.to_string(),
            sources: self.sources.iter().map(|status| status()).collect(),
            queued: self.queue.len(),
            counts: self.counters.read(),
            read_your_writes: self.parking.stats(),
        }
    }

    /// Adds what it counted to `snapshot`, its queue's measures included.
    ///
    /// Names and labels are controller-runtime's. A conflict counts as `requeue`, its word for a rate-limited retry
    /// without an error, and not among the errors: a lost race is no reason for an alarm.
    pub(crate) fn collect(&self, snapshot: &mut Snapshot) {
        let (name, counts) = (&*self.name, self.counters.read());
        let labels = [("controller", name)];
        let errors = counts.transient_errors + counts.terminal_errors + counts.panics + counts.timeouts;
        let results = [
            ("success", counts.succeeded),
            ("error", errors),
            ("requeue", counts.conflicts),
            ("requeue_after", counts.requeued),
        ];
        for (result, count) in results {
            snapshot.counter(RECONCILES, &[labels[0], ("result", result)], count);
        }
        snapshot.counter(ERRORS, &labels, errors);
        snapshot.counter(TERMINAL, &labels, counts.terminal_errors);
        snapshot.counter(PANICS, &labels, counts.panics);
        snapshot.counter(TIMEOUTS, &labels, counts.timeouts);
        snapshot.counter(CONFLICTS, &labels, counts.conflicts);
        snapshot.histogram(TIME, &labels, &self.counters.times());
        snapshot.gauge(WORKERS, &labels, self.concurrency as f64);
        snapshot.gauge(ACTIVE, &labels, self.counters.running() as f64);
        self.queue.collect(name, snapshot);
        self.parking.stats().collect(name, snapshot);
    }
}

const RECONCILES: Metric = Metric { name: "controller_runtime_reconcile_total", help: "Reconciles by how they ended." };

const ERRORS: Metric = Metric {
    name: "controller_runtime_reconcile_errors_total",
    help: "Reconciles that failed, conflicts not counted.",
};

const TERMINAL: Metric = Metric {
    name: "controller_runtime_terminal_reconcile_errors_total",
    help: "Reconciles that failed and are not retried before their object changes.",
};

const PANICS: Metric = Metric { name: "controller_runtime_reconcile_panics_total", help: "Reconciles that panicked." };

const TIMEOUTS: Metric = Metric {
    name: "controller_runtime_reconcile_timeouts_total",
    help: "Reconciles that were dropped at the deadline of their controller.",
};

const CONFLICTS: Metric =
    Metric { name: "kubewright_reconcile_conflicts_total", help: "Reconciles that lost a race and are run again." };

const TIME: Metric =
    Metric { name: "controller_runtime_reconcile_time_seconds", help: "How long reconciles took, however they ended." };

const WORKERS: Metric = Metric {
    name: "controller_runtime_max_concurrent_reconciles",
    help: "How many reconciles of the controller may run at once.",
};

const ACTIVE: Metric =
    Metric { name: "controller_runtime_active_workers", help: "How many reconciles of the controller run now." };
