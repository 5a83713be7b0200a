//! Delivery of events to handlers.
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use tokio::sync::{Notify, watch};

use crate::resource::{Kind, ObjectKey};
use crate::store::decode::Envelope;
use crate::store::lister::DecodeError;
use crate::wire::Metadata;

mod buffer;

pub(super) mod delivery;

/// Reacts to changes of one kind.
///
/// Calls are sequential for one handler; there is no order across handlers. A handler may block: it runs on a thread
/// for blocking work, its events wait in a buffer of [`BUFFER_BOUND`], and beyond that they are merged by object, so
/// that a slow handler delays nobody but itself and costs no more memory than the cache. Merging keeps the promise that
/// `old` of an update is what the handler saw last, and leaves out objects that came and went meanwhile.
///
/// A panic loses the event it happened on, and is reported; the handler goes on with the next one. If it happened on
/// the initial list, the registration never reports itself synced.
pub trait ResourceEventHandler<K: Kind>: Send + 'static {
    /// Called for each object that appears; `is_in_initial_list` for those that were there when the handler came.
    fn on_add(&mut self, object: Handle<K>, is_in_initial_list: bool) {
        let _ = (object, is_in_initial_list);
    }
    /// Called when an object changed.
    fn on_update(&mut self, old: Handle<K>, new: Handle<K>) {
        let _ = (old, new);
    }
    /// Called when an object is gone.
    fn on_delete(&mut self, object: Deleted<K>) {
        let _ = object;
    }
}

/// How many events wait for one handler in full before they are merged by object: as many as client-go makes room for
/// at first, so that an ordinary burst is delivered event by event.
pub const BUFFER_BOUND: usize = 1024;

/// An object in an event: metadata at no cost, the whole on demand. Cheap to clone.
pub struct Handle<K> {
    envelope: Arc<Envelope>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Handle<K> {
    pub(super) fn new(envelope: Arc<Envelope>) -> Self {
        Self { envelope, kind: PhantomData }
    }

    /// Returns its metadata, already parsed.
    pub fn metadata(&self) -> &Metadata {
        self.envelope.metadata()
    }

    /// Returns its namespace and name.
    pub fn key(&self) -> &ObjectKey {
        &self.metadata().key
    }

    /// Decodes it, once for all handlers of this event that keep up with it.
    ///
    /// # Errors
    /// When the object is not a `K`.
    pub fn get(&self) -> Result<Arc<K>, DecodeError> {
        self.envelope.decode()
    }
}

/// An object that is gone.
pub struct Deleted<K> {
    /// Its last known state.
    pub last: Handle<K>,
    /// False when the deletion itself was missed and only a re-list showed it (client-go's `DeletedFinalStateUnknown`).
    pub final_state_known: bool,
}

/// Keeps a handler registered; dropping it removes the handler.
///
/// After the drop no call of the handler begins; one that is running may still finish.
#[must_use = "dropping a registration removes its handler"]
#[derive(Debug)]
pub struct Registration {
    progress: Arc<Progress>,
    /// Wakes the informer, so that a removed handler is let go of at once.
    changed: Arc<Notify>,
}

impl Registration {
    pub(super) fn new(progress: Arc<Progress>, changed: Arc<Notify>) -> Self {
        Self { progress, changed }
    }

    /// Waits until the handler has returned from the last object of its initial list.
    ///
    /// Waits forever when that cannot happen: the informer is not started or has been stopped, or the handler panicked.
    pub async fn synced(&self) {
        let mut synced = self.progress.synced.subscribe();
        // The sender lives as long as `self`, so that waiting cannot fail.
        let _ = synced.wait_for(|synced| *synced).await;
    }

    /// Says whether the handler has seen its whole initial list.
    pub fn has_synced(&self) -> bool {
        *self.progress.synced.borrow()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.progress.removed.store(true, SeqCst);
        self.changed.notify_one();
    }
}

/// What a registration and the delivery to its handler tell each other.
#[derive(Debug, Default)]
pub(super) struct Progress {
    removed: AtomicBool,
    synced: watch::Sender<bool>,
}

impl Progress {
    /// Says whether the registration has been dropped.
    pub(super) fn is_removed(&self) -> bool {
        self.removed.load(SeqCst)
    }

    /// Says that the handler has returned from the last object of its initial list.
    fn set_synced(&self) {
        self.synced.send_replace(true);
    }
}

impl<K> Clone for Handle<K> {
    fn clone(&self) -> Self {
        Self { envelope: Arc::clone(&self.envelope), kind: PhantomData }
    }
}

impl<K> std::fmt::Debug for Handle<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Handle").field(&self.envelope.metadata().key).finish()
    }
}

impl<K> std::fmt::Debug for Deleted<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { last, final_state_known } = self;
        f.debug_struct("Deleted").field("last", last).field("final_state_known", final_state_known).finish()
    }
}
