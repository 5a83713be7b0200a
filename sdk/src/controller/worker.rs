//! One worker: takes a key, reconciles it, contains whatever goes wrong, and decides when the key comes back.
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use hashbrown::HashMap;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Instrument;

use crate::clock;
use crate::queue::{Priority, When, WorkQueue};
use crate::resource::ObjectKey;

use super::count::Counters;
use super::follow_up::{Attempt, FollowUp};
use super::hold::Holds;
use super::parking::{Parking, Passage};
use super::{Attached, ReconcileFn, panic_message, within};

/// What all workers of a controller share.
#[derive(Clone)]
pub(super) struct Worker {
    name: Arc<str>,
    queue: WorkQueue<ObjectKey>,
    reconcile: ReconcileFn,
    deadline: Option<Duration>,
    counters: Arc<Counters>,
    holds: Arc<Holds>,
    parking: Arc<Parking>,
    failing: Arc<Failing>,
}

impl Worker {
    pub(super) fn new(attached: &Attached, reconcile: ReconcileFn) -> Self {
        Self {
            name: Arc::clone(&attached.name),
            queue: attached.queue.clone(),
            reconcile,
            deadline: attached.deadline,
            counters: Arc::clone(&attached.counters),
            holds: Arc::clone(&attached.holds),
            parking: Arc::clone(&attached.parking),
            failing: Arc::default(),
        }
    }

    /// Works until `stopped` turns true, and then ends the reconcile at hand.
    pub(super) async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut stopped = pin!(stopped.wait_for(|stopped| *stopped));
        loop {
            let taken = tokio::select! {
                biased;
                _ = &mut stopped => return,
                taken = self.queue.get_with_priority() => taken,
            };
            let Some((key, priority)) = taken else { return };
            let held = Held { queue: &self.queue, key };
            let begun = clock::now();
            if let Err(delay) = self.holds.begin(&held.key, begun.into_std()) {
                // Whatever happened meanwhile, it is seen when the back-off is over.
                self.queue.add_with(held.key.clone(), When::After(delay), priority);
                continue;
            }
            let span = tracing::info_span!("reconcile", controller = %self.name, object = %held.key);
            self.work(&held.key, priority, begun).instrument(span).await;
        }
    }

    async fn work(&self, key: &ObjectKey, priority: Priority, begun: Instant) {
        // Counts down when the worker is aborted, too.
        let _running = self.counters.start();
        let Some(attempt) = self.attempt(key.clone(), priority).await else { return self.holds.release(key) };
        self.counters.count(attempt.outcome(), clock::now() - begun);
        self.report(key, &attempt);
        match attempt.follow_up() {
            FollowUp::Forget => {
                self.queue.forget(key);
                self.holds.release(key);
            }
            FollowUp::ForgetAndAddAfter(delay, other) => {
                self.queue.forget(key);
                self.holds.release(key);
                self.queue.add_with(key.clone(), When::After(delay), other.unwrap_or(priority));
            }
            FollowUp::AddAfter(delay) => self.hold(key, delay, priority),
            follow_up @ (FollowUp::AddRateLimited | FollowUp::AddAfterRace) => {
                let back_off = self.queue.back_off(key);
                self.hold(key, follow_up.delay(back_off, self.queue.num_requeues(key)), priority);
            }
        }
    }

    /// Keeps a key that failed from running before `delay` is over. One whose hold was lifted meanwhile is in the queue
    /// for that reason, and what just failed says nothing about it.
    fn hold(&self, key: &ObjectKey, delay: Duration, priority: Priority) {
        if self.holds.hold(key, clock::now().into_std(), delay) {
            self.queue.add_with(key.clone(), When::After(delay), priority);
        } else {
            self.queue.forget(key);
        }
    }

    /// Runs the reconcile; `None` if the caches do not show yet what the last one wrote, and then the key comes back by
    /// itself. A panic in it, in making it or in dropping it ends here: kube-rs re-raises it in the task that drives
    /// every other key.
    async fn attempt(&self, key: ObjectKey, priority: Priority) -> Option<Attempt> {
        match self.parking.enter(&key, priority).await {
            Ok(Passage::Free) => {}
            Ok(Passage::Parked) => return None,
            Err(error) => return Some(Attempt::Returned(Err(error))),
        }
        let run = async {
            let reconcile = (self.reconcile)(key);
            match self.deadline {
                None => Some(reconcile.await),
                Some(deadline) => within(deadline, reconcile).await,
            }
        };
        Some(match AssertUnwindSafe(run).catch_unwind().await {
            Ok(Some(result)) => Attempt::Returned(result),
            Ok(None) => Attempt::TimedOut,
            Err(panic) => Attempt::Panicked(panic_message(&*panic).to_owned()),
        })
    }

    /// Logs what changed: a key that begins to fail, fails in another way, or works again. The rest is for debugging.
    fn report(&self, key: &ObjectKey, attempt: &Attempt) {
        let message = match attempt {
            Attempt::Returned(Ok(action)) => {
                tracing::debug!(?action, "reconciled");
                if self.failing.clear(key) {
                    tracing::info!("works again");
                }
                return;
            }
            Attempt::Returned(Err(error)) if attempt.is_quiet(self.queue.num_requeues(key)) => {
                tracing::debug!(%error, "lost a race, reconciling again soon");
                return;
            }
            Attempt::Returned(Err(error)) => error.to_string(),
            Attempt::Panicked(message) => format!("panicked: {message}"),
            Attempt::TimedOut => {
                format!("passed its deadline of {:?} and was dropped", self.deadline.unwrap_or_default())
            }
        };
        let next = match attempt.follow_up() {
            FollowUp::Forget => "not retried before the object changes",
            _ => "retrying",
        };
        if self.failing.note(key, &message) {
            tracing::warn!(error = %message, "reconcile failed, {next}");
        } else {
            let failures = self.queue.num_requeues(key);
            tracing::debug!(error = %message, failures, "reconcile failed again, {next}");
        }
    }
}

/// Ends the processing of a key, however it ends.
struct Held<'a> {
    queue: &'a WorkQueue<ObjectKey>,
    key: ObjectKey,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.queue.done(&self.key);
    }
}

/// The last failure of each key that fails now, as a hash: no more entries than there are objects, as a key whose
/// object is gone reconciles well.
#[derive(Debug, Default)]
struct Failing(Mutex<HashMap<ObjectKey, u64>>);

impl Failing {
    /// Notes a failure and says whether it differs from the one before.
    fn note(&self, key: &ObjectKey, message: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        message.hash(&mut hasher);
        let hash = hasher.finish();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), hash) != Some(hash)
    }

    /// Notes a success and says whether the key was failing.
    fn clear(&self, key: &ObjectKey) -> bool {
        let mut failing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !failing.is_empty() && failing.remove(key).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_news_when_it_begins_changes_or_ends() {
        let (failing, key) = (Failing::default(), ObjectKey::cluster("a"));
        assert!(failing.note(&key, "refused"));
        assert!(!failing.note(&key, "refused"));
        assert!(failing.note(&key, "timed out"));
        assert!(failing.note(&ObjectKey::cluster("b"), "timed out"));
        assert!(failing.clear(&key));
        assert!(!failing.clear(&key));
        assert!(failing.note(&key, "timed out"));
    }
}
