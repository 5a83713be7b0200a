//! Keys that wait until caches show their own writes: parked beside the queue, so that no worker waits with them.
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::select_all;
use hashbrown::HashMap;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::apply::Sight;
use crate::clock;
use crate::informer::InformerStatus;
use crate::metrics::{Histogram, Metric, Snapshot};
use crate::queue::{Priority, WorkQueue};
use crate::reconcile::{Error, Result};
use crate::resource::ObjectKey;

use super::gate::{Gate, ReadYourWrites};
use super::within;

/// The parked keys of one controller. No more than there are keys.
pub(super) struct Parking {
    gate: Arc<dyn Gate>,
    /// How long a key is parked at most; `None` where none is parked.
    deadline: Option<Duration>,
    state: Mutex<State>,
    /// How many are parked. Workers hold a key one after the other, by way of the queue's lock, so that one who reads zero
    /// knows that its own is not: where nothing is parked, no lock is taken.
    count: AtomicUsize,
    /// Says that a key was parked.
    arrived: Notify,
}

struct State {
    parked: HashMap<ObjectKey, Parked>,
    stats: GateStats,
}

#[derive(Clone, Copy)]
struct Parked {
    since: Instant,
    priority: Priority,
}

/// Whether a key may be reconciled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    Free,
    /// It comes back by itself.
    Parked,
}

/// What it took to let no reconcile read caches older than its own last write.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GateStats {
    /// How long keys were kept back, those included that were let go at the deadline.
    pub waits: Histogram,
    /// How many keys were let go at the deadline: their reconciles may have read old data.
    pub timeouts: u64,
    /// How often the outcome of writes was looked up by live reads.
    pub live_reads: u64,
}

const WAIT_BUCKETS: &[Duration] = &[
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
];

const WAIT: Metric = Metric {
    name: "kubewright_read_your_writes_wait_seconds",
    help: "How long keys were kept back until caches showed their own writes.",
};

const TIMEOUTS: Metric = Metric {
    name: "kubewright_read_your_writes_timeouts_total",
    help: "Keys that were reconciled although caches did not show their own writes in time.",
};

const LIVE_READS: Metric = Metric {
    name: "kubewright_read_your_writes_live_reads_total",
    help: "Keys for which the outcome of writes was looked up at the API server.",
};

impl Default for GateStats {
    fn default() -> Self {
        Self { waits: Histogram::new(WAIT_BUCKETS), timeouts: 0, live_reads: 0 }
    }
}

impl GateStats {
    /// Adds it to `snapshot` under the name of its controller.
    pub fn collect(&self, controller: &str, snapshot: &mut Snapshot) {
        let labels = [("controller", controller)];
        snapshot.histogram(WAIT, &labels, &self.waits);
        snapshot.counter(TIMEOUTS, &labels, self.timeouts);
        snapshot.counter(LIVE_READS, &labels, self.live_reads);
    }
}

impl Parking {
    pub(super) fn new(gate: Arc<dyn Gate>, mode: ReadYourWrites) -> Self {
        let deadline = match mode {
            ReadYourWrites::Within(deadline) => Some(deadline),
            ReadYourWrites::Off => None,
        };
        let state = Mutex::new(State { parked: HashMap::new(), stats: GateStats::default() });
        Self { gate, deadline, state, count: AtomicUsize::new(0), arrived: Notify::new() }
    }

    /// Says whether the key may be reconciled, and parks it if it may not.
    ///
    /// # Errors
    /// When the outcome of an earlier write cannot be found out.
    pub(super) async fn enter(&self, key: &ObjectKey, priority: Priority) -> Result<Passage> {
        let Some(deadline) = self.deadline else { return Ok(Passage::Free) };
        match self.gate.sight(key) {
            Sight::Clear => {
                if self.count.load(Relaxed) > 0 {
                    self.leave(&mut self.state(), key);
                }
                return Ok(Passage::Free);
            }
            Sight::Behind => {}
            Sight::Doubtful => {
                self.state().stats.live_reads += 1;
                let late = || Error::new(format!("no answer within {deadline:?} on what became of an earlier write"));
                within(deadline, self.gate.settle(key)).await.ok_or_else(late)??;
            }
        }
        // Looked at once more where it is parked, so that what shows from here on lets it go.
        let mut state = self.state();
        if self.gate.sight(key) == Sight::Clear {
            self.leave(&mut state, key);
            return Ok(Passage::Free);
        }
        let parked = Parked { since: clock::now(), priority };
        let parked = state.parked.entry(key.clone()).or_insert(parked);
        parked.priority = parked.priority.max(priority);
        self.count.store(state.parked.len(), Relaxed);
        drop(state);
        tracing::trace!("waits until the caches show what it wrote");
        self.arrived.notify_one();
        Ok(Passage::Parked)
    }

    /// Lets keys go back to `queue` once the caches show what they wrote, or at the deadline.
    pub(super) async fn keep(&self, queue: &WorkQueue<ObjectKey>) -> Infallible {
        let mut changes = self.gate.changes();
        loop {
            // What changes from here on wakes the wait below.
            changes.iter_mut().for_each(|change| drop(change.borrow_and_update()));
            let Some(next) = self.deadline.and_then(|deadline| self.release(queue, deadline)) else {
                self.arrived.notified().await;
                continue;
            };
            let wait = next.saturating_duration_since(clock::now());
            tokio::select! {
                () = self.arrived.notified() => {}
                () = any(&mut changes) => {}
                () = clock::sleep(wait) => {}
            }
        }
    }

    pub(super) fn stats(&self) -> GateStats {
        self.state().stats.clone()
    }

    /// Lets go what may go, and returns when the next key has waited for long enough.
    fn release(&self, queue: &WorkQueue<ObjectKey>, deadline: Duration) -> Option<Instant> {
        let now = clock::now();
        let mut state = self.state();
        let keys: Vec<_> = state.parked.iter().map(|(key, parked)| (key.clone(), *parked)).collect();
        let mut next = None;
        for (key, Parked { since, priority }) in keys {
            let due = since + deadline;
            if self.gate.sight(&key) == Sight::Clear {
                self.leave(&mut state, &key);
            } else if due <= now {
                tracing::warn!(object = %key, waited = ?deadline, "caches do not show what was written, reconciling nevertheless");
                state.stats.timeouts += 1;
                self.leave(&mut state, &key);
                self.gate.overlook(&key);
            } else {
                next = next.min(Some(due)).or(Some(due));
                continue;
            }
            queue.add_with(key, crate::queue::When::Now, priority);
        }
        next
    }

    /// Counts the wait of a key that was parked.
    fn leave(&self, state: &mut State, key: &ObjectKey) {
        if let Some(parked) = state.parked.remove(key) {
            state.stats.waits.observe(clock::now() - parked.since);
            self.count.store(state.parked.len(), Relaxed);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until one of them changes; for ever where there is none.
async fn any(changes: &mut [watch::Receiver<InformerStatus>]) {
    if changes.is_empty() {
        return std::future::pending().await;
    }
    // An informer outlives its controller, so that waiting for it does not fail.
    let changed = changes.iter_mut().map(|change| Box::pin(async { drop(change.changed().await) }));
    select_all(changed).await;
}
