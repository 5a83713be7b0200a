//! The informer without its type: what all its holders share, and what its run shares with them.
use std::any::TypeId;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::delta::DeltaReceiver;
use crate::metrics::{Metric, Snapshot};
use crate::reflector::{ReflectorStatus, Target};
use crate::resource::{Kind, ObjectKey, ResourceVersion};
use crate::store::{Budget, Options, Store, Writer};

use super::event::RawEvent;
use super::handler::delivery::{self, Start};
use super::handler::{HandlerOptions, Progress, Registration};
use super::options::Presence;
use super::runner::Runner;
use super::{InformerStatus, runner};

/// How much slow handlers were spared, and did not see.
const MERGED: Metric = Metric {
    name: "kubewright_informer_merged_events_total",
    help: "Events merged into waiting ones of slow handlers, over all handlers of an informer.",
};

/// The informer without its type: what controllers are built on. Whoever has one keeps it running.
pub(crate) struct SharedInformer {
    core: Arc<Core>,
    /// What tells its metrics from those of others of the factory that watch the same: the first is 1.
    number: usize,
    /// Taken by the one run.
    writer: Mutex<Option<Writer>>,
    /// Slots of declared indexes by primary kind.
    declared: Mutex<HashMap<TypeId, Arc<[usize]>>>,
    /// Gone with the last holder, which ends the run.
    held: watch::Sender<bool>,
}

/// What the run shares with the holders, without being one.
pub(super) struct Core {
    pub(super) targets: Targets,
    pub(super) store: Arc<Store>,
    /// Handlers that the run has not taken in yet, as many as were registered since it last looked; `None` once it ended.
    arrivals: Mutex<Option<Vec<Arrival>>>,
    /// Says that a handler came or went.
    pub(super) changed: Arc<Notify>,
    pub(super) status: watch::Sender<InformerStatus>,
    /// Whether a list is being applied: what it brings skips versions, unlike the events of a watch.
    pub(super) listing: Arc<AtomicBool>,
    /// What feeds it, once it runs, in the order of the targets.
    reflectors: OnceLock<Vec<watch::Receiver<ReflectorStatus>>>,
    presence: Mutex<Presence>,
}

/// What is watched: one target, or the same of several namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Targets {
    /// All of it; its namespace is a list with commas if there are several, as `WATCH_NAMESPACE` of many operators is.
    pub(super) whole: Target,
    /// One for each watch.
    pub(super) each: Vec<Target>,
}

impl Targets {
    /// Says whether anything has the same name in both.
    pub(super) fn overlap(&self, other: &Self) -> bool {
        self.named().any(|target| other.named().any(|other| target == other))
    }

    /// Returns what metrics name: the whole, and each.
    fn named(&self) -> impl Iterator<Item = &Target> {
        std::iter::once(&self.whole).chain(&self.each)
    }
}

impl From<Target> for Targets {
    fn from(target: Target) -> Self {
        Self { each: vec![target.clone()], whole: target }
    }
}

/// A handler on its way in.
pub(super) struct Arrival {
    pub(super) start: Start,
    pub(super) progress: Arc<Progress>,
    /// Its resync period, if it has one.
    pub(super) resync: Option<Duration>,
}

impl SharedInformer {
    /// Makes an informer with an empty store. Its number is no other's that watches any of the same.
    pub(super) fn numbered(number: usize, targets: Targets, options: Options) -> Arc<Self> {
        let (store, writer) = Store::new(options);
        let namespaces = targets.each.iter().map(|target| target.namespace.clone());
        let writer = writer.divided(namespaces.collect());
        let core = Core {
            targets,
            store,
            arrivals: Mutex::new(Some(Vec::new())),
            changed: Arc::default(),
            status: watch::Sender::default(),
            listing: Arc::default(),
            reflectors: OnceLock::new(),
            presence: Mutex::new(Presence::Optional),
        };
        Arc::new(Self {
            core: Arc::new(core),
            number,
            writer: Mutex::new(Some(writer)),
            declared: Mutex::default(),
            held: watch::Sender::new(false),
        })
    }

