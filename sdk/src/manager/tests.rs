//! Start and stop order, isolation, signals and readiness, with informers and sources driven by hand.
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, mpsc};

use super::*;
use crate::controller::inlet::Trigger;
use crate::controller::{Feed, Source};
use crate::metrics::Metric;
use crate::reconcile::{Action, Result as Reconciled};
use crate::reflector::{Failure, FailureReason};
use crate::resource::ObjectKey;

mod dynamic;

mod informers;

const MS: Duration = Duration::from_millis(1);

/// Kinds that sync, or fail, as the test says; and what happened, in order.
#[derive(Clone, Default)]
struct World {
    log: Arc<Mutex<Vec<String>>>,
    kinds: Arc<Mutex<BTreeMap<&'static str, SourceStatus>>>,
    changed: Arc<Notify>,
    address: Option<SocketAddr>,
}

impl World {
    fn note(&self, what: impl Into<String>) {
        self.log.lock().unwrap().push(what.into());
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    fn set(&self, kind: &'static str, synced: bool, failure: Option<&str>) {
        let failure = failure.map(|message| {
            let (reason, message) = (FailureReason::Forbidden, message.to_owned());
            Arc::new(Failure { reason, message, attempts: 1, retry_in: MS })
        });
        self.kinds.lock().unwrap().insert(kind, SourceStatus { kind: kind.into(), synced, failure });
        self.changed.notify_waiters();
    }

    fn get(&self, kind: &'static str) -> SourceStatus {
        let unknown = || SourceStatus { kind: kind.into(), synced: false, failure: None };
        self.kinds.lock().unwrap().get(kind).cloned().unwrap_or_else(unknown)
    }

    /// A source of `kind` with one key in its initial list.
    fn source(&self, kind: &'static str) -> Source {
        let world = self.clone();
        Source::new(move |inlet| {
            world.note(format!("attach {kind}"));
            inlet.add(ObjectKey::cluster("first"), Trigger::Changed);
            let (waiting, status) = (world.clone(), world.clone());
            Feed {
                _registration: Box::new(()),
                synced: async move {
                    loop {
                        let changed = waiting.changed.notified();
                        if waiting.get(kind).synced {
                            return;
                        }
                        changed.await;
                    }
                }
                .boxed(),
                status: Arc::new(move || status.get(kind)),
            }
        })
    }

    /// Reconciles that note their begin and end, and take `time`.
    fn reconcile(&self, name: &'static str, time: Duration) -> ReconcileFn {
        let world = self.clone();
        Arc::new(move |_| {
            let world = world.clone();
            async move {
                world.note(format!("begin {name}"));
                clock::sleep(time).await;
                world.note(format!("end {name}"));
                Reconciled::Ok(Action::await_change())
            }
            .boxed()
        })
    }

    fn manager(&self) -> Manager {
        Manager::with(Arc::new(self.clone()))
    }
}

impl Informers for World {
    fn start(&self) {
        let open = self.address.is_some_and(|address| std::net::TcpStream::connect(address).is_ok());
        self.note(if open { "start behind probes" } else { "start" });
    }

    fn status(&self) -> Vec<SourceStatus> {
        self.kinds.lock().unwrap().values().cloned().collect()
    }

