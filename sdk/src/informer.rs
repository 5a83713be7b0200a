//! One reflector, one store and its handlers.
use std::marker::PhantomData;
use std::sync::Arc;

use tokio::sync::watch;

use crate::reflector::{ReflectorStatus, Target};
use crate::resource::{Kind, ObjectKey};
use crate::store::index::Index;
use crate::store::lister::Lister;
use crate::wire::RawObject;

pub mod declared;

pub mod factory;

pub mod handler;

use handler::{Registration, ResourceEventHandler};

/// A shared, typed cache of one kind with its handlers. Cheap to clone; all clones share one watch.
pub struct Informer<K> {
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Informer<K> {
    /// Returns the typed read view.
    pub fn lister(&self) -> Lister<K> {
        panic!("skeleton")
    }

    /// Adds an index: `project` returns the values of one object. Works before and after start.
    pub fn add_index<V, F>(&self, project: F) -> Index<K>
    where
        F: Fn(&K) -> V + Send + Sync + 'static,
        V: IntoIterator<Item = String>,
    {
        let _ = project;
        panic!("skeleton")
    }

    /// Adds a handler; it sees every stored object first, then every change. Dropping the registration removes it.
    pub fn add_event_handler<H: ResourceEventHandler<K>>(&self, handler: H) -> Registration {
        let _ = handler;
        panic!("skeleton")
    }

    /// Returns the type-erased informer underneath.
    pub(crate) fn shared(&self) -> &Arc<SharedInformer> {
        panic!("skeleton")
    }
}

impl<K> Clone for Informer<K> {
    fn clone(&self) -> Self {
        Self { kind: PhantomData }
    }
}

impl<K> std::fmt::Debug for Informer<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Informer")
    }
}

/// What happened to one object, before any typing. Objects are as stored: raw bytes and metadata.
#[derive(Clone, Debug)]
pub(crate) enum RawEvent {
    /// Newly stored; `initial` while it belongs to the handler's first list.
    Added { object: Arc<RawObject>, initial: bool },
    /// Replaced in the store.
    Updated { old: Arc<RawObject>, new: Arc<RawObject> },
    /// Removed from the store. `final_state_known` is false when a re-list merely missed it.
    Deleted { last: Arc<RawObject>, final_state_known: bool },
}

/// The informer without its type: what controllers are built on.
#[derive(Debug)]
pub(crate) struct SharedInformer {}

impl SharedInformer {
    /// What is watched.
    pub(crate) fn target(&self) -> &Target {
        panic!("skeleton")
    }

    /// Calls `handler` inline, right after the store took each change, so it must be quick: map to keys and enqueue.
    /// It first sees every stored object as `Added { initial: true }`. Dropping the registration removes it.
    pub(crate) fn add_inline_handler(&self, handler: Box<dyn FnMut(RawEvent) + Send>) -> Registration {
        let _ = handler;
        panic!("skeleton")
    }

    /// The reflector's status as it changes.
    pub(crate) fn status(&self) -> watch::Receiver<ReflectorStatus> {
        panic!("skeleton")
    }

    /// The cached object, undecoded.
    pub(crate) fn get(&self, key: &ObjectKey) -> Option<Arc<RawObject>> {
        let _ = key;
        panic!("skeleton")
    }

    /// Adds an index over raw objects; returns its slot.
    pub(crate) fn add_raw_index(&self, project: Box<dyn Fn(&RawObject, &mut dyn FnMut(&str)) + Send + Sync>) -> usize {
        let _ = project;
        panic!("skeleton")
    }

    /// The keys that have `value` in the index at `slot`.
    pub(crate) fn keys_by(&self, slot: usize, value: &str) -> Vec<ObjectKey> {
        let _ = (slot, value);
        panic!("skeleton")
    }
}
