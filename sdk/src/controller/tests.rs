//! The M invariants of controller-runtime's controller by name, on a paused clock. Keys come through the seam of
//! [`Source::new`], so no informer is needed.
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::inlet::{Inlet, Trigger};
use super::*;
use crate::reconcile::{Action, Error as Failed, Result};
use crate::reflector::{Failure, FailureReason};

mod gate;

mod hands;

mod held;

mod measured;

mod sources;

mod stop;

const MS: Duration = Duration::from_millis(1);
const GRACE: Duration = Duration::from_secs(30);

/// A source driven by hand.
#[derive(Clone)]
struct Hand {
    synced: watch::Sender<bool>,
    failure: Arc<Mutex<Option<Arc<Failure>>>>,
    inlet: Arc<Mutex<Option<Inlet>>>,
    attached: Arc<AtomicUsize>,
}

impl Hand {
    fn new() -> Self {
        let (synced, _) = watch::channel(false);
        Self { synced, failure: Arc::default(), inlet: Arc::default(), attached: Arc::default() }
    }

    fn source(&self) -> Source {
        let hand = self.clone();
        Source::new(move |inlet| {
            hand.attached.fetch_add(1, Ordering::Relaxed);
            *hand.inlet.lock().unwrap() = Some(inlet);
            let (mut synced, status) = (hand.synced.subscribe(), hand.clone());
            Feed {
                _registration: Box::new(()),
                synced: async move {
                    synced.wait_for(|synced| *synced).await.unwrap();
                }
                .boxed(),
                status: Arc::new(move || SourceStatus {
                    kind: "widgets.demo/v1".into(),
                    synced: *status.synced.borrow(),
                    failure: status.failure.lock().unwrap().clone(),
                }),
            }
        })
    }

    fn sync(&self) {
        self.synced.send_replace(true);
    }

    fn add(&self, name: &str) {
        self.trigger(name, Trigger::Changed);
    }

    fn trigger(&self, name: &str, trigger: Trigger) {
        self.inlet.lock().unwrap().as_ref().unwrap().add(ObjectKey::cluster(name), trigger);
    }
}

/// A controller that runs, what it called, and the way to stop it.
struct Running {
    hand: Hand,
    calls: Arc<Mutex<Vec<(String, Duration)>>>,
    status: Monitor,
    stop: Arc<Notify>,
    tasks: JoinSet<Result<usize, Error>>,
}

