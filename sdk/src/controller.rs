//! Keys from sources, worked off by a reconcile function: one key never twice at once, no failure takes down another.
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock;
use crate::metrics::Snapshot;
use crate::queue::WorkQueue;
use crate::reconcile::ReconcileFn;
use crate::resource::ObjectKey;

mod count;

mod follow_up;

mod gate;

mod hold;

pub(crate) mod inlet;

mod mapping;

mod parking;

mod source;

mod worker;

pub use count::Counts;
pub(crate) use gate::Gate;
pub use gate::{DEFAULT_READ_YOUR_WRITES_DEADLINE, ReadYourWrites};
pub use parking::GateStats;
pub use source::SourceStatus;
pub(crate) use source::{Feed, Source, describe};

use count::Counters;
use hold::Holds;
use inlet::Inlet;
use parking::Parking;
use worker::Worker;

/// A controller that is described and not yet attached to anything.
///
/// | the reconcile | the key | its failure count |
/// |---|---|---|
/// | `Ok`, [`Action::await_change`](crate::reconcile::Action::await_change) | waits for an event | forgotten |
/// | `Ok`, [`Action::requeue_after`](crate::reconcile::Action::requeue_after) | comes back after that time, or earlier by an event | forgotten |
/// | `Err`, transient or conflict | comes back after 5 ms, doubling up to 1000 s | grows |
/// | `Err` with a delay | comes back after that delay | unchanged |
/// | `Err`, terminal | waits for an event | forgotten |
/// | panicked, or passed its deadline | as a transient error | grows |
///
/// This is controller-runtime's table; it differs in that an error's own delay is kept, and in that events do not bring
/// back a key before its back-off is over: they wait and are seen together. Only what the primary itself asks for anew
/// does, by a new generation or its deletion, and then its failures are forgotten.
///
/// A key that comes back keeps the priority it had. Initial lists and resyncs are of low priority, changes of the primary's
/// generation and its deletion of high, everything else of normal: see [`Priority`](crate::queue::Priority).
///
/// [`Action::await_change`]: crate::reconcile::Action::await_change
/// [`Action::requeue_after`]: crate::reconcile::Action::requeue_after
pub struct Controller {
    name: Arc<str>,
    concurrency: usize,
    deadline: Option<Duration>,
    read_your_writes: ReadYourWrites,
    gate: Option<Arc<dyn Gate>>,
    sources: Vec<Source>,
}

impl Controller {
    /// Describes a controller that runs up to `concurrency` reconciles at once, at least one.
    pub fn new(name: &str, concurrency: usize) -> Self {
        let (concurrency, read_your_writes) = (concurrency.max(1), ReadYourWrites::default());
        Self { name: name.into(), concurrency, deadline: None, read_your_writes, gate: None, sources: Vec::new() }
    }

    /// Drops a reconcile that takes longer than `deadline` and counts it as a transient error.
    ///
    /// There is none unless it is set, as in controller-runtime: only the author knows where the reconcile may be cut.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets whether, and for how long at most, a reconcile waits until caches show what the ones before it wrote.
    #[must_use]
    pub fn read_your_writes(mut self, read_your_writes: ReadYourWrites) -> Self {
        self.read_your_writes = read_your_writes;
        self
    }

    /// Names who knows what was written for a key and what the caches show of it.
    #[must_use]
    pub(crate) fn gate(mut self, gate: Arc<dyn Gate>) -> Self {
        self.gate = Some(gate);
        self
    }

    /// Adds an input.
    #[must_use]
    pub(crate) fn source(mut self, source: Source) -> Self {
        self.sources.push(source);
        self
    }

    /// Attaches every source to a queue of its own. Keys gather there from now on; nothing runs yet.
    pub(crate) fn attach(self) -> Attached {
        let Self { name, concurrency, deadline, read_your_writes, gate, sources } = self;
        let (gate, patience) = gate::choose(gate, read_your_writes);
        let parking = Arc::new(Parking::new(gate, patience));
        let (queue, holds, counters) = (WorkQueue::default().measured(), Arc::<Holds>::default(), Arc::default());
        let inlet = Inlet::new(queue.clone(), Arc::clone(&holds));
        let feeds = sources.into_iter().map(|source| source.attach(inlet.clone())).collect();
        Attached { name, concurrency, deadline, feeds, queue, holds, parking, counters }
    }
}

/// A controller whose sources feed its queue. Dropping it detaches them.
pub(crate) struct Attached {
    name: Arc<str>,
    concurrency: usize,
    deadline: Option<Duration>,
    feeds: Vec<Feed>,
    queue: WorkQueue<ObjectKey>,
    holds: Arc<Holds>,
    parking: Arc<Parking>,
    counters: Arc<Counters>,
}

