//! Keys to work on: deduplicated, delayed, rate limited. client-go's work queue, usable on its own.
//!
//! A controller written by hand, as client-go's examples are: a handler adds keys, and workers take them. What a
//! [`Controller`](crate::controller::Controller) adds to it is that failing keys are held outside the queue, that panics and
//! deadlines are contained, and that nothing starts before the initial lists.
//!
//! ```no_run
//! use k8s_openapi::api::core::v1::Pod;
//! use kubewright::informer::handler::{Deleted, Handle, ResourceEventHandler};
//! use kubewright::{Client, InformerFactory, Lister, ObjectKey, WorkQueue};
//!
//! struct Enqueue(WorkQueue<ObjectKey>);
//!
//! impl ResourceEventHandler<Pod> for Enqueue {
//!     fn on_add(&mut self, pod: Handle<Pod>, _is_in_initial_list: bool) {
//!         self.0.add(pod.key().clone());
//!     }
//!     fn on_update(&mut self, _old: Handle<Pod>, new: Handle<Pod>) {
//!         self.0.add(new.key().clone());
//!     }
//!     fn on_delete(&mut self, gone: Deleted<Pod>) {
//!         self.0.add(gone.last.key().clone());
//!     }
//! }
//!
//! async fn work(queue: WorkQueue<ObjectKey>, pods: Lister<Pod>) {
//!     while let Some(key) = queue.get().await {
//!         match pods.get(&key) {
//!             Ok(pod) => {
//!                 println!("{key} is {}", if pod.is_some() { "there" } else { "gone" });
//!                 queue.forget(&key);
//!             }
//!             Err(_) => queue.add_rate_limited(key.clone()),
//!         }
//!         queue.done(&key); // whatever happened: until then nobody else gets the key
//!     }
//! }
//!
//! # async fn example(client: Client) {
//! let factory = InformerFactory::new(client);
//! let (queue, pods) = (WorkQueue::default(), factory.informer::<Pod>());
//! let registration = pods.add_event_handler(Enqueue(queue.clone()));
//! factory.start();
//! registration.synced().await;
//! let mut workers = tokio::task::JoinSet::new();
//! for _ in 0..4 {
//!     workers.spawn(work(queue.clone(), pods.lister()));
//! }
//! tokio::signal::ctrl_c().await.ok();
//! queue.shut_down_with_drain().await;
//! workers.join_all().await;
//! # }
//! ```
use std::collections::VecDeque;
use std::fmt;
use std::hash::Hash;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::clock;
use crate::metrics::Snapshot;

mod core;

mod delays;

pub mod limiter;

mod meter;

mod ready;

mod slots;

use self::core::Core;
pub(crate) use self::core::Delivery;
use limiter::{ItemExponential, RateLimiter};
use slots::Tick;

