//! LIST and WATCH of one (kind, scope, selector) into deltas; owns every recovery.
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch as status_channel;

use crate::clock;
use crate::resource::{ResourceType, ResourceVersion};
use crate::wire::{self, Buffers, ManagedFields, Models, RawObject, Scanned};

mod encoding;

mod failure;

mod list;

mod page;

mod source;

mod state;

mod status;

mod watch;

#[cfg(test)]
mod tests;

pub use encoding::Encoding;
pub use failure::{Failure, FailureReason};
pub use source::{ApiListerWatcher, FirstSync, InitialEvents, ListerWatcher, WatchOptions};
pub use state::ListOptions;
pub use status::{ReflectorCounts, ReflectorStatus};

use failure::{Cause, Verb};
use state::{Health, Input, Machine, Output, Request, Then};

/// What the server said, in order.
///
/// A list is `ListStarted`, its items, `Replaced`; a list that breaks half-way is followed by another `ListStarted`. What
/// is deleted while a list is under way may come as `Deleted` before `Replaced`.
#[derive(Debug)]
pub enum Delta {
    /// A list begins: whatever is stored and not listed before the next `Replaced` is gone.
    ListStarted,
    /// One item of the list. Exact as of its own version, not yet the whole.
    Listed(Arc<RawObject>),
    /// The list is complete at this version.
    Replaced(ResourceVersion),
    /// An object was added or modified.
    Applied(Arc<RawObject>),
    /// An object was deleted; this is its last state.
    Deleted(Arc<RawObject>),
    /// Nothing changed up to this version.
    Bookmark(ResourceVersion),
}

/// Where a reflector hands its deltas on, in order.
pub trait DeltaSink: Send + Sync {
    /// Takes `delta`, after waiting for room.
    ///
    /// # Errors
    /// [`Closed`] when nobody will take deltas any more.
    fn push(&self, delta: Delta) -> impl Future<Output = Result<(), Closed>> + Send;

    /// Takes all of `deltas`, in order, as [`DeltaSink::push`] takes each; for sinks that can do that at a lower price. A
    /// future that is dropped has taken a beginning of them, and the rest is lost.
    ///
    /// # Errors
    /// [`Closed`] when nobody will take deltas any more.
    fn push_all(&self, deltas: &mut Vec<Delta>) -> impl Future<Output = Result<(), Closed>> + Send {
        async move {
            for delta in deltas.drain(..) {
                self.push(delta).await?;
            }
            Ok(())
        }
    }
}

/// Nobody takes deltas any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store of this reflector has stopped")]
pub struct Closed;

/// What is listed and watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The kind.
    pub resource: ResourceType,
    /// One namespace, or all.
    pub namespace: Option<String>,
    /// Label selector.
    pub labels: Option<String>,
    /// Field selector.
    pub fields: Option<String>,
    /// Whether only metadata is asked for (`PartialObjectMetadata`).
    pub metadata_only: bool,
    /// Whether managedFields are asked for and kept.
    pub managed_fields: ManagedFields,
}

/// Keeps a store in step with one target of the API server, for ever.
pub struct Reflector<S> {
    target: Target,
    source: Arc<dyn ListerWatcher>,
    sink: S,
    status: status_channel::Sender<ReflectorStatus>,
    machine: Machine,
    collected: Collected,
    /// What failed last, until it is published with the wait that follows.
    failing: Option<(Cause, Verb)>,
    attempts: u32,
    counts: ReflectorCounts,
    /// Where the objects on their way are.
    buffers: Buffers,
    /// What they are read by.
    models: Models,
}

/// Most deltas that are collected before they are handed on: then what wakes the store, and what tells the status, costs
/// each of them next to nothing, and the store need not wait for long.
const COLLECTED: usize = 64;

/// Most bytes of objects that are collected, and one object more: few beside what may wait for the store.
const COLLECTED_BYTES: usize = 128 * 1024;

impl<S: DeltaSink> Reflector<S> {
    /// Reads `target` from `source` into `sink`. Does nothing before [`Reflector::run`].
    pub fn new(
        target: Target,
        source: impl ListerWatcher,
        sink: S,
    ) -> (Self, status_channel::Receiver<ReflectorStatus>) {
        let (status, receiver) = status_channel::channel(ReflectorStatus::default());
        let machine = Machine::new(source.first_sync());
        let source = Arc::new(source);
        let counts = ReflectorCounts::default();
        (
            Self {
                target,
                source,
                sink,
                status,
                machine,
                collected: Collected::default(),
                failing: None,
                attempts: 0,
                counts,
                buffers: Buffers::default(),
                models: Models::learning(),
            },
            receiver,
        )
    }

