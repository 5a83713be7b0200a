//! One reflector, one store and its handlers.
use std::any::TypeId;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::delta::DeltaReceiver;
use crate::metrics::Snapshot;
use crate::reflector::{Failure, ReflectorStatus, Target};
use crate::resource::{Kind, ObjectKey, ResourceVersion};
use crate::store::decode::Envelope;
use crate::store::index::Index;
use crate::store::lister::Lister;
use crate::store::{Options, Storage, Store, Writer};

pub mod declared;

pub(crate) mod event;

pub mod factory;

pub mod handler;

mod resync;

mod runner;

pub use event::Event;
pub(crate) use event::RawEvent;
use handler::delivery::{self, Start};
use handler::{HandlerOptions, Progress, Registration, ResourceEventHandler};
use runner::Runner;

/// A shared, typed cache of one kind with its handlers. Cheap to clone; all clones share one watch.
pub struct Informer<K> {
    shared: Arc<SharedInformer>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Informer<K> {
    pub(crate) fn new(shared: Arc<SharedInformer>) -> Self {
        Self { shared, kind: PhantomData }
    }

    /// Returns the typed read view.
    pub fn lister(&self) -> Lister<K> {
        Lister::new(Arc::clone(&self.shared.store))
    }

    /// Adds an index: `project` returns the values of one object. Works before and after start.
    ///
    /// Every change of an object decodes it once for all indexes. An object that does not decode, or that `project`
    /// panics on, has no values here, and is reported once. After start this fills the index before it returns, on the
    /// calling thread: add indexes before start where there are many objects.
    pub fn add_index<V, F>(&self, project: F) -> Index<K>
    where
        F: Fn(&K) -> V + Send + Sync + 'static,
        V: IntoIterator<Item = String>,
    {
        self.add_projection(move |object: &K, out| project(object).into_iter().for_each(|value| out(&value)))
    }

    /// Adds an index: `project` calls its second argument once for each value of one object.
    pub(crate) fn add_projection<F>(&self, project: F) -> Index<K>
    where
        F: Fn(&K, &mut dyn FnMut(&str)) + Send + Sync + 'static,
    {
        let slot = self.shared.store.add_index(Arc::new(move |envelope: &Envelope, out: &mut dyn FnMut(&str)| {
            project(&*envelope.decode::<K>()?, out);
            Ok(())
        }));
        self.index(slot)
    }

    /// Adds a handler; it sees every stored object first, then every change. Dropping the registration removes it.
    ///
    /// Nothing is called before the factory has started the informer, nor after it has stopped.
    pub fn add_event_handler<H: ResourceEventHandler<K>>(&self, handler: H) -> Registration {
        self.add_event_handler_with(handler, HandlerOptions::default())
    }

    /// Adds a handler as [`Informer::add_event_handler`] does, served as `options` say.
    pub fn add_event_handler_with<H: ResourceEventHandler<K>>(
        &self,
        handler: H,
        options: HandlerOptions,
    ) -> Registration {
        self.shared.register(options, |progress| delivery::buffered(handler, progress))
    }

    /// What the informer has and what keeps it from having more, as it changes.
    pub fn status(&self) -> watch::Receiver<InformerStatus> {
        self.shared.status()
    }

    /// Says whether the informer has been stopped. Once it is, it stays so: what is cached can still be read and does not
    /// change any more, and handlers that are added are dropped at once.
    pub fn is_stopped(&self) -> bool {
        self.shared.arrivals().is_none()
    }

    /// Returns the type-erased informer underneath.
    pub(crate) fn shared(&self) -> &Arc<SharedInformer> {
        &self.shared
    }

    fn index(&self, slot: usize) -> Index<K> {
        Index::new(Arc::clone(&self.shared.store), slot)
    }
}

impl<K> Clone for Informer<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), kind: PhantomData }
    }
}

impl<K> std::fmt::Debug for Informer<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Informer").field(&self.shared).finish()
    }
}

