//! Keys from sources, worked off by a reconcile function: one key never twice at once, no failure takes down another.
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::queue::limiter::{ItemExponential, RateLimiter};
use crate::reconcile::ReconcileFn;
use crate::resource::ObjectKey;

mod attached;

mod channel;

mod count;

mod follow_up;

mod gate;

mod guard;

mod hand;

mod hold;

pub(crate) mod inlet;

mod mapping;

mod overrides;

mod parking;

mod predicate;

mod source;

mod status;

mod timer;

mod watch;

mod worker;

pub(crate) use attached::Attached;
pub use channel::{CHANNEL_BOUND, KeySender, SendError};
pub use count::Counts;
pub(crate) use gate::Gate;
pub use gate::{DEFAULT_READ_YOUR_WRITES_DEADLINE, ReadYourWrites};
pub use overrides::{OverrideError, Overrides};
pub use parking::GateStats;
pub(crate) use predicate::Filter;
pub use predicate::Predicate;
#[cfg(test)]
pub(crate) use source::Feed;
pub(crate) use source::describe;
pub use source::{Source, SourceStatus};
pub use status::ControllerStatus;
pub(crate) use status::Monitor;
pub use watch::Watch;

/// A controller that is described and not yet attached to anything: a name, sources, and how it works.
///
/// The derive puts one together for each operator. By hand it takes informers, which need not be started yet:
///
/// ```no_run
/// use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
/// use kubewright::controller::{Controller, Predicate, Source, Watch};
/// use kubewright::manager::Manager;
/// use kubewright::reconcile::from_fn;
/// use kubewright::{Action, Client, InformerFactory, ObjectKey};
///
/// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let informers = InformerFactory::new(client);
/// let (deployments, replica_sets) = (informers.informer::<Deployment>(), informers.informer::<ReplicaSet>());
/// let (sender, outside) = Source::channel();
///
/// let controller = Controller::new("deployment", 5)
///     .source(Watch::primary(&deployments).filter(Predicate::generation_changed()))
///     .source(Watch::controlled_by::<Deployment>(&replica_sets))
///     .source(outside);
/// let lister = deployments.lister();
/// let reconcile = from_fn(move |key: ObjectKey| {
///     let lister = lister.clone();
///     async move {
///         let Some(deployment) = lister.get(&key)? else { return Ok(Action::await_change()) }; // gone
///         println!("{key} wants {:?} replicas", deployment.spec.replicas);
///         Ok(Action::await_change())
///     }
/// });
/// sender.try_send(ObjectKey::namespaced("web", "front"))?; // kept until the controller runs
/// let _ = Manager::new(informers).controller(controller, reconcile).run().await?;
/// # Ok(())
/// # }
/// ```
///
/// Reconciles begin once every handler of every informer has seen its initial list. There is no time limit for that: a kind
/// that cannot be listed keeps the process unready under its name and with what to do about it, and stalls the controllers
/// that need it and no other. controller-runtime ends the process after two minutes instead, which a missing role or CRD
/// turns into a crash loop.
///
/// | the reconcile | the key | its failure count |
/// |---|---|---|
/// | `Ok`, [`Action::await_change`](crate::reconcile::Action::await_change) | waits for an event | forgotten |
/// | `Ok`, [`Action::requeue_after`](crate::reconcile::Action::requeue_after) | comes back after that time, and at an event before it | forgotten |
/// | `Err`, transient | comes back after 5 ms, doubling up to 1000 s | grows |
/// | `Err`, conflict | as a transient error, but within 1 s for the first 32 in a row | grows |
/// | `Err` with a delay | comes back after that delay | unchanged |
/// | `Err`, terminal | waits for an event | forgotten |
/// | panicked, or passed its deadline | as a transient error | grows |
///
/// This is controller-runtime's table; it differs in that an error's own delay is kept, and in that events do not bring
/// back a key before its back-off is over: they wait and are seen together. Only what the primary itself asks for anew
/// does, by a new generation or its deletion, and then its failures are forgotten.
///
/// A key that comes back keeps the priority it had, unless the action names another. Initial lists and resyncs are of low priority, changes of the primary's
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
    limiter: Box<dyn RateLimiter<ObjectKey>>,
    resync: Option<Duration>,
    sources: Vec<Source>,
}

impl Controller {
    /// Describes a controller that runs up to `concurrency` reconciles at once, at least one.
    ///
    /// The name is that of its logs, metrics, probes and environment variables: short, and another one for each controller
    /// of a process.
    pub fn new(name: &str, concurrency: usize) -> Self {
        Self {
            name: name.into(),
            concurrency: concurrency.max(1),
            deadline: None,
            read_your_writes: ReadYourWrites::default(),
            gate: None,
            limiter: Box::new(ItemExponential::default()),
            resync: None,
            sources: Vec::new(),
        }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds an input.
    #[must_use]
    pub fn source(mut self, source: impl Into<Source>) -> Self {
        self.sources.push(source.into());
        self
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

    /// Sets how long failing keys wait, instead of 5 ms that double up to 1000 s. It limits retries alone: what events
    /// bring in runs as fast as the workers can.
    #[must_use]
    pub fn rate_limiter(mut self, limiter: impl RateLimiter<ObjectKey> + 'static) -> Self {
        self.limiter = Box::new(limiter);
        self
    }

    /// Reconciles every primary again each `period`, up to a tenth sooner or later, at low priority.
    ///
    /// Off unless it is set. Changes in the cluster are seen without it, and a re-list finds what a watch missed: it is for
    /// what the cluster does not tell, such as a cloud's side of things, and best measured in hours, as in
    /// controller-runtime's ten.
    #[must_use]
    pub fn resync(mut self, period: Duration) -> Self {
        self.resync = Some(period);
        self
    }

    /// Runs it on its own, without a manager: attaches its sources, waits for their initial
    /// lists, and reconciles until `stop` is ready. Whoever owns the informers starts them.
    ///
    /// Reconciles that run at the stop get `grace` to end and are dropped after it; keys that wait are dropped, as the next
    /// start lists everything anew. Returns how many reconciles were dropped. Dropping the future drops all at once.
    ///
    /// # Errors
    /// [`Error::WorkerLost`] when a worker ended by itself, which is a defect of this crate.
    pub async fn run(
        self,
        reconcile: ReconcileFn,
        stop: impl Future<Output = ()> + Send,
        grace: Duration,
    ) -> Result<usize, Error> {
        self.attach().run(reconcile, stop, grace).await
    }

    /// Attaches every source to a queue of its own.
    pub(crate) fn attach(self) -> Attached {
        Attached::new(self)
    }
}

/// Runs `future` for at most `limit`; `None` when it did not end by then.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = clock::sleep(limit) => None,
    }
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

#[cfg(test)]
mod tests;