/// Tells how a controller is doing, for as long as anybody asks.
pub(crate) type StatusFn = Arc<dyn Fn() -> ControllerStatus + Send + Sync>;

/// Adds what a controller measured to a snapshot, for as long as anybody asks.
pub(crate) type CollectFn = Arc<dyn Fn(&mut Snapshot) + Send + Sync>;

impl Attached {
    /// Returns a way to ask for what was measured, which outlives the controller.
    pub(crate) fn collect(&self) -> CollectFn {
        let (name, queue, parking) = (Arc::clone(&self.name), self.queue.clone(), Arc::clone(&self.parking));
        Arc::new(move |snapshot| {
            queue.collect(&name, snapshot);
            parking.stats().collect(&name, snapshot);
        })
    }

    /// Returns a way to ask for the status, which outlives the controller.
    pub(crate) fn status(&self) -> StatusFn {
        let (name, queue, counters) = (Arc::clone(&self.name), self.queue.clone(), Arc::clone(&self.counters));
        let parking = Arc::clone(&self.parking);
        let sources: Vec<_> = self.feeds.iter().map(|feed| Arc::clone(&feed.status)).collect();
        Arc::new(move || ControllerStatus {
            name: name.to_string(),
            sources: sources.iter().map(|status| status()).collect(),
            queued: queue.len(),
            counts: counters.read(),
            read_your_writes: parking.stats(),
        })
    }

    /// Waits for every source's initial list, then reconciles until `stop` is ready. Reconciles that run then get
    /// `grace` to end and are dropped after it; keys that wait are dropped, as the next start lists everything anew.
    /// Dropping the future drops every reconcile at once.
    ///
    /// Returns how many reconciles were dropped.
    ///
    /// # Errors
    /// [`Error::WorkerLost`] when a worker ended by itself, which is a defect of this crate.
    pub(crate) async fn run(
        mut self,
        reconcile: ReconcileFn,
        stop: impl Future<Output = ()> + Send,
        grace: Duration,
    ) -> Result<usize, Error> {
        let mut stop = std::pin::pin!(stop);
        let synced = join_all(self.feeds.iter_mut().map(|feed| &mut feed.synced));
        tokio::select! {
            biased;
            () = &mut stop => return Ok(0),
            _ = synced => {}
        }
        tracing::info!(controller = %self.name, workers = self.concurrency, "every source has synced, starting workers");
        let (stopping, stopped) = watch::channel(false);
        let mut workers = self.workers(&reconcile, &stopped);
        let lost = tokio::select! {
            biased;
            () = &mut stop => None,
            lost = workers.join_next() => lost,
            never = self.parking.keep(&self.queue) => match never {},
        };
        // Nobody listens only when every worker has ended.
        let _ = stopping.send(true);
        self.queue.shut_down();
        let dropped = finish(workers, grace, &self.counters).await;
        match lost {
            None => Ok(dropped),
            Some(end) => Err(Error::WorkerLost {
                controller: self.name.to_string(),
                reason: end.map_or_else(|error| error.to_string(), |()| "it returned".to_owned()),
            }),
        }
    }

    fn workers(&self, reconcile: &ReconcileFn, stopped: &watch::Receiver<bool>) -> JoinSet<()> {
        let worker = Worker::new(self, Arc::clone(reconcile));
        let mut workers = JoinSet::new();
        for _ in 0..self.concurrency {
            workers.spawn(worker.clone().run(stopped.clone()));
        }
        workers
    }
}

/// How long aborted workers may take to end: they end at their next await, unless they block their thread for good,
/// and then waiting longer would not help.
const ABORT_WAIT: Duration = Duration::from_secs(1);

/// Waits for the workers to end, and drops what still runs after `grace`. Returns how many reconciles that were.
async fn finish(mut workers: JoinSet<()>, grace: Duration, counters: &Counters) -> usize {
    if within(grace, async { while workers.join_next().await.is_some() {} }).await.is_some() {
        return 0;
    }
    let dropped = counters.running();
    workers.abort_all();
    within(ABORT_WAIT, async { while workers.join_next().await.is_some() {} }).await;
    dropped
}

/// Runs `future` for at most `limit`; `None` when it did not end by then.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = clock::sleep(limit) => None,
    }
}

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

/// Why a controller ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A worker ended though nobody had asked it to.
    #[error("a worker of controller {controller} ended: {reason}. This is a defect, please report it")]
    WorkerLost {
        /// Name of the controller.
        controller: String,
        /// How it ended.
        reason: String,
    },
}

/// Returns what a panic said, where it said anything.
fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller").field("name", &self.name).field("sources", &self.sources.len()).finish()
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached").field("name", &self.name).field("feeds", &self.feeds).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