impl Running {
    /// Runs `reconcile` with the number of the call for its key, from 0.
    fn start<F, Fut>(controller: Controller, reconcile: F) -> Self
    where
        F: Fn(String, usize) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Action>> + Send + 'static,
    {
        let hand = Hand::new();
        let attached = controller.source(hand.source()).attach();
        let (status, calls, stop) = (attached.monitor(), Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let (log, begin, stopped) = (Arc::clone(&calls), clock::now(), Arc::clone(&stop));
        let reconcile: ReconcileFn = Arc::new(move |key| {
            let name = key.name().to_owned();
            let mut log = log.lock().unwrap();
            let count = log.iter().filter(|(called, _): &&(String, Duration)| *called == name).count();
            log.push((name.clone(), clock::now() - begin));
            drop(log);
            reconcile(name, count).boxed()
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(attached.run(reconcile, async move { stopped.notified().await }, GRACE));
        Self { hand, calls, status, stop, tasks }
    }

    fn synced<F, Fut>(controller: Controller, reconcile: F) -> Self
    where
        F: Fn(String, usize) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Action>> + Send + 'static,
    {
        let running = Self::start(controller, reconcile);
        running.hand.sync();
        running
    }

    /// When each call for `name` began, in milliseconds.
    fn calls(&self, name: &str) -> Vec<u128> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(called, _)| called == name).map(|(_, at)| at.as_millis()).collect()
    }

    fn counts(&self) -> Counts {
        self.status.status().counts
    }

    async fn stop(mut self) -> usize {
        self.stop.notify_one();
        self.tasks.join_next().await.unwrap().unwrap().unwrap()
    }
}

fn controller() -> Controller {
    Controller::new("widget", 1)
}

async fn done(_: String, _: usize) -> Result<Action> {
    Ok(Action::await_change())
}

#[tokio::test(start_paused = true)]
async fn m1_nothing_runs_before_every_source_has_seen_its_initial_list() {
    let second = Hand::new();
    let running = Running::start(controller().source(second.source()), done);
    running.hand.add("a");
    running.hand.sync();
    clock::sleep(3600 * 1000 * MS).await;
    assert_eq!(running.calls("a"), [0; 0]);
    let synced: Vec<_> = running.status.status().sources.iter().map(|source| source.synced).collect();
    assert_eq!((synced, running.status.status().queued), (vec![false, true], 1));
    second.sync();
    clock::sleep(MS).await;
    assert_eq!(running.calls("a").len(), 1);
    assert_eq!(running.stop().await, 0);
}

#[tokio::test(start_paused = true)]
async fn m2_an_error_is_retried_with_growing_delays() {
    let running = Running::synced(controller(), async |_, _| Err(Failed::new("not yet")));
    running.hand.add("a");
    clock::sleep(100 * MS).await;
    assert_eq!(running.calls("a"), [0, 5, 15, 35, 75]);
    assert_eq!(running.counts(), Counts { transient_errors: 5, ..Counts::default() });
}

#[tokio::test(start_paused = true)]
async fn an_error_with_a_delay_of_its_own_is_retried_after_it_and_keeps_the_count() {
    let running = Running::synced(controller(), async |_, count| {
        Err(if count == 1 { Failed::new("busy").retry_after(1000 * MS) } else { Failed::new("not yet") })
    });
    running.hand.add("a");
    clock::sleep(1100 * MS).await;
    assert_eq!(running.calls("a"), [0, 5, 1005, 1015, 1035, 1075]);
}

#[tokio::test(start_paused = true)]
async fn m3_a_terminal_error_is_not_retried_and_counted_apart() {
    let running = Running::synced(controller(), async |_, _| Err(Failed::new("never").terminal()));
    running.hand.add("a");
    clock::sleep(3600 * 1000 * MS).await;
    assert_eq!(running.calls("a"), [0]);
    assert_eq!(running.counts(), Counts { terminal_errors: 1, ..Counts::default() });
    running.hand.add("a");
    clock::sleep(MS).await;
    assert_eq!(running.calls("a").len(), 2, "the next event is its next chance");
}

#[tokio::test(start_paused = true)]
async fn m4_requeue_after_forgets_failures_and_is_not_rate_limited() {
    let running = Running::synced(controller(), async |_, count| match count {
        2 | 3 => Ok(Action::requeue_after(1000 * MS)),
        _ => Err(Failed::new("not yet")),
    });
    running.hand.add("a");
    clock::sleep(2025 * MS).await;
    assert_eq!(running.calls("a"), [0, 5, 15, 1015, 2015, 2020]);
    assert_eq!(running.counts(), Counts { transient_errors: 4, requeued: 2, ..Counts::default() });
}

#[tokio::test(start_paused = true)]
async fn an_event_comes_before_a_requeue() {
    let running = Running::synced(controller(), async |_, count| {
        Ok(if count == 0 { Action::requeue_after(1000 * MS) } else { Action::await_change() })
    });
    running.hand.add("a");
    clock::sleep(10 * MS).await;
    running.hand.add("a");
    clock::sleep(5000 * MS).await;
    assert_eq!(running.calls("a"), [0, 10, 1000]);
}

#[tokio::test(start_paused = true)]
async fn m5_the_failure_count_is_not_reset_before_a_success() {
    let running = Running::synced(controller(), async |_, count| match count {
        3 => Ok(Action::await_change()),
        _ => Err(Failed::new("not yet")),
    });
    running.hand.add("a");
    clock::sleep(100 * MS).await;
    assert_eq!(running.calls("a"), [0, 5, 15, 35]);
    running.hand.add("a");
    clock::sleep(6 * MS).await;
    assert_eq!(running.calls("a"), [0, 5, 15, 35, 100, 105], "the back-off starts anew");
}

fn conflict() -> Failed {
    let status = crate::client::Status { code: 409, ..Default::default() };
    let (method, path) = (http::Method::PUT, "/".to_owned());
    crate::client::Error::Status { method, path, status: Box::new(status) }.into()
}

#[tokio::test(start_paused = true)]
async fn conflicts_are_retried_soon_and_counted_apart() {
    let running = Running::synced(
        controller(),
        async |_, count| {
            if count == 0 { Err(conflict()) } else { Ok(Action::await_change()) }
        },
    );
    running.hand.add("a");
    clock::sleep(1000 * MS).await;
    assert_eq!(running.calls("a"), [0, 5]);
    assert_eq!(running.counts(), Counts { conflicts: 1, succeeded: 1, ..Counts::default() });
}

/// rust.md finding 10: in kube-rs one panic stops every key.
#[tokio::test(start_paused = true)]
async fn m7_finding_10_a_panic_is_an_error_of_its_key_and_stops_no_other() {
    struct PanicsWhenDropped;
    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            panic!("while it was dropped");
        }
    }
    let running = Running::synced(controller().deadline(50 * MS), |name: String, count| {
        assert!(name != "early" || count > 0, "before there was a future");
        async move {
            match (name.as_str(), count) {
                ("late", 0) => panic!("after {count} calls"),
                ("dropped", 0) => {
                    let _guard = PanicsWhenDropped;
                    std::future::pending::<()>().await;
                }
                _ => {}
            }
            Ok(Action::await_change())
        }
    });
    for name in ["early", "late", "dropped", "fine"] {
        running.hand.add(name);
    }
    clock::sleep(1000 * MS).await;
    for (name, calls) in [("early", 2), ("late", 2), ("dropped", 2), ("fine", 1)] {
        assert_eq!(running.calls(name).len(), calls, "{name}");
    }
    assert_eq!(running.counts(), Counts { panics: 3, succeeded: 4, ..Counts::default() });
    assert_eq!(running.stop().await, 0);
}