/// A queue of keys between event handlers and workers, with the contract of client-go's `workqueue`:
///
/// - However often a key is added before a worker takes it, it is delivered once.
/// - A key that is added while a worker holds it is delivered again, once, after [`WorkQueue::done`]: two workers never
///   hold the same key.
/// - Keys of one priority come out in the order in which they became ready, so that keys that are always ready take
///   turns. The highest [`Priority`] goes first, but never alone: see there.
/// - A key that is added again while it waits keeps its place, unless the priority is higher: then it goes last among
///   those of its new priority. It is never lowered.
/// - A delayed key keeps the earliest time and the highest priority it was asked for. It does not stop an earlier
///   [`WorkQueue::add`], nor is it taken back by one.
/// - After [`WorkQueue::shut_down`] nothing is taken in, delayed keys are dropped, and what is ready is still handed out.
///
/// The length is bounded by the number of distinct keys. Clones share the queue. A waiting [`WorkQueue::get`] may be
/// dropped at any time, as in `select!`: no key is lost by it. Times are those of tokio's clock, so a paused runtime
/// controls them.
///
/// Adding a key is one look-up in one hash table and a few writes, under a lock that is held for as long. Taking and ending
/// it are a few writes without a look-up, unless many workers hold keys; only a delay costs the logarithm of how many are
/// delayed. Now and then the containers grow or are swept, which costs each key a little and is done at once. Nothing is
/// allocated for a key while fewer are queued than were before, and the room is given back once few are left. The hash has
/// a secret, as the names of objects are chosen by whoever may create them.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use kubewright::ObjectKey;
/// use kubewright::queue::WorkQueue;
///
/// let queue = WorkQueue::default();
/// queue.add(ObjectKey::namespaced("web", "front"));
/// queue.add(ObjectKey::namespaced("web", "front"));
/// assert_eq!(queue.len(), 1);
///
/// // A worker: as many as you like may run this loop at once.
/// # let mut attempts = 0;
/// # let work = |_: &ObjectKey, attempts| if attempts == 1 { Err("not yet") } else { Ok(()) };
/// while let Some(key) = queue.get().await {
/// #   attempts += 1;
/// #   let work = |key| work(key, attempts);
///     match work(&key) {
///         Ok(()) => queue.forget(&key),
///         Err(_) => queue.add_rate_limited(key.clone()), // again after 5 ms, 10 ms, ..
///     }
///     queue.done(&key);
/// #   if attempts == 2 { queue.shut_down(); }
/// }
/// # });
/// ```
pub struct WorkQueue<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    core: Mutex<Core<T>>,
    /// When the queue was made, from which its times count.
    epoch: Instant,
    limiter: Mutex<Box<dyn RateLimiter<T>>>,
    /// Wakes one waiting `get`. Whoever leaves a wait while there is work wakes the next, so that one permit suffices.
    work: Notify,
    /// How many `get` wait, or are about to look at the queue once more before they do.
    waiting: AtomicUsize,
    /// Wakes those who wait for a drain to end.
    drained: Notify,
}

impl<T: Clone + Eq + Hash + Send> WorkQueue<T> {
    /// Makes an empty queue whose failing keys wait as long as `limiter` says.
    pub fn new(limiter: impl RateLimiter<T> + 'static) -> Self {
        Self {
            shared: Arc::new(Shared {
                core: Mutex::new(Core::new()),
                epoch: clock::now().into_std(),
                limiter: Mutex::new(Box::new(limiter)),
                work: Notify::new(),
                waiting: AtomicUsize::new(0),
                drained: Notify::new(),
            }),
        }
    }

    /// Measures itself from now on, for [`WorkQueue::collect`]. Call it before the first key: of one that was there
    /// before nobody knows since when. Measuring reads the clock with each operation.
    #[must_use]
    pub fn measured(self) -> Self {
        self.lock().measure();
        self
    }

    /// Adds a key at [`Priority::Normal`]; ignored after shutdown.
    pub fn add(&self, item: T) {
        self.add_with(item, When::Now, Priority::Normal);
    }

    /// Adds a key at [`Priority::Normal`] once `delay` has passed, at once where it is zero. A key that waits already
    /// keeps the earlier time.
    pub fn add_after(&self, item: T, delay: Duration) {
        self.add_with(item, When::After(delay), Priority::Normal);
    }

    /// Counts a failure of the key and adds it at [`Priority::Normal`] once the rate limiter allows.
    pub fn add_rate_limited(&self, item: T) {
        self.add_with(item, When::RateLimited, Priority::Normal);
    }

    /// Adds a key; ignored after shutdown.
    pub fn add_with(&self, item: T, when: When, priority: Priority) {
        let delay = match when {
            When::Now => Duration::ZERO,
            When::After(delay) => delay,
            When::RateLimited => self.back_off(&item),
        };
        let wake = {
            let (mut core, now) = self.core();
            if when != When::Now {
                core.retried();
            }
            if delay.is_zero() {
                core.add(item, priority, now)
            } else {
                core.add_at(item, self.shared.tick().saturating_add(ticks(delay)), priority)
            }
        };
        if wake {
            self.shared.wake();
        }
    }