/// What one informer has and what keeps it from having more. Read through [`tokio::sync::watch`].
#[derive(Clone, Debug, Default)]
pub struct InformerStatus {
    /// Whether the store has applied a whole list and every inline handler was called for it.
    pub synced: bool,
    /// The version up to which the server's changes are in the store and inline handlers were called for them.
    pub version: ResourceVersion,
    /// What is failing now; `None` once a list or watch works again.
    pub failure: Option<Arc<Failure>>,
    /// How many objects are stored.
    pub objects: usize,
    /// Whether they take more than the informer's [`Budget`](crate::store::Budget). Nothing is left out for that.
    pub over_budget: bool,
    /// How many events were merged into waiting ones of slow handlers, over all handlers since the start.
    pub merged: u64,
}

impl InformerStatus {
    /// Says whether both tell the same.
    fn is(&self, other: &Self) -> bool {
        let Self { synced, version, failure, objects, over_budget, merged } = self;
        let failing = |failure: &Option<Arc<Failure>>| failure.as_ref().map(Arc::as_ptr);
        failing(failure) == failing(&other.failure)
            && (*synced, version, *objects) == (other.synced, &other.version, other.objects)
            && (*over_budget, *merged) == (other.over_budget, other.merged)
    }
}

/// The informer without its type: what controllers are built on.
pub(crate) struct SharedInformer {
    target: Target,
    store: Arc<Store>,
    /// Taken by the one run.
    writer: Mutex<Option<Writer>>,
    /// Handlers that the run has not taken in yet, as many as were registered since it last looked; `None` once it ended.
    arrivals: Mutex<Option<Vec<Arrival>>>,
    /// Says that a handler came or went.
    changed: Arc<Notify>,
    status: watch::Sender<InformerStatus>,
    /// What feeds it, once it runs.
    reflector: OnceLock<watch::Receiver<ReflectorStatus>>,
    /// Slots of declared indexes by primary kind.
    declared: Mutex<HashMap<TypeId, Arc<[usize]>>>,
}

/// A handler on its way in.
struct Arrival {
    start: Start,
    progress: Arc<Progress>,
    /// Its resync period, if it has one.
    resync: Option<Duration>,
}

impl SharedInformer {
    /// Makes an informer with an empty store.
    pub(crate) fn new(target: Target) -> Arc<Self> {
        // A server that does not know of metadata sends whole objects.
        let storage = if target.metadata_only { Storage::Metadata } else { Storage::Packed };
        let (store, writer) = Store::new(Options { storage, ..Options::default() });
        Arc::new(Self {
            target,
            store,
            writer: Mutex::new(Some(writer)),
            arrivals: Mutex::new(Some(Vec::new())),
            changed: Arc::default(),
            status: watch::Sender::default(),
            reflector: OnceLock::new(),
            declared: Mutex::default(),
        })
    }

    /// What is watched.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Calls `handler` inline, right after the store took each change, so it must be quick: map to keys and enqueue.
    /// It first sees every stored object as `Added { initial: true }`. Dropping the registration removes it.
    ///
    /// A panic is contained and reported, and loses the event for this handler.
    pub(crate) fn add_inline_handler(self: &Arc<Self>, handler: Box<dyn FnMut(RawEvent) + Send>) -> Registration {
        self.register(HandlerOptions::default(), |progress| delivery::inline(handler, progress))
    }

    /// The status as it changes.
    pub(crate) fn status(&self) -> watch::Receiver<InformerStatus> {
        self.status.subscribe()
    }

    /// What the reflector that feeds it tells of itself; `None` before the informer runs.
    pub(crate) fn reflector(&self) -> Option<ReflectorStatus> {
        self.reflector.get().map(|status| status.borrow().clone())
    }