#[tokio::test(start_paused = true)]
async fn m8_only_the_controllers_own_deadline_counts_as_a_timeout() {
    let running = Running::synced(controller().deadline(1000 * MS), async |name, count| {
        if count > 0 {
            return Ok(Action::await_change());
        }
        match name.as_str() {
            "own" => tokio::time::timeout(10 * MS, std::future::pending::<()>()).await?,
            "stuck" => std::future::pending::<()>().await,
            _ => {}
        }
        Ok(Action::await_change())
    });
    for name in ["own", "stuck", "quick"] {
        running.hand.add(name);
    }
    clock::sleep(5000 * MS).await;
    assert_eq!(running.counts(), Counts { timeouts: 1, transient_errors: 1, succeeded: 3, ..Counts::default() });
    assert_eq!(running.calls("stuck"), [10, 1015]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_reconcile_runs_no_further() {
    let reached = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&reached);
    let running = Running::synced(controller().deadline(10 * MS), move |_, count| {
        let counter = Arc::clone(&counter);
        async move {
            if count == 0 {
                clock::sleep(20 * MS).await;
                counter.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Action::await_change())
        }
    });
    running.hand.add("a");
    clock::sleep(1000 * MS).await;
    assert_eq!((running.counts().timeouts, reached.load(Ordering::Relaxed)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn m9_a_source_that_cannot_sync_is_named_and_stopping_meanwhile_is_no_error() {
    let running = Running::start(controller(), done);
    let message = "cannot list widgets.demo: apply the role that `rbac` prints".to_owned();
    let failure = Failure { reason: FailureReason::Forbidden, message, attempts: 3, retry_in: MS };
    *running.hand.failure.lock().unwrap() = Some(Arc::new(failure));
    running.hand.add("a");
    clock::sleep(1000 * 1000 * MS).await;
    let status = running.status.status();
    let source = &status.sources[0];
    assert_eq!((status.name.as_str(), source.kind.as_str(), source.synced), ("widget", "widgets.demo/v1", false));
    assert!(source.failure.as_ref().unwrap().message.contains("rbac"));
    assert_eq!(running.calls("a"), [0; 0]);
    assert_eq!(running.stop().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_later_delays_nobody() {
    let child = Hand::new();
    let running = Running::synced(controller().source(child.source()), done);
    child.sync();
    clock::sleep(10 * MS).await;
    let failure = Failure { reason: FailureReason::Forbidden, message: "no".into(), attempts: 9, retry_in: GRACE };
    *child.failure.lock().unwrap() = Some(Arc::new(failure));
    running.hand.add("a");
    clock::sleep(MS).await;
    assert_eq!(running.calls("a"), [10]);
}

#[tokio::test(start_paused = true)]
async fn m10_sources_are_attached_once() {
    let running = Running::synced(controller(), done);
    clock::sleep(MS).await;
    assert_eq!(running.hand.attached.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn workers_run_at_once_and_never_on_the_same_key() {
    let held = Arc::new(Mutex::new((HashSet::new(), 0)));
    let shared = Arc::clone(&held);
    let running = Running::synced(Controller::new("widget", 4), move |name, _| {
        let shared = Arc::clone(&shared);
        async move {
            {
                let (held, most) = &mut *shared.lock().unwrap();
                assert!(held.insert(name.clone()), "{name} runs twice at once");
                *most = held.len().max(*most);
            }
            clock::sleep(10 * MS).await;
            shared.lock().unwrap().0.remove(&name);
            Ok(Action::await_change())
        }
    });
    for _ in 0..20 {
        (0..8).for_each(|key| running.hand.add(&key.to_string()));
        clock::sleep(3 * MS).await;
    }
    clock::sleep(100 * MS).await;
    assert_eq!((held.lock().unwrap().1, running.counts().panics), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_always_fails_leaves_the_others_their_turns() {
    let running = Running::synced(controller(), async |name, _| match name.as_str() {
        "bad" => Err(Failed::new("no").retry_after(Duration::ZERO)),
        _ => Ok(Action::requeue_after(Duration::ZERO)),
    });
    for name in ["bad", "a", "b"] {
        running.hand.add(name);
    }
    let watch = async {
        while running.calls.lock().unwrap().len() < 300 {
            tokio::task::yield_now().await;
        }
    };
    watch.await;
    let mut calls: HashMap<String, usize> = HashMap::new();
    for (name, _) in running.calls.lock().unwrap().iter().take(300) {
        *calls.entry(name.clone()).or_default() += 1;
    }
    assert_eq!((calls["bad"], calls["a"], calls["b"]), (100, 100, 100));
}