    /// Adds a key at once and lets its next delivery say that it was asked for anew; ignored after shutdown.
    pub(crate) fn add_anew(&self, item: T, priority: Priority) {
        let wake = {
            let (mut core, now) = self.core();
            core.add_anew(item, priority, now)
        };
        if wake {
            self.shared.wake();
        }
    }

    /// Says whether a key was asked for anew since it was delivered last.
    pub(crate) fn is_anew(&self, item: &T) -> bool {
        self.lock().is_anew(item)
    }

    /// Takes back what was added with a delay that is not over.
    pub fn cancel_after(&self, item: &T) {
        self.lock().cancel(item);
    }

    /// Counts a failure of the key and returns how long the rate limiter lets it wait. It is not added.
    pub fn back_off(&self, item: &T) -> Duration {
        self.limiter().when(item, clock::now().into_std())
    }

    /// Forgets the failures of a key, so that its next back-off starts anew. It stays queued where it is queued.
    pub fn forget(&self, item: &T) {
        self.limiter().forget(item);
    }

    /// Returns how often the key failed since it was last forgotten.
    pub fn num_requeues(&self, item: &T) -> u32 {
        self.limiter().num_requeues(item)
    }

    /// Waits for a key; `None` once the queue is shut down and nothing is ready. Call [`WorkQueue::done`] with the key
    /// when the work on it has ended, however it ended: until then nobody else gets it.
    ///
    /// Dropping the future before it is ready loses nothing.
    pub async fn get(&self) -> Option<T> {
        Some(self.get_with_priority().await?.0)
    }

    /// As [`WorkQueue::get`], with the priority at which the key was ready: whoever adds the key again because its work
    /// is not finished passes it on.
    pub async fn get_with_priority(&self) -> Option<(T, Priority)> {
        // A worker whose reconciles never wait would keep its thread for as long as the queue lasts.
        tokio::task::coop::consume_budget().await;
        self.deliver().await.map(|Delivery { item, priority, .. }| (item, priority))
    }

    /// As [`WorkQueue::get`], with all that is known of the delivery. Returns at once where a key is ready, so that the
    /// caller must see to it that other tasks have their turn.
    pub(crate) async fn deliver(&self) -> Option<Delivery<T>> {
        if let Some(taken) = self.take() {
            return Some(taken);
        }
        let _baton = Baton::new(&self.shared);
        loop {
            // Made before the look at the queue, so that what happens in between wakes it.
            let woken = self.shared.work.notified();
            let due = {
                let (mut core, now) = self.core();
                if let Some(taken) = core.get(now) {
                    return Some(taken);
                }
                if core.is_shutting_down() {
                    return None;
                }
                core.next_due()
            };
            let due = due.map(|due| self.shared.epoch + Duration::from_nanos(due));
            wait(woken, due).await;
        }
    }

    /// Tells of work that ended, which is empty afterwards, and takes what is next as of `now`: one look at the queue instead
    /// of two for each key, which is what many workers of short reconciles wait for.
    ///
    /// Takes no more than the share of one worker of what is ready.
    pub(crate) fn exchange(
        &self,
        ended: &mut Vec<Ended<T>>,
        now: Instant,
        share: Share,
        next: &mut VecDeque<Delivery<T>>,
    ) {
        let (tick, now) = (|at: Instant| self.shared.tick_at(at), self.shared.tick_at(now));
        let mut again = false;
        let mut core = self.lock();
        core.promote(now);
        for Ended { delivery, begun, ended } in ended.drain(..) {
            again |= core.done_with(&delivery, tick(begun), tick(ended));
        }
        let most = (core.len() / share.workers.max(1)).clamp(1, share.keys.max(1));
        next.extend(std::iter::from_fn(|| core.get(now)).take(most));
        let (wake, drained) = (again && core.len() > 0, core.is_drained());
        drop(core);
        if wake {
            self.shared.wake();
        }
        if drained {
            self.shared.drained.notify_waiters();
        }
    }

