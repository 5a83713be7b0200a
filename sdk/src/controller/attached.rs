//! A controller at work: sources that feed its queue, workers that empty it, and how both end.
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use tokio::task::JoinSet;

use crate::queue::WorkQueue;
use crate::reconcile::ReconcileFn;
use crate::resource::ObjectKey;

use super::count::Counters;
use super::inlet::Inlet;
use super::parking::Parking;
use super::source::{self, Feed};
use super::status::Monitor;
use super::worker::{Shared, Worker};
use super::{Controller, Error, gate, timer, within};

/// A controller whose sources feed its queue. Dropping it detaches them.
pub(crate) struct Attached {
    pub(super) name: Arc<str>,
    pub(super) deadline: Option<Duration>,
    pub(super) queue: WorkQueue<ObjectKey>,
    pub(super) parking: Arc<Parking>,
    pub(super) counters: Arc<Counters>,
    pub(super) concurrency: usize,
    feeds: Vec<Feed>,
    /// Sources that have to be polled: channels, timers, the resync.
    drivers: Vec<BoxFuture<'static, ()>>,
}

impl Attached {
    /// Attaches every source to a queue of its own. Keys of informers gather there from now on; nothing runs yet.
    pub(super) fn new(controller: Controller) -> Self {
        let Controller { name, concurrency, deadline, read_your_writes, gate, limiter, resync, sources } = controller;
        let gate = gate.unwrap_or_else(|| Arc::new(gate::Open));
        let queue = WorkQueue::new(limiter).measured();
        let inlet = Inlet::new(queue.clone(), Arc::clone(&gate));
        let (mut feeds, mut drivers) = (Vec::new(), Vec::new());
        for source in sources {
            if let (Some(period), Some(primaries)) = (resync, source.primaries()) {
                drivers.push(Box::pin(timer::tick(period, Arc::clone(primaries), inlet.clone())) as BoxFuture<'_, ()>);
            }
            match source.attach(inlet.clone()) {
                source::Attached::Feed(feed) => feeds.push(feed),
                source::Attached::Driver(driver) => drivers.push(driver),
            }
        }
        let parking = Arc::new(Parking::new(gate, read_your_writes));
        let counters = Arc::new(Counters::new(concurrency));
        Self { name, deadline, queue, parking, counters, concurrency, feeds, drivers }
    }

    /// Returns a way to ask how it is doing, which outlives the controller.
    pub(crate) fn monitor(&self) -> Monitor {
        Monitor {
            name: Arc::clone(&self.name),
            concurrency: self.concurrency,
            queue: self.queue.clone(),
            parking: Arc::clone(&self.parking),
            counters: Arc::clone(&self.counters),
            sources: self.feeds.iter().map(|feed| Arc::clone(&feed.status)).collect(),
        }
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
        let mut driven = std::pin::pin!(drive(std::mem::take(&mut self.drivers)));
        let synced = join_all(self.feeds.iter_mut().map(|feed| &mut feed.synced));
        tokio::select! {
            biased;
            () = &mut stop => return Ok(0),
            never = &mut driven => match never {},
            _ = synced => {}
        }
        tracing::info!(controller = %self.name, workers = self.concurrency, "every source has synced, starting workers");
        let stopped = Arc::<AtomicBool>::default();
        let mut workers = self.workers(&reconcile, &stopped);
        let lost = tokio::select! {
            biased;
            () = &mut stop => None,
            lost = workers.join_next() => lost,
            never = &mut driven => match never {},
            never = self.parking.keep(&self.queue) => match never {},
        };
        stopped.store(true, SeqCst);
        // Wakes the workers that wait for a key.
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

    fn workers(&self, reconcile: &ReconcileFn, stopped: &Arc<AtomicBool>) -> JoinSet<()> {
        let shared = Arc::new(Shared::new(self, Arc::clone(reconcile), Arc::clone(stopped)));
        (0..self.concurrency).map(|number| Worker::new(Arc::clone(&shared), number).run()).collect()
    }
}

/// Polls sources for as long as it is polled. One that ends leaves the others alone.
async fn drive(drivers: Vec<BoxFuture<'static, ()>>) -> Infallible {
    join_all(drivers).await;
    std::future::pending().await
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

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached").field("name", &self.name).field("feeds", &self.feeds).finish_non_exhaustive()
    }
}