    /// What is watched; where it is several namespaces, they are separated by commas.
    pub(crate) fn target(&self) -> &Target {
        &self.core.targets.whole
    }

    /// What is watched, one target for each watch.
    pub(crate) fn targets(&self) -> &[Target] {
        &self.core.targets.each
    }

    /// Calls `handler` inline, right after the store took each change, so it must be quick: map to keys and enqueue.
    /// It first sees every stored object as `Added { initial: true }`. Dropping the registration removes it.
    ///
    /// A panic is contained and reported, and loses the event for this handler.
    pub(crate) fn add_inline_handler(self: &Arc<Self>, handler: Box<dyn FnMut(RawEvent) + Send>) -> Registration {
        let progress = Arc::<Progress>::default();
        let start = delivery::inline(handler, Arc::clone(&progress));
        self.register(HandlerOptions::default(), progress, start)
    }

    /// What tells its metrics from those of others that watch the same.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// The status as it changes.
    pub(crate) fn status(&self) -> watch::Receiver<InformerStatus> {
        self.core.status.subscribe()
    }

    /// What each reflector that feeds it tells of itself; nothing before the informer runs.
    pub(crate) fn reflectors(&self) -> Vec<(Target, ReflectorStatus)> {
        let statuses = self.core.reflectors.get().into_iter().flatten();
        let targets = self.core.targets.each.iter();
        targets.zip(statuses).map(|(target, status)| (target.clone(), status.borrow().clone())).collect()
    }

    /// Adds what this informer and its reflectors show now to `snapshot`.
    pub(crate) fn collect(&self, snapshot: &mut Snapshot) {
        let number = self.number.to_string();
        let (kind, informer) = (self.target().to_string(), ("informer", number.as_str()));
        // The first of those that watch the same needs no number.
        let told = if self.number > 1 { 2 } else { 1 };
        let labels = &[("kind", kind.as_str()), informer][..told];
        self.core.store.memory_usage().record(snapshot, labels);
        snapshot.counter(MERGED, labels, self.core.status.borrow().merged);
        for (target, reflector) in self.reflectors() {
            reflector.record(&[("kind", target.to_string().as_str()), informer][..told], snapshot);
        }
    }