    /// Goes on until it is dropped or its sink is closed. It gives up nothing: every failure is published and
    /// tried again. Dropping the future ends its requests at once.
    pub async fn run(mut self) {
        while self.turn().await.is_ok() {}
    }

    async fn turn(&mut self) -> Result<(), Closed> {
        match self.machine.request() {
            Request::Wait(low, high) => {
                let wait = clock::between(low, high);
                self.publish_failure(wait);
                clock::sleep(wait).await;
                self.step(Input::Waited).await.map(drop)
            }
            Request::List(options) | Request::Probe(options) => list::pages(self, options).await,
            Request::WatchList => watch::follow(self, ResourceVersion::default(), InitialEvents::Send).await,
            Request::Watch(version) => watch::follow(self, version, InitialEvents::Skip).await,
        }
    }

    /// Tells the machine what happened, hands on what comes of it, and says whether the request goes on.
    async fn step(&mut self, input: Input) -> Result<Then, Closed> {
        // What was collected before is told of first: this input may say the contrary.
        self.hand_on().await?;
        let then = self.take(input);
        self.hand_on().await?;
        Ok(then)
    }

    /// Tells the machine of an object that arrived, and hands on what comes of it, at the next [`Reflector::hand_on`] at the
    /// latest.
    async fn collect(&mut self, input: Input) -> Result<Then, Closed> {
        let then = self.take(input);
        if self.collected.is_full() {
            self.hand_on().await?;
        }
        Ok(then)
    }

    fn take(&mut self, input: Input) -> Then {
        if matches!(input, Input::Event { .. }) {
            self.counts.events += 1;
        }
        let Output { delta, then, health } = self.machine.step(input);
        self.collected.add(delta, health);
        then
    }

    /// Hands on what was collected, and publishes what it says. Called before anything is waited for.
    async fn hand_on(&mut self) -> Result<(), Closed> {
        let Collected { deltas, handed, health, .. } = &mut self.collected;
        let (handed, health) = (*handed, *health);
        match deltas.len() {
            0 => {}
            1 => self.sink.push(deltas.remove(0)).await?,
            _ => self.sink.push_all(deltas).await?,
        }
        self.collected.clear();
        if handed == Handed::List {
            self.counts.lists += 1;
            self.buffers.clear();
        }
        self.publish(health, handed);
        Ok(())
    }

    /// Ends a request that failed, after it lived so long.
    async fn fail(&mut self, verb: Verb, cause: Cause, lived: Duration) -> Result<(), Closed> {
        self.hand_on().await?;
        let fault = cause.fault();
        tracing::debug!(kind = %self.target.resource, ?fault, "{}", cause.message(&self.target, verb));
        self.failing = Some((cause, verb));
        self.counts.failures += 1;
        self.step(Input::Failed { fault, lived }).await.map(drop)
    }

    /// Returns the object if it is one that was asked for; others are counted and reported.
    fn admit(&mut self, scanned: &Scanned<'_>) -> Option<Arc<RawObject>> {
        let refused = if scanned.kind.as_deref() == Some(b"Table") {
            wire::Error::Table.to_string()
        } else if self.is_other_kind(scanned) {
            "it is of another kind".to_owned()
        } else {
            match scanned.to_object(self.target.managed_fields, &mut self.buffers) {
                Ok(object) => return Some(Arc::new(object)),
                Err(error) => error.to_string(),
            }
        };
        let mut count = 0;
        self.status.send_if_modified(|status| {
            status.skipped += 1;
            count = status.skipped;
            false
        });
        let object = scanned.key().map(|key| key.to_string()).unwrap_or_default();
        // One line says that something is wrong; a line for each would fill the log of whoever has a bad server.
        if count == 1 {
            tracing::warn!(kind = %self.target.resource, object, "an object was skipped: {refused}");
        } else {
            tracing::debug!(kind = %self.target.resource, object, count, "an object was skipped: {refused}");
        }
        None
    }

