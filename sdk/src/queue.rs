//! Keys to work on: deduplicated, delayed, rate limited. client-go's work queue, usable on its own.
use std::fmt;
use std::hash::Hash;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::clock;

mod core;

pub mod limiter;

use self::core::Core;
use limiter::{ItemExponential, RateLimiter};

/// A queue of keys between event handlers and workers, with the contract of client-go's `workqueue`:
///
/// - However often a key is added before a worker takes it, it is delivered once.
/// - A key that is added while a worker holds it is delivered again, once, after [`WorkQueue::done`]: two workers never
///   hold the same key.
/// - Keys come out in the order in which they became ready.
/// - A delayed key keeps the earliest time it was asked for. It does not stop an earlier [`WorkQueue::add`], nor is it
///   taken back by one.
/// - After [`WorkQueue::shut_down`] nothing is taken in, delayed keys are dropped, and what is ready is still handed out.
///
/// The length is bounded by the number of distinct keys. Clones share the queue. A waiting [`WorkQueue::get`] may be
/// dropped at any time, as in `select!`: no key is lost by it. Times are those of tokio's clock, so a paused runtime
/// controls them.
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
/// # let mut work = |_: &ObjectKey| { attempts += 1; if attempts == 1 { Err(()) } else { Ok(()) } };
/// while let Some(key) = queue.get().await {
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
    limiter: Mutex<Box<dyn RateLimiter<T>>>,
    /// Wakes one waiting `get`. Whoever leaves a wait while there is work wakes the next, so that one permit suffices.
    work: Notify,
    /// Wakes those who wait for a drain to end.
    drained: Notify,
}

impl<T: Clone + Eq + Hash + Send> WorkQueue<T> {
    /// Makes an empty queue whose failing keys wait as long as `limiter` says.
    pub fn new(limiter: impl RateLimiter<T> + 'static) -> Self {
        Self {
            shared: Arc::new(Shared {
                core: Mutex::new(Core::new()),
                limiter: Mutex::new(Box::new(limiter)),
                work: Notify::new(),
                drained: Notify::new(),
            }),
        }
    }

    /// Adds a key; ignored after shutdown.
    pub fn add(&self, item: T) {
        let added = self.core().add(item);
        if added {
            self.shared.work.notify_one();
        }
    }

    /// Adds a key once `delay` has passed, at once where it is zero. A key that waits already keeps the earlier time.
    pub fn add_after(&self, item: T, delay: Duration) {
        if delay.is_zero() {
            return self.add(item);
        }
        let now = clock::now().into_std();
        // A delay beyond what the clock can express never ends: the queue's life is shorter than ten thousand days.
        let due = now.checked_add(delay).unwrap_or(now + FAR_FUTURE);
        let earlier = self.core().add_at(item, due);
        if earlier {
            self.shared.work.notify_one();
        }
    }

    /// Counts a failure of the key and adds it once the rate limiter allows.
    pub fn add_rate_limited(&self, item: T) {
        let delay = self.limiter().when(&item, clock::now().into_std());
        self.add_after(item, delay);
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
        // A worker whose reconciles never wait would keep its thread for as long as the queue lasts.
        tokio::task::coop::consume_budget().await;
        if let Some(item) = self.core().get() {
            return Some(item);
        }
        let _baton = Baton(&self.shared);
        loop {
            // Made before the look at the queue, so that what happens in between wakes it.
            let woken = self.shared.work.notified();
            let due = {
                let mut core = self.core();
                if let Some(item) = core.get() {
                    return Some(item);
                }
                if core.is_shutting_down() {
                    return None;
                }
                core.next_due()
            };
            wait(woken, due).await;
        }
    }

    /// Ends the work on a key that [`WorkQueue::get`] returned. A key that was added meanwhile is ready again.
    pub fn done(&self, item: &T) {
        let (again, drained) = {
            let mut core = self.core();
            (core.done(item), core.is_drained())
        };
        if again {
            self.shared.work.notify_one();
        }
        if drained {
            self.shared.drained.notify_waiters();
        }
    }

    /// Returns how many keys are ready: neither those that workers hold nor those that wait for a time.
    pub fn len(&self) -> usize {
        self.core().len()
    }

    /// Says whether no key is ready.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes in nothing more and drops delayed keys; what is ready is still handed out, then `get` returns `None`. Ends
    /// a [`WorkQueue::shut_down_with_drain`] that waits.
    pub fn shut_down(&self) {
        self.core().shut_down();
        self.shared.work.notify_waiters();
        self.shared.drained.notify_waiters();
    }

    /// As [`WorkQueue::shut_down`], and waits until every ready key was handed out and every `get` has had its
    /// [`WorkQueue::done`], those included that were added again while they were held.
    ///
    /// Dropping the future leaves the queue shut down.
    pub async fn shut_down_with_drain(&self) {
        self.core().drain();
        self.shared.work.notify_waiters();
        loop {
            let woken = self.shared.drained.notified();
            if self.core().is_drained() {
                return;
            }
            woken.await;
        }
    }

    /// Says whether the queue was shut down.
    pub fn is_shutting_down(&self) -> bool {
        self.core().is_shutting_down()
    }

    /// Locks the state, with every delayed key that is due by now among the ready ones.
    fn core(&self) -> MutexGuard<'_, Core<T>> {
        // The state is whole between any two of its statements that can panic: those of the key's own `Hash` and `Eq`.
        let mut core = self.shared.core.lock().unwrap_or_else(PoisonError::into_inner);
        if core.next_due().is_some() {
            core.promote(clock::now().into_std());
        }
        core
    }

    fn limiter(&self) -> MutexGuard<'_, Box<dyn RateLimiter<T>>> {
        self.shared.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stands for a delay that never ends.
const FAR_FUTURE: Duration = Duration::from_secs(10_000 * 24 * 60 * 60);

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

impl<T: Clone + Eq + Hash> Drop for Baton<'_, T> {
    fn drop(&mut self) {
        let has_work = self.0.core.lock().unwrap_or_else(PoisonError::into_inner).has_work();
        if has_work {
            self.0.work.notify_one();
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
