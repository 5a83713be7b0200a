//! One worker: takes a key, reconciles it, contains whatever goes wrong, and decides when the key comes back.
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;
use tracing::Instrument;

use crate::clock;
use crate::queue::{Delivery, Priority, When, WorkQueue};
use crate::resource::ObjectKey;

use super::count::Counters;
use super::follow_up::{Attempt, FollowUp, Outcome};
use super::hand::Hand;
use super::hold::{Holds, Recovery};
use super::parking::{Parking, Passage};
use super::{Attached, ReconcileFn, panic_message, within};

/// What all workers of a controller share.
pub(super) struct Shared {
    name: Arc<str>,
    queue: WorkQueue<ObjectKey>,
    reconcile: ReconcileFn,
    deadline: Option<Duration>,
    workers: usize,
    counters: Arc<Counters>,
    holds: Holds,
    parking: Arc<Parking>,
    /// Whether to end, after the reconcile at hand.
    stopped: Arc<AtomicBool>,
}

impl Shared {
    pub(super) fn new(attached: &Attached, reconcile: ReconcileFn, stopped: Arc<AtomicBool>) -> Self {
        Self {
            name: Arc::clone(&attached.name),
            queue: attached.queue.clone(),
            reconcile,
            deadline: attached.deadline,
            workers: attached.concurrency,
            counters: Arc::clone(&attached.counters),
            holds: Holds::default(),
            parking: Arc::clone(&attached.parking),
            stopped,
        }
    }
}

/// One of them. What it does between two short reconciles is what their rate depends on: it looks at the queue once or less, reads
/// the clock once, and takes no other lock that workers share, unless something fails.
pub(super) struct Worker {
    shared: Arc<Shared>,
    number: usize,
}

impl Worker {
    /// Makes the worker with this number, from 0.
    pub(super) fn new(shared: Arc<Shared>, number: usize) -> Self {
        Self { shared, number }
    }

    /// Works until the queue is shut down and empty, or until it is stopped, and then ends the reconcile at hand.
    pub(super) async fn run(self) {
        let (mut hand, mut last) = (Hand::new(&self.shared.queue, self.shared.workers), None);
        while let Some((delivery, mut begun)) = hand.next(last).await {
            if self.shared.stopped.load(SeqCst) {
                return;
            }
            // A worker whose reconciles never wait would keep its thread for as long as the queue lasts.
            let mut turn = pin!(tokio::task::coop::consume_budget());
            if turn.as_mut().now_or_never().is_none() {
                hand.let_go();
                turn.await;
                begun = clock::now();
            }
            let span = tracing::info_span!("reconcile", controller = %self.shared.name, object = %delivery.item);
            let mut work = pin!(self.work(&delivery, begun).instrument(span));
            let ended = poll_fn(|task| {
                let polled = work.as_mut().poll(task);
                if polled.is_pending() {
                    hand.let_go();
                }
                polled
            })
            .await;
            hand.end(ended);
            last = Some(ended);
        }
    }

    /// Reconciles a key, unless it is held, and does what follows. Returns when the reconcile ended.
    async fn work(&self, delivery: &Delivery<ObjectKey>, begun: Instant) -> Instant {
        let Delivery { item: key, priority, anew, .. } = delivery;
        let Shared { queue, holds, .. } = &*self.shared;
        if *anew && holds.lift(key) {
            queue.forget(key);
        }
        if let Some(wait) = holds.wait(key, begun.into_std()) {
            // Whatever happened meanwhile, it is seen when the back-off is over.
            queue.add_with(key.clone(), When::After(wait), *priority);
            return begun;
        }
        // Counts down when the worker is aborted, too.
        let running = self.shared.counters.start(self.number);
        let attempt = self.attempt(key, *priority).await;
        let ended = clock::now();
        if let Some(attempt) = attempt {
            running.ended(attempt.outcome(), ended - begun);
            self.report(key, &attempt);
            self.follow_up(key, *priority, &attempt, ended);
        }
        ended
    }

    fn follow_up(&self, key: &ObjectKey, priority: Priority, attempt: &Attempt, ended: Instant) {
        let Shared { queue, holds, .. } = &*self.shared;
        let hold = |delay: Duration| {
            if queue.is_anew(key) {
                // What just failed says nothing about what is asked for now, for which the key is queued already.
                holds.lift(key);
                queue.forget(key);
            } else {
                holds.fail(key, ended.into_std().checked_add(delay));
                queue.add_with(key.clone(), When::After(delay), priority);
            }
        };
        match attempt.follow_up() {
            FollowUp::Forget if attempt.outcome() == Outcome::Terminal => {
                holds.fail(key, None);
                queue.forget(key);
            }
            FollowUp::Forget => self.recovered(key),
            FollowUp::ForgetAndAddAfter(delay, other) => {
                self.recovered(key);
                queue.add_with(key.clone(), When::After(delay), other.unwrap_or(priority));
            }
            FollowUp::AddAfter(delay) => hold(delay),
            follow_up @ (FollowUp::AddRateLimited | FollowUp::AddAfterRace) => {
                let back_off = queue.back_off(key);
                hold(follow_up.delay(back_off, queue.num_requeues(key)));
            }
        }
    }

    /// Forgets the failures of a key that reconciled well.
    fn recovered(&self, key: &ObjectKey) {
        let Some(recovery) = self.shared.holds.recover(key) else { return };
        self.shared.queue.forget(key);
        if recovery == Recovery::Told {
            tracing::info!("works again");
        }
    }

    /// Runs the reconcile; `None` if the caches do not show yet what the last one wrote, and then the key comes back by
    /// itself. A panic in it, in making it or in dropping it ends here: kube-rs re-raises it in the task that drives
    /// every other key.
    async fn attempt(&self, key: &ObjectKey, priority: Priority) -> Option<Attempt> {
        match self.shared.parking.enter(key, priority).await {
            Ok(Passage::Free) => {}
            Ok(Passage::Parked) => return None,
            Err(error) => return Some(Attempt::Returned(Err(error))),
        }
        let run = async {
            let reconcile = (self.shared.reconcile)(key.clone());
            match self.shared.deadline {
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
        let Shared { queue, holds, deadline, .. } = &*self.shared;
        let message = match attempt {
            Attempt::Returned(Ok(action)) => {
                tracing::debug!(?action, "reconciled");
                return;
            }
            Attempt::Returned(Err(error)) if attempt.is_quiet(queue.num_requeues(key)) => {
                tracing::debug!(%error, "lost a race, reconciling again soon");
                return;
            }
            Attempt::Returned(Err(error)) => error.to_string(),
            Attempt::Panicked(message) => format!("panicked: {message}"),
            Attempt::TimedOut => {
                format!("passed its deadline of {:?} and was dropped", deadline.unwrap_or_default())
            }
        };
        let next = match attempt.follow_up() {
            FollowUp::Forget => "not retried before the object changes",
            _ => "retrying",
        };
        if holds.tell(key, &message) {
            tracing::warn!(error = %message, "reconcile failed, {next}");
        } else {
            let failures = queue.num_requeues(key);
            tracing::debug!(error = %message, failures, "reconcile failed again, {next}");
        }
    }
}