    /// Returns what says whether a list is being applied. Exact for inline handlers, which are called in the middle of it.
    pub(crate) fn listing(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.core.listing)
    }

    /// Says whether every change of a target up to `version` can be read. Of a version that does not compare nobody can
    /// tell: yes.
    pub(crate) fn has_reached(&self, target: usize, version: &ResourceVersion) -> bool {
        let of_target = self.core.status.borrow().versions.get(target).cloned();
        let reached = of_target.unwrap_or_else(|| self.core.store.version());
        !reached.compare(version).is_some_and(std::cmp::Ordering::is_lt)
    }

    /// Returns the uid of the stored object.
    pub(crate) fn uid(&self, key: &ObjectKey) -> Option<Box<str>> {
        self.core.store.glance(key, |head| head.uid().into())
    }

    /// Says whether this life of the object is stored and not being deleted.
    pub(crate) fn has_alive(&self, key: &ObjectKey, uid: &str) -> bool {
        self.core.store.glance(key, |head| head.is_of_uid(uid) && !head.is_deleting()).unwrap_or(false)
    }

    /// The keys that have `value` in the index at `slot`, in no order.
    pub(crate) fn keys_by(&self, slot: usize, value: &str) -> Vec<ObjectKey> {
        self.core.store.keys_by(slot, value)
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(super) fn store(&self) -> &Arc<Store> {
        &self.core.store
    }

    /// Returns the slots of the indexes that `P` declares; `add` adds them when this is asked for the first time.
    pub(super) fn declared_slots<P: Kind>(&self, add: impl FnOnce() -> Vec<usize>) -> Arc<[usize]> {
        // Held while the indexes are filled: a second caller must not query half an index.
        let mut declared = self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(declared.entry(TypeId::of::<P>()).or_insert_with(|| add().into()))
    }

    /// Takes in what one more caller makes of a missing kind: the strictest counts.
    pub(super) fn require(&self, presence: Presence) {
        let mut required = self.core.presence.lock().unwrap_or_else(PoisonError::into_inner);
        *required = presence.max(*required);
        drop(required);
        self.core.changed.notify_one();
    }

    /// Takes in the budget of one more caller: the smallest counts.
    pub(super) fn limit(&self, budget: Budget) {
        self.core.store.limit(budget);
        self.core.changed.notify_one();
    }

    pub(super) fn register(
        self: &Arc<Self>,
        options: HandlerOptions,
        progress: Arc<Progress>,
        start: Start,
    ) -> Registration {
        self.core.arrive(Arrival { start, progress: Arc::clone(&progress), resync: options.resync() });
        Registration::new(progress, Arc::clone(self))
    }

    /// Lets go of handlers that have been removed: of those that wait here now, of the others when the run comes to it.
    pub(super) fn let_go(&self) {
        self.core.let_go();
    }

    /// Returns the one run of this informer, or `None` when it has been taken before.
    ///
    /// The run applies `deltas` and calls handlers until `stop` says so, or nobody holds the informer any more.
    pub(super) fn run(
        &self,
        deltas: DeltaReceiver,
        reflectors: Vec<watch::Receiver<ReflectorStatus>>,
        stop: watch::Receiver<bool>,
    ) -> Option<impl Future<Output = ()> + Send + 'static> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        // The one run sets it, so it is not set yet.
        let _ = self.core.reflectors.set(reflectors.clone());
        let end = self.end(stop);
        Some(Runner::new(Arc::clone(&self.core), writer).run(deltas, reflectors, end))
    }

    /// Waits until `stop` says so, or nobody holds the informer any more.
    pub(super) fn end(&self, mut stop: watch::Receiver<bool>) -> impl Future<Output = ()> + Send + 'static {
        let mut held = self.held.subscribe();
        async move {
            tokio::select! {
                () = runner::stopped(&mut stop) => {}
                () = runner::stopped(&mut held) => {}
            }
        }
    }
}

impl Core {
    /// What is watched and has not been listed yet: of several namespaces, those that are late.
    pub(super) fn awaited(&self) -> Target {
        let reflectors = self.reflectors.get().into_iter().flatten();
        let late = self.targets.each.iter().zip(reflectors).filter(|(_, reflector)| !reflector.borrow().synced);
        let late: Vec<_> = late.filter_map(|(target, _)| target.namespace.as_deref()).collect();
        let whole = self.targets.whole.clone();
        if late.is_empty() { whole } else { Target { namespace: Some(late.join(",")), ..whole } }
    }

    /// What the callers together make of a missing kind.
    pub(super) fn presence(&self) -> Presence {
        *self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take_arrivals(&self) -> Vec<Arrival> {
        self.arrivals().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Drops handlers that were not taken in, and those that come later.
    pub(super) fn close(&self) {
        // Dropped outside the lock: a handler may hold what registers another.
        let dropped = self.arrivals().take();
        drop(dropped);
        self.status.send_if_modified(|status| !std::mem::replace(&mut status.stopped, true));
    }

    fn arrive(&self, arrival: Arrival) {
        match &mut *self.arrivals() {
            Some(arrivals) => arrivals.push(arrival),
            None => {
                let kind = &self.targets.whole.resource;
                tracing::warn!(%kind, "an event handler came after its informer had stopped");
            }
        }
        self.changed.notify_one();
    }

    fn let_go(&self) {
        // Dropped outside the lock, as above.
        let removed: Vec<Arrival> = match &mut *self.arrivals() {
            Some(arrivals) => arrivals.extract_if(.., |arrival| arrival.progress.is_removed()).collect(),
            None => Vec::new(),
        };
        drop(removed);
        self.changed.notify_one();
    }

    fn arrivals(&self) -> MutexGuard<'_, Option<Vec<Arrival>>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for SharedInformer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedInformer")
            .field("target", &self.core.targets.whole)
            .field("store", &self.core.store)
            .finish_non_exhaustive()
    }
}
