//! Owns every task of a running operator: starts them in order, says whether they are ready, stops them in reverse.
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use crate::admin::{self, Admin, Check, Probe, Probes};
use crate::clock;
use crate::controller::{self, Controller, SourceStatus, describe, within};
use crate::informer::factory::InformerFactory;
use crate::metrics::Snapshot;
use crate::reconcile::ReconcileFn;

mod controllers;

mod health;

pub(crate) mod signals;

mod stop;

pub use controllers::{AddError, Controllers};
pub use stop::Stop;

use controllers::{Arrival, CloseOnDrop};
use health::{Health, News, What};
use signals::Signals;

/// How long reconciles may go on after a stop was asked for: controller-runtime's default, and the time a pod has
/// between SIGTERM and SIGKILL unless it says otherwise.
pub const DEFAULT_GRACE_PERIOD: Duration = Duration::from_secs(30);

/// Runs controllers, their informers and the probes.
///
/// Start order: probes, informers, controllers; each controller waits for the kinds it needs and for no other, so a
/// forbidden kind stalls only those that need it, and readiness names it. Stop order: controllers, informers, probes.
pub struct Manager {
    informers: Arc<dyn Informers>,
    first: Vec<(Controller, ReconcileFn)>,
    controllers: Controllers,
    admin: Option<Admin>,
    grace: Duration,
    signals: Signals,
    stop: Stop,
    closed: CloseOnDrop,
    stopped: stop::StoppedOnDrop,
}

impl Manager {
    /// Makes a manager for the informers of `factory`, whose start and end it takes over.
    pub fn new(factory: InformerFactory) -> Self {
        Self::with(Arc::new(factory))
    }

    fn with(informers: Arc<dyn Informers>) -> Self {
        let stop = Stop::new();
        let stopped = stop.on_drop();
        let signals = stream::pending().boxed();
        let controllers = Controllers::new(stop.clone());
        let closed = controllers.close_on_drop();
        let grace = DEFAULT_GRACE_PERIOD;
        Self { informers, first: Vec::new(), controllers, admin: None, grace, signals, stop, closed, stopped }
    }

    /// Adds a controller and what it runs for each key.
    #[must_use]
    pub fn controller(mut self, controller: Controller, reconcile: ReconcileFn) -> Self {
        self.first.push((controller, reconcile));
        self
    }

    /// Returns a handle that adds and removes controllers while the manager runs, and tells how they are doing.
    pub fn controllers(&self) -> Controllers {
        self.controllers.clone()
    }

    /// Answers probes on a listener.
    #[must_use]
    pub fn admin(mut self, admin: Admin) -> Self {
        self.admin = Some(admin);
        self
    }