    fn collect(&self, snapshot: &mut Snapshot) {
        let metric = Metric { name: "informer_objects", help: "Objects." };
        snapshot.gauge(metric, &[("kind", "pods/v1")], 3.0);
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        async {
            self.note("shutdown");
        }
        .boxed()
    }
}

/// Runs a manager until the test drops it.
fn spawn(manager: Manager) -> JoinSet<Result<Outcome, Error>> {
    let mut tasks = JoinSet::new();
    tasks.spawn(manager.run());
    tasks
}

async fn outcome(mut tasks: JoinSet<Result<Outcome, Error>>) -> Result<Outcome, Error> {
    tasks.join_next().await.unwrap().unwrap()
}

fn signals() -> (mpsc::Sender<&'static str>, Signals) {
    let (sender, receiver) = mpsc::channel(4);
    let next = async |mut receiver: mpsc::Receiver<_>| Some((receiver.recv().await?, receiver));
    (sender, stream::unfold(receiver, next).boxed())
}

#[tokio::test(start_paused = true)]
async fn m11_start_and_stop_order() {
    let admin = Admin::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let world = World { address: Some(admin.local_addr().unwrap()), ..World::default() };
    let manager = world.manager().admin(admin);
    let manager =
        manager.controller(Controller::new("web", 1).source(world.source("a")), world.reconcile("web", 5000 * MS));
    let stop = manager.stop_handle();
    let tasks = spawn(manager);
    clock::sleep(MS).await;
    world.set("a", true, None);
    clock::sleep(MS).await;
    stop.stop();
    stop.stopped().await;
    assert_eq!(outcome(tasks).await.unwrap(), Outcome::Stopped);
    assert_eq!(world.log(), ["attach a", "start behind probes", "begin web", "end web", "shutdown"]);
    let refused = tokio::net::TcpStream::connect(world.address.unwrap()).await;
    assert!(refused.is_err(), "the probes end, too");
}

#[tokio::test(start_paused = true)]
async fn one_forbidden_kind_stalls_only_the_controllers_that_need_it_and_readiness_names_it() {
    let world = World::default();
    let web = Controller::new("web", 1).source(world.source("a")).source(world.source("secrets/v1"));
    let shop = Controller::new("shop", 1).source(world.source("a"));
    let manager =
        world.manager().controller(web, world.reconcile("web", MS)).controller(shop, world.reconcile("shop", MS));
    let stop = manager.stop_handle();
    let tasks = spawn(manager);
    world.set("a", true, None);
    world.set("secrets/v1", false, Some("apply the role"));
    clock::sleep(600_000 * MS).await;
    assert_eq!(world.log()[4..], ["begin shop", "end shop"]);
    world.set("secrets/v1", true, None);
    clock::sleep(10 * MS).await;
    assert_eq!(world.log()[6..], ["begin web", "end web"]);
    stop.stop();
    assert_eq!(outcome(tasks).await.unwrap(), Outcome::Stopped);
}

#[tokio::test(start_paused = true)]
async fn readiness_follows_the_sources_and_the_stop() {
    let world = World::default();
    let (stop, controller) = (Stop::new(), Controller::new("web", 1).source(world.source("a")));
    let controllers = Controllers::new(stop.clone());
    controllers.add(controller, world.reconcile("web", MS)).unwrap();
    let board = Arc::new(Board {
        informers: Arc::new(world.clone()),
        controllers,
        health: Mutex::new(Health::new(clock::now())),
        stop,
    });
    let probes = Board::probes(&board);
    let check = |expected: &[Check]| assert_eq!((probes.readyz)(), expected);
    let running = Check::ok("shutdown");
    check(&[Check::failed("web/a", "waiting for its first list"), running.clone()]);
    world.set("a", false, Some("apply the role"));
    check(&[Check::failed("web/a", "apply the role"), running.clone()]);
    world.set("a", true, None);
    check(&[Check::ok("web/a"), running]);
    board.stop.stop();
    check(&[Check::ok("web/a"), Check::failed("shutdown", "the process is stopping")]);
    assert_eq!((probes.livez)(), [Check::ok("manager")]);
    let metrics = (probes.metrics)().text();
    for series in ["informer_objects{kind=\"pods/v1\"} 3", "workqueue_adds_total{name=\"web\",controller=\"web\"} 1"] {
        assert!(metrics.lines().any(|line| line == series), "{series} in\n{metrics}");
    }
    drop(board);
    assert_eq!((probes.metrics)().text(), "");
    assert_eq!(
        (probes.livez)(),
        [Check::failed("manager", "it has stopped")],
        "an open connection keeps nothing alive"
    );
}

#[tokio::test(start_paused = true)]
async fn the_loop_beats_until_the_last_reconcile_has_ended() {
    let world = World::default();
    let board = Board {
        informers: Arc::new(world.clone()),
        controllers: Controllers::new(Stop::new()),
        health: Mutex::new(Health::new(clock::now())),
        stop: Stop::new(),
    };
    clock::sleep(3600 * 1000 * MS).await;
    assert!(board.live()[0].result.is_err(), "nobody ran it");
    within(3600 * 1000 * MS, board.watch()).await;
    assert_eq!(board.live(), [Check::ok("manager")]);
}

#[tokio::test(start_paused = true)]
async fn the_first_signal_stops_and_the_second_aborts() {
    let check = async |count: usize, expected: Outcome, log: &[&str]| {
        let world = World::default();
        world.set("a", true, None);
        let controller = Controller::new("web", 1).source(world.source("a"));
        let manager = world.manager().controller(controller, world.reconcile("web", 5000 * MS));
        let (sender, signals) = signals();
        let manager = manager.stop_on(signals);
        let stop = manager.stop_handle();
        let (tasks, begin) = (spawn(manager), clock::now());
        clock::sleep(MS).await;
        for _ in 0..count {
            sender.send("SIGTERM").await.unwrap();
        }
        stop.stopped().await;
        assert_eq!(outcome(tasks).await.unwrap(), expected);
        assert_eq!(world.log()[2..], *log);
        assert_eq!((clock::now() - begin) < 1000 * MS, expected == Outcome::Aborted);
    };
    check(1, Outcome::Stopped, &["begin web", "end web", "shutdown"]).await;
    check(2, Outcome::Aborted, &["begin web"]).await;
}

#[tokio::test(start_paused = true)]
async fn m12_the_grace_period_is_kept_and_what_was_dropped_is_told() {
    let check = async |grace: Duration, expected: Outcome| {
        let world = World::default();
        world.set("a", true, None);
        let controller = |name| Controller::new(name, 1).source(world.source("a"));
        let manager = world
            .manager()
            .grace_period(grace)
            .controller(controller("slow"), world.reconcile("slow", 60_000 * MS))
            .controller(controller("quick"), world.reconcile("quick", 10 * MS));
        let stop = manager.stop_handle();
        let tasks = spawn(manager);
        clock::sleep(MS).await;
        let begin = clock::now();
        stop.stop();
        assert_eq!(outcome(tasks).await.unwrap(), expected);
        assert_eq!(clock::now() - begin, grace.min(59_999 * MS), "{grace:?}");
        assert_eq!(world.log().last().unwrap(), "shutdown");
    };
    check(Duration::ZERO, Outcome::GraceExceeded { reconciles: 2 }).await;
    check(DEFAULT_GRACE_PERIOD, Outcome::GraceExceeded { reconciles: 1 }).await;
    check(Duration::MAX, Outcome::Stopped).await;
}

#[tokio::test(start_paused = true)]
async fn m14_stop_before_anything_synced_ends_at_once() {
    let world = World::default();
    let controller = Controller::new("web", 1).source(world.source("a"));
    let manager = world.manager().controller(controller, world.reconcile("web", MS));
    manager.stop_handle().stop();
    assert_eq!(manager.run().await.unwrap(), Outcome::Stopped);
    assert_eq!(world.log(), ["start", "shutdown"]);
}

#[tokio::test(start_paused = true)]
async fn m15_every_error_is_returned_and_a_stop_is_none() {
    let check = |errors: usize, expected: &str| {
        let mut parts = Parts::new(Stop::new(), Duration::ZERO);
        for number in 0..errors {
            let controller = format!("c{number}");
            let error = controller::Error::WorkerLost { controller, reason: "it returned".into() };
            parts.controller_ended(Ok(Err(error)));
        }
        assert_eq!(parts.stop.is_stopping(), errors > 0, "the rest is stopped");
        let told = parts.outcome().map_or_else(|error| error.to_string(), |outcome| format!("{outcome:?}"));
        assert_eq!(told.replace(". This is a defect, please report it", ""), expected);
    };
    check(0, "Stopped");
    check(1, "a worker of controller c0 ended: it returned");
    check(2, "a worker of controller c0 ended: it returned; a worker of controller c1 ended: it returned");
}

#[tokio::test(start_paused = true)]
async fn m17_nothing_outlives_the_manager_whether_it_stops_aborts_or_is_dropped() {
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let check = async |end: fn(&Stop), dropped: bool| {
        let before = alive();
        let (world, held) = (World::default(), Arc::new(AtomicUsize::new(0)));
        world.set("a", true, None);
        let reconciling = Arc::clone(&held);
        let reconcile: ReconcileFn = Arc::new(move |_| {
            let held = Arc::clone(&reconciling);
            async move {
                held.fetch_add(1, Ordering::Relaxed);
                std::future::pending().await
            }
            .boxed()
        });
        let admin = Admin::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let controller = Controller::new("web", 4).source(world.source("a"));
        let manager = world.manager().admin(admin).controller(controller, reconcile);
        let stop = manager.stop_handle();
        let tasks = spawn(manager);
        clock::sleep(MS).await;
        assert_eq!((alive() > before + 5, held.load(Ordering::Relaxed)), (true, 1));
        end(&stop);
        if dropped {
            drop(tasks);
            stop.stopped().await;
        } else {
            let _ = outcome(tasks).await.unwrap();
        }
        clock::sleep(MS).await;
        assert_eq!((alive(), Arc::strong_count(&held)), (before, 1));
    };
    check(Stop::stop, false).await;
    check(Stop::abort, false).await;
    check(|_| {}, true).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_real_sigterm_arrives_and_does_not_end_the_process() {
    let mut signals = signals::listen().unwrap();
    let kill = std::process::Command::new("sh").args(["-c", "kill -TERM $PPID"]).status().unwrap();
    assert!(kill.success());
    assert_eq!(signals.next().await, Some("SIGTERM"));
}
