//! One worker: takes a key, reconciles it, contains whatever goes wrong, and decides when the key comes back.
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tracing::Instrument;

use crate::queue::WorkQueue;
use crate::resource::ObjectKey;

use super::count::Counters;
use super::follow_up::{Attempt, FollowUp};
use super::{ReconcileFn, panic_message, within};

/// What all workers of a controller share.
#[derive(Clone)]
pub(super) struct Worker {
    name: Arc<str>,
    queue: WorkQueue<ObjectKey>,
    reconcile: ReconcileFn,
    deadline: Option<Duration>,
    counters: Arc<Counters>,
    failing: Arc<Failing>,
}

impl Worker {
    pub(super) fn new(
        name: Arc<str>,
        queue: WorkQueue<ObjectKey>,
        reconcile: ReconcileFn,
        deadline: Option<Duration>,
        counters: Arc<Counters>,
    ) -> Self {
        Self { name, queue, reconcile, deadline, counters, failing: Arc::default() }
    }

    /// Works until `stopped` turns true, and then ends the reconcile at hand.
    pub(super) async fn run(self, mut stopped: watch::Receiver<bool>) {
        loop {
            let key = tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return,
                key = self.queue.get() => key,
            };
            let Some(key) = key else { return };
            let span = tracing::info_span!("reconcile", controller = %self.name, object = %key);
            self.work(key).instrument(span).await;
        }
    }

    async fn work(&self, key: ObjectKey) {
        // Both guards hold when the worker is aborted, too.
        let _running = self.counters.start();
        let held = Held { queue: &self.queue, key };
        let attempt = self.attempt(held.key.clone()).await;
        self.counters.count(attempt.outcome());
        self.report(&held.key, &attempt);
        match attempt.follow_up() {
            FollowUp::Forget => self.queue.forget(&held.key),
            FollowUp::ForgetAndAddAfter(delay) => {
                self.queue.forget(&held.key);
                self.queue.add_after(held.key.clone(), delay);
            }
            FollowUp::AddAfter(delay) => self.queue.add_after(held.key.clone(), delay),
            FollowUp::AddRateLimited => self.queue.add_rate_limited(held.key.clone()),
        }
    }

    /// Runs the reconcile. A panic in it, in making it or in dropping it ends here: kube-rs re-raises it in the task
    /// that drives every other key.
    async fn attempt(&self, key: ObjectKey) -> Attempt {
        let run = async {
            let reconcile = (self.reconcile)(key);
            match self.deadline {
                None => Some(reconcile.await),
                Some(deadline) => within(deadline, reconcile).await,
            }
        };
        match AssertUnwindSafe(run).catch_unwind().await {
            Ok(Some(result)) => Attempt::Returned(result),
            Ok(None) => Attempt::TimedOut,
            Err(panic) => Attempt::Panicked(panic_message(&*panic).to_owned()),
        }
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key).is_some()
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