    /// Tells of work that ended, and takes back what was taken and not begun, in its order: both are empty afterwards.
    pub(crate) fn put_back(&self, ended: &mut Vec<Ended<T>>, taken: &mut VecDeque<Delivery<T>>) {
        if ended.is_empty() && taken.is_empty() {
            return;
        }
        let mut core = self.lock();
        for Ended { delivery, begun, ended } in ended.drain(..) {
            core.done_with(&delivery, self.shared.tick_at(begun), self.shared.tick_at(ended));
        }
        taken.drain(..).rev().for_each(|delivery| core.put_back(&delivery));
        let (wake, drained) = (core.len() > 0, core.is_drained());
        drop(core);
        if wake {
            self.shared.wake();
        }
        if drained {
            self.shared.drained.notify_waiters();
        }
    }

    /// Ends the work on a key that [`WorkQueue::get`] returned. A key that was added meanwhile is ready again.
    pub fn done(&self, item: &T) {
        let (again, drained) = {
            let (mut core, now) = self.core();
            (core.done(item, now), core.is_drained())
        };
        if again {
            self.shared.wake();
        }
        if drained {
            self.shared.drained.notify_waiters();
        }
    }

    /// Returns how many keys are ready: neither those that workers hold nor those that wait for a time.
    pub fn len(&self) -> usize {
        self.core().0.len()
    }

    /// Says whether no key is ready.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes in nothing more and drops delayed keys; what is ready is still handed out, then `get` returns `None`. Ends
    /// a [`WorkQueue::shut_down_with_drain`] that waits.
    pub fn shut_down(&self) {
        self.lock().shut_down();
        self.shared.work.notify_waiters();
        self.shared.drained.notify_waiters();
    }

    /// As [`WorkQueue::shut_down`], and waits until every ready key was handed out and every `get` has had its
    /// [`WorkQueue::done`], those included that were added again while they were held.
    ///
    /// Dropping the future leaves the queue shut down.
    pub async fn shut_down_with_drain(&self) {
        self.lock().drain();
        self.shared.work.notify_waiters();
        loop {
            let woken = self.shared.drained.notified();
            if self.lock().is_drained() {
                return;
            }
            woken.await;
        }
    }

    /// Says whether the queue was shut down.
    pub fn is_shutting_down(&self) -> bool {
        self.lock().is_shutting_down()
    }

    /// Adds what a [`WorkQueue::measured`] queue measured to `snapshot`, under client-go's names and with
    /// controller-runtime's labels, so that dashboards made for them work: `name` and `controller` are `name`, and
    /// `priority` of the depth is [`Priority::value`]. Other queues add nothing.
    pub fn collect(&self, name: &str, snapshot: &mut Snapshot) {
        let reading = {
            let (core, now) = self.core();
            core.reading(now)
        };
        if let Some(reading) = reading {
            reading.write(name, snapshot);
        }
    }

    fn take(&self) -> Option<Delivery<T>> {
        let (mut core, now) = self.core();
        core.get(now)
    }

    /// Locks the state, with every delayed key that is due by now among the ready ones. The time is 0 where nothing
    /// depends on it, as reading the clock costs more than most operations.
    fn core(&self) -> (MutexGuard<'_, Core<T>>, Tick) {
        let mut core = self.lock();
        if !core.needs_time() {
            return (core, 0);
        }
        let now = self.shared.tick();
        core.promote(now);
        (core, now)
    }