    /// Sets how long reconciles may go on after a stop was asked for, instead of [`DEFAULT_GRACE_PERIOD`].
    #[must_use]
    pub fn grace_period(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Stops gracefully at the first SIGTERM or SIGINT, and at once at the second. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Signals`] when the operating system refuses.
    pub fn stop_on_signals(self) -> Result<Self, Error> {
        let signals = signals::listen().map_err(Error::Signals)?;
        Ok(self.stop_on(signals))
    }

    /// Stops at these signals.
    pub(crate) fn stop_on(mut self, signals: Signals) -> Self {
        self.signals = signals;
        self
    }

    /// Returns a handle that stops it.
    pub fn stop_handle(&self) -> Stop {
        self.stop.clone()
    }

    /// Runs until it is stopped. Dropping the future ends everything at once.
    ///
    /// # Errors
    /// Two controllers of one name; or whatever made a part end by itself: the rest was stopped gracefully then, and its
    /// errors are there, too.
    pub async fn run(self) -> Result<Outcome, Error> {
        let Self { informers, first, controllers, admin, grace, signals, stop, closed, stopped } = self;
        for (controller, reconcile) in first {
            match controllers.add(controller, reconcile) {
                // One that is told to stop before it has begun has nothing to start.
                Ok(()) | Err(AddError::Stopping { .. }) => {}
                Err(refused @ AddError::NameTaken { .. }) => return Err(Error::Refused(refused)),
            }
        }
        let board = Arc::new(Board {
            informers: Arc::clone(&informers),
            controllers: controllers.clone(),
            health: Mutex::new(Health::new(clock::now())),
            stop: stop.clone(),
        });
        let mut parts = Parts::new(stop.clone(), grace);
        let outcome = tokio::select! {
            biased;
            () = stop.aborting() => Ok(Outcome::Aborted),
            outcome = parts.run(&*informers, controllers, admin, Board::probes(&board)) => outcome,
            never = obey(signals, &stop) => match never {},
            never = board.watch() => match never {},
        };
        drop((parts, closed, stopped));
        outcome
    }
}

/// How a manager came to its end, when nothing broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it decides the exit code"]
pub enum Outcome {
    /// Every reconcile ended within the grace period.
    Stopped,
    /// This many reconciles were dropped at the end of the grace period.
    GraceExceeded {
        /// How many.
        reconciles: usize,
    },
    /// Everything was dropped at once, as was asked for.
    Aborted,
}

/// Why a manager ended by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Signals cannot be listened for.
    #[error("cannot listen for SIGTERM and SIGINT")]
    Signals(#[source] io::Error),
    /// The probes cannot be answered any more.
    #[error(transparent)]
    Admin(admin::Error),
    /// A controller ended.
    #[error(transparent)]
    Controller(controller::Error),
    /// A controller cannot be started.
    #[error(transparent)]
    Refused(AddError),
    /// A task of the manager panicked, which is a defect of this crate.
    #[error("a task of the manager ended. This is a defect, please report it")]
    Task(#[source] JoinError),
    /// Several parts failed, those included that failed while the rest was stopped.
    #[error("{}", list(.0))]
    Several(Vec<Error>),
}

/// What a manager needs of an informer factory.
pub(crate) trait Informers: Send + Sync {
    /// Starts every informer.
    fn start(&self);

    /// Tells how each is doing.
    fn status(&self) -> Vec<SourceStatus>;

    /// Adds what each measured to `snapshot`.
    fn collect(&self, snapshot: &mut Snapshot);

    /// Stops every informer and waits for that.
    fn shutdown(&self) -> BoxFuture<'_, ()>;
}

impl Informers for InformerFactory {
    fn start(&self) {
        Self::start(self);
    }

    fn status(&self) -> Vec<SourceStatus> {
        let statuses = Self::status(self).into_iter();
        statuses
            .map(|(target, status)| SourceStatus {
                kind: describe(&target),
                synced: status.synced,
                failure: status.failure,
            })
            .collect()
    }

    fn collect(&self, snapshot: &mut Snapshot) {
        Self::collect(self, snapshot);
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Self::shutdown(self).boxed()
    }
}

/// The tasks, while they run.
struct Parts {
    stop: Stop,
    grace: Duration,
    controllers: JoinSet<Result<usize, controller::Error>>,
    servers: JoinSet<Result<(), admin::Error>>,
    dropped: usize,
    errors: Vec<Error>,
}

/// How long informers, and then the probes, may take to end: they have nothing to finish.
const PART_WAIT: Duration = Duration::from_secs(2);

impl Parts {
    fn new(stop: Stop, grace: Duration) -> Self {
        let (controllers, servers) = (JoinSet::new(), JoinSet::new());
        Self { stop, grace, controllers, servers, dropped: 0, errors: Vec::new() }
    }

    async fn run(
        &mut self,
        informers: &dyn Informers,
        controllers: Controllers,
        admin: Option<Admin>,
        probes: Probes,
    ) -> Result<Outcome, Error> {
        let (quit, mut quitting) = watch::channel(false);
        if let Some(admin) = admin {
            // The sender outlives the server, which is why there is nothing to do about its end.
            self.servers.spawn(admin.serve(probes, async move { drop(quitting.wait_for(|quit| *quit).await) }));
        }
        informers.start();
        self.supervise(informers, &controllers).await;
        tracing::info!("controllers have stopped, stopping informers");
        within(PART_WAIT, informers.shutdown()).await;
        quit.send_replace(true);
        within(PART_WAIT, async {
            while let Some(end) = self.servers.join_next().await {
                self.server_ended(end);
            }
        })
        .await;
        self.outcome()
    }

    /// Returns once a stop was asked for and every controller has ended. Whatever ends by itself asks for the stop.
    async fn supervise(&mut self, informers: &dyn Informers, controllers: &Controllers) {
        let stop = self.stop.clone();
        self.admit(controllers.take_arrivals());
        loop {
            tokio::select! {
                () = controllers.came() => {
                    let arrivals = controllers.take_arrivals();
                    if !arrivals.is_empty() {
                        informers.start();
                        self.admit(arrivals);
                    }
                }
                Some(end) = self.controllers.join_next() => self.controller_ended(end),
                Some(end) = self.servers.join_next() => self.server_ended(end),
                () = stop.stopping(), if self.controllers.is_empty() => return,
            }
        }
    }

    /// Runs the controllers that came.
    fn admit(&mut self, arrivals: Vec<Arrival>) {
        for Arrival { controller, reconcile, mut stopped, present } in arrivals {
            let (stop, grace) = (self.stop.clone(), self.grace);
            self.controllers.spawn(async move {
                let asked = async move {
                    tokio::select! {
                        () = stop.stopping() => {}
                        // Fails when nobody can ask any more, and that is so when it has ended.
                        _ = stopped.wait_for(|stopped| *stopped) => {}
                    }
                };
                let end = controller.run(reconcile, asked, grace).await;
                drop(present);
                end
            });
        }
    }

    fn controller_ended(&mut self, end: Result<Result<usize, controller::Error>, JoinError>) {
        match end {
            Ok(Ok(dropped)) if self.stop.is_stopping() => self.dropped += dropped,
            Ok(Ok(0)) => {}
            Ok(Ok(reconciles)) => {
                tracing::warn!(reconciles, "a controller was removed, and reconciles outlasted the grace period");
            }
            Ok(Err(error)) => self.failed(Error::Controller(error)),
            Err(error) => self.failed(Error::Task(error)),
        }
    }

    fn server_ended(&mut self, end: Result<Result<(), admin::Error>, JoinError>) {
        match end {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.failed(Error::Admin(error)),
            Err(error) => self.failed(Error::Task(error)),
        }
    }

    fn failed(&mut self, error: Error) {
        tracing::error!(%error, "a part ended by itself, stopping the rest");
        self.errors.push(error);
        self.stop.stop();
    }

    fn outcome(&mut self) -> Result<Outcome, Error> {
        let mut errors = std::mem::take(&mut self.errors);
        match (errors.pop(), errors.is_empty(), self.dropped) {
            (None, _, 0) => Ok(Outcome::Stopped),
            (None, _, reconciles) => {
                tracing::warn!(reconciles, grace = ?self.grace, "reconciles outlasted the grace period and were dropped");
                Ok(Outcome::GraceExceeded { reconciles })
            }
            (Some(only), true, _) => Err(only),
            (Some(last), false, _) => {
                errors.push(last);
                Err(Error::Several(errors))
            }
        }
    }
}

/// What the probes and the logs say.
struct Board {
    informers: Arc<dyn Informers>,
    controllers: Controllers,
    health: Mutex<Health>,
    stop: Stop,
}

/// How often the kinds are looked at, and how often the loop beats.
const BEAT: Duration = Duration::from_secs(1);

impl Board {
    /// Answers from the board for as long as it is there. A connection may outlive the manager and must not keep
    /// anything of it alive.
    fn probes(board: &Arc<Self>) -> Probes {
        let probe = |answer: fn(&Self) -> Vec<Check>| -> Probe {
            let board = Arc::downgrade(board);
            let gone = || vec![Check::failed("manager", "it has stopped")];
            Arc::new(move || board.upgrade().map_or_else(gone, |board| answer(&board)))
        };
        let scraped = Arc::downgrade(board);
        let metrics = Arc::new(move || scraped.upgrade().map(|board| board.metrics()).unwrap_or_default());
        Probes { livez: probe(Self::live), readyz: probe(Self::ready), metrics }
    }

    fn metrics(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        self.informers.collect(&mut snapshot);
        self.controllers.collect(&mut snapshot);
        snapshot
    }

    fn live(&self) -> Vec<Check> {
        self.health().live(clock::now())
    }

    fn ready(&self) -> Vec<Check> {
        let controllers = self.controllers.status();
        self.health().ready(clock::now(), &controllers, self.stop.is_stopping())
    }

    /// Beats, and logs what is news about the watched kinds, so that nothing hangs in silence.
    async fn watch(&self) -> Infallible {
        loop {
            let controllers = self.controllers.status().into_iter();
            let sources = controllers.flat_map(|controller| controller.sources).chain(self.informers.status());
            let kinds: BTreeMap<_, _> = sources.map(|source| (source.kind.clone(), source)).collect();
            let news = self.health().observe(clock::now(), &kinds);
            news.iter().for_each(log);
            clock::sleep(BEAT).await;
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log(news: &News) {
    let kind = &news.kind;
    match &news.what {
        What::Failing { message, attempts } => tracing::warn!(%kind, attempts, "{message}"),
        What::Waiting(time) => tracing::warn!(%kind, "no first list after {} s, still waiting", time.as_secs()),
        What::Recovered => tracing::info!(%kind, "works again"),
    }
}

/// Stops at the first signal, aborts at the second.
async fn obey(mut signals: Signals, stop: &Stop) -> Infallible {
    while let Some(signal) = signals.next().await {
        if stop.is_stopping() {
            tracing::warn!(signal, "stopping at once");
            stop.abort();
        } else {
            tracing::info!(signal, "stopping, a second signal stops at once");
            stop.stop();
        }
    }
    std::future::pending().await
}

fn list(errors: &[Error]) -> String {
    let messages: Vec<_> = errors.iter().map(ToString::to_string).collect();
    messages.join("; ")
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let controllers: Vec<_> = self.first.iter().map(|(controller, _)| controller).collect();
        f.debug_struct("Manager").field("controllers", &controllers).field("stop", &self.stop).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