    /// Items of typed lists carry no kind, so only what is said counts.
    fn is_other_kind(&self, scanned: &Scanned<'_>) -> bool {
        let resource = &self.target.resource;
        let (kind, version) = (scanned.kind.as_deref(), scanned.api_version.as_deref());
        let partial = self.target.metadata_only
            && kind.is_none_or(|said| said == b"PartialObjectMetadata")
            && version.is_none_or(|said| said == b"meta.k8s.io/v1");
        let own = kind.is_none_or(|said| said == resource.kind.as_bytes())
            && version.is_none_or(|said| resource.has_api_version(said));
        !partial && !own
    }

    fn publish(&mut self, health: Health, handed: Handed) {
        let (version, synced, counts) = (self.machine.version(), self.machine.synced(), self.counts);
        let encoding = self.source.encoding();
        let now = (handed != Handed::Nothing).then(clock::now);
        let mut mended = None;
        self.status.send_if_modified(|status| {
            status.counts = counts;
            status.encoding = encoding;
            status.heard = now.or(status.heard);
            if handed == Handed::List {
                status.listed = now;
            }
            if status.last_version != *version {
                status.last_version = version.clone();
            }
            if health == Health::Works {
                mended = status.failure.take();
            }
            std::mem::replace(&mut status.synced, synced) != synced || mended.is_some()
        });
        match health {
            Health::Unchanged => {}
            Health::Works => {
                self.failing = None;
                self.attempts = 0;
            }
            Health::Fails => self.attempts = self.attempts.saturating_add(1),
        }
        if mended.is_some() {
            tracing::info!(kind = %self.target.resource, "list and watch work again");
        }
    }

    fn publish_failure(&mut self, retry_in: Duration) {
        // An expired version is waited for too, and is nobody's failure.
        let Some((cause, verb)) = self.failing.take().filter(|_| self.attempts > 0) else { return };
        let (reason, message) = (cause.reason(&self.target), cause.message(&self.target, verb));
        let failure = Failure { reason, message, attempts: self.attempts, retry_in };
        let mut before = None;
        self.status.send_modify(|status| before = status.failure.replace(Arc::new(failure.clone())));
        if before.is_none_or(|before| before.reason != failure.reason) {
            tracing::warn!(kind = %self.target.resource, reason = ?failure.reason, "{}", failure.message);
        }
    }
}

/// What came of inputs, on its way to the sink and the status.
#[derive(Default)]
struct Collected {
    deltas: Vec<Delta>,
    /// How many bytes the objects take.
    bytes: usize,
    handed: Handed,
    health: Health,
}

impl Collected {
    fn add(&mut self, delta: Option<Delta>, health: Health) {
        if health != Health::Unchanged {
            self.health = health;
        }
        let Some(delta) = delta else { return };
        self.handed = Handed::of(&delta);
        if let Delta::Listed(object) | Delta::Applied(object) | Delta::Deleted(object) = &delta {
            self.bytes += object.size();
        }
        self.deltas.push(delta);
    }

    fn is_full(&self) -> bool {
        self.deltas.len() >= COLLECTED || self.bytes >= COLLECTED_BYTES
    }

    /// Begins anew, in the same memory.
    fn clear(&mut self) {
        self.deltas.clear();
        (self.bytes, self.handed, self.health) = Default::default();
    }
}

/// What was handed on last, as the status counts it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Handed {
    #[default]
    Nothing,
    /// Something that the server said.
    Word,
    /// The end of a whole list.
    List,
}

impl Handed {
    fn of(delta: &Delta) -> Self {
        match delta {
            Delta::Replaced(_) => Self::List,
            _ => Self::Word,
        }
    }
}

impl std::fmt::Display for Target {
    /// Names the kind, and what of it is watched where that is not all: `pods/v1 (namespace shop)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let narrowed = [("namespace", &self.namespace), ("labels", &self.labels), ("fields", &self.fields)];
        let narrowed = narrowed.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
        // Without it two watches of one kind would share a name, and then a failure and a recovery.
        let kept = self.managed_fields == ManagedFields::Keep;
        let viewed = [(self.metadata_only, "metadata only"), (kept, "managed fields kept")];
        let viewed = viewed.into_iter().filter(|(is, _)| *is).map(|(_, name)| name.to_owned());
        let parts: Vec<_> = narrowed.chain(viewed).collect();
        write!(f, "{}", self.resource)?;
        if parts.is_empty() { Ok(()) } else { write!(f, " ({})", parts.join(", ")) }
    }
}

impl<S> std::fmt::Debug for Reflector<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reflector")
            .field("target", &self.target)
            .field("machine", &self.machine)
            .finish_non_exhaustive()
    }
}