    fn lock(&self) -> MutexGuard<'_, Core<T>> {
        self.shared.lock()
    }

    fn limiter(&self) -> MutexGuard<'_, Box<dyn RateLimiter<T>>> {
        self.shared.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Shared<T> {
    /// Locks the state, which is whole between any two of its statements that can panic: those of the key's own `Hash`,
    /// `Eq` and `Clone`.
    fn lock(&self) -> MutexGuard<'_, Core<T>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes a `get` that waits. Called without the lock after a change under it: a `get` that is not counted yet looks at
    /// the queue later, and finds it.
    fn wake(&self) {
        if self.waiting.load(Relaxed) > 0 {
            self.work.notify_one();
        }
    }

    fn tick(&self) -> Tick {
        self.tick_at(clock::now().into_std())
    }

    fn tick_at(&self, now: Instant) -> Tick {
        ticks(now.saturating_duration_since(self.epoch))
    }
}

/// Work that ended, and when it began and ended.
#[derive(Debug)]
pub(crate) struct Ended<T> {
    pub(crate) delivery: Delivery<T>,
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
}

/// How many keys one of so many workers takes at once, at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) keys: usize,
    pub(crate) workers: usize,
}

/// When a key is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At once.
    Now,
    /// Once this time has passed; at once where it is zero.
    After(Duration),
    /// Once the rate limiter allows, which counts it as a failure.
    RateLimited,
}

/// How urgent a key is. The highest priority that has keys ready goes first, and none waits for ever:
///
/// a priority that was passed over eight times in a row while it had keys ready is next, before any higher one; where
/// that is true of two, the one that was passed over more often. So any ten deliveries in a row hold one of each
/// priority that has keys ready all the while, and a key with `n` others ahead of it in its own priority is delivered
/// within `10 * (n + 1)` deliveries, whatever is added above it. What goes first still has eight deliveries in ten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Work in bulk that nobody waits for: initial lists and resyncs. controller-runtime's low priority.
    Low,
    /// What happens in the cluster.
    #[default]
    Normal,
    /// What somebody waits for: an edit of the object itself.
    High,
}

impl Priority {
    const COUNT: usize = 3;

    const ALL: [Self; Self::COUNT] = [Self::Low, Self::Normal, Self::High];

    /// Returns the number that stands for it in metrics: controller-runtime's -100 and 0, and 100.
    pub const fn value(self) -> i32 {
        match self {
            Self::Low => -100,
            Self::Normal => 0,
            Self::High => 100,
        }
    }
}

/// A delay that is longer than any queue lives.
const FAR_FUTURE: Duration = Duration::from_secs(10_000 * 24 * 60 * 60);

fn ticks(duration: Duration) -> Tick {
    // Neither what cannot be counted nor what the clock cannot express: such a delay never ends anyway.
    Tick::try_from(duration.min(FAR_FUTURE).as_nanos()).unwrap_or(Tick::MAX)
}

/// Waits for a notification, or for a time where there is one.
async fn wait(woken: Notified<'_>, due: Option<Instant>) {
    let Some(due) = due else { return woken.await };
    let woken = pin!(woken);
    tokio::select! {
        () = woken => {}
        () = clock::sleep(due.saturating_duration_since(clock::now().into_std())) => {}
    }
}

/// Passes the wake-up on when a `get` ends or is dropped: it may have consumed a notification meant for work that is
/// still there, or been the only one to wait for the next deadline.
struct Baton<'a, T>(&'a Shared<T>)
where
    T: Clone + Eq + Hash;

impl<'a, T: Clone + Eq + Hash> Baton<'a, T> {
    fn new(shared: &'a Shared<T>) -> Self {
        shared.waiting.fetch_add(1, Relaxed);
        Self(shared)
    }
}

impl<T: Clone + Eq + Hash> Drop for Baton<'_, T> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
        let has_work = self.0.lock().has_work();
        if has_work {
            self.0.wake();
        }
    }
}

impl<T: Clone + Eq + Hash + Send + 'static> Default for WorkQueue<T> {
    /// Makes a queue with the per-item exponential back-off of client-go's controllers, 5 ms to 1000 s.
    fn default() -> Self {
        Self::new(ItemExponential::default())
    }
}

impl<T> Clone for WorkQueue<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> fmt::Debug for WorkQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkQueue")
    }
}

#[cfg(test)]
mod tests;