    /// Adds what this informer and its reflector show now to `snapshot`.
    pub(crate) fn collect(&self, snapshot: &mut Snapshot) {
        self.store.memory_usage().record(snapshot, &[("kind", &self.target.to_string())]);
        if let Some(reflector) = self.reflector() {
            reflector.collect(&self.target, snapshot);
        }
    }

    /// Says whether every change up to `version` can be read. Of a version that does not compare nobody can tell: yes.
    pub(crate) fn has_reached(&self, version: &ResourceVersion) -> bool {
        !self.store.version().compare(version).is_some_and(std::cmp::Ordering::is_lt)
    }

    /// Returns the uid of the stored object.
    pub(crate) fn uid(&self, key: &ObjectKey) -> Option<Box<str>> {
        self.store.copy(key).map(|stored| stored.view().metadata().uid)
    }

    /// Says whether this life of the object is stored and not being deleted.
    pub(crate) fn has_alive(&self, key: &ObjectKey, uid: &str) -> bool {
        let metadata = self.store.copy(key).map(|stored| stored.view().metadata());
        metadata.is_some_and(|metadata| *metadata.uid == *uid && !metadata.deleting)
    }

    /// The keys that have `value` in the index at `slot`, in no order.
    pub(crate) fn keys_by(&self, slot: usize, value: &str) -> Vec<ObjectKey> {
        self.store.keys_by(slot, value)
    }

    /// Returns the slots of the indexes that `P` declares; `add` adds them when this is asked for the first time.
    fn declared_slots<P: Kind>(&self, add: impl FnOnce() -> Vec<usize>) -> Arc<[usize]> {
        // Held while the indexes are filled: a second caller must not query half an index.
        let mut declared = self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(declared.entry(TypeId::of::<P>()).or_insert_with(|| add().into()))
    }

    fn register(self: &Arc<Self>, options: HandlerOptions, start: impl FnOnce(Arc<Progress>) -> Start) -> Registration {
        let progress = Arc::<Progress>::default();
        let (start, resync) = (start(Arc::clone(&progress)), options.resync());
        let arrival = Arrival { start, progress: Arc::clone(&progress), resync };
        match &mut *self.arrivals() {
            Some(arrivals) => arrivals.push(arrival),
            None => {
                tracing::warn!(kind = %self.target.resource, "an event handler came after its informer had stopped");
            }
        }
        self.changed.notify_one();
        Registration::new(progress, Arc::clone(self))
    }

    /// Lets go of handlers that have been removed: of those that wait here now, of the others when the run comes to it.
    fn let_go(&self) {
        // Dropped outside the lock: a handler may hold what registers another.
        let removed: Vec<Arrival> = match &mut *self.arrivals() {
            Some(arrivals) => arrivals.extract_if(.., |arrival| arrival.progress.is_removed()).collect(),
            None => Vec::new(),
        };
        drop(removed);
        self.changed.notify_one();
    }

    fn take_arrivals(&self) -> Vec<Arrival> {
        self.arrivals().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Drops handlers that were not taken in, and those that come later.
    fn close(&self) {
        // Dropped outside the lock: a handler may hold what registers another.
        let dropped = self.arrivals().take();
        drop(dropped);
    }

    fn arrivals(&self) -> MutexGuard<'_, Option<Vec<Arrival>>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the one run of this informer, or `None` when it has been taken before.
    ///
    /// The run applies `deltas` and calls handlers until `stop` says so.
    fn run(
        self: &Arc<Self>,
        deltas: DeltaReceiver,
        reflector: watch::Receiver<ReflectorStatus>,
        stop: watch::Receiver<bool>,
    ) -> Option<impl Future<Output = ()> + Send + 'static> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        // The one run sets it, so it is not set yet.
        let _ = self.reflector.set(reflector.clone());
        Some(Runner::new(Arc::clone(self), writer).run(deltas, reflector, stop))
    }
}

impl std::fmt::Debug for SharedInformer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedInformer")
            .field("target", &self.target)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
