//! Delivery of events to handlers.
use std::marker::PhantomData;
use std::sync::Arc;

use crate::resource::Kind;
use crate::store::lister::DecodeError;
use crate::wire::Metadata;

/// Reacts to changes of one kind. Calls are sequential for one handler; there is no order across handlers.
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

/// An object in an event: metadata at no cost, the whole on demand.
pub struct Handle<K> {
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Handle<K> {
    /// Returns its metadata, already parsed.
    pub fn metadata(&self) -> &Metadata {
        panic!("skeleton")
    }

    /// Decodes it, once for all handlers of this event.
    ///
    /// # Errors
    /// When the object is not a `K`.
    pub fn get(&self) -> Result<Arc<K>, DecodeError> {
        panic!("skeleton")
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
#[must_use = "dropping a registration removes its handler"]
#[derive(Debug)]
pub struct Registration {}

impl Registration {
    /// Waits until the handler has returned from the last object of its initial list.
    pub async fn synced(&self) {
        panic!("skeleton")
    }

    /// Says whether the handler has seen its whole initial list.
    pub fn has_synced(&self) -> bool {
        panic!("skeleton")
    }
}

impl<K> std::fmt::Debug for Handle<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}

impl<K> std::fmt::Debug for Deleted<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deleted").field("final_state_known", &self.final_state_known).finish_non_exhaustive()
    }
}
