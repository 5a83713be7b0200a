//! Delivery of events to handlers.
use std::marker::PhantomData;
use std::sync::Arc;

use crate::resource::{Kind, ObjectKey};
use crate::store::decode::Envelope;
use crate::store::lister::DecodeError;
use crate::wire::Metadata;

mod buffer;

pub(super) mod delivery;

mod filter;

mod options;

mod registration;

#[cfg(feature = "kube-runtime")]
pub(crate) mod stream;

pub use super::event::FinalState;
pub use filter::FilteringEventHandler;
pub use options::{HandlerOptions, MIN_RESYNC_PERIOD};
pub(super) use registration::Progress;
pub use registration::Registration;

/// Reacts to changes of one kind.
///
/// Calls are sequential for one handler; there is no order across handlers. A handler may block: it runs on a thread for
/// blocking work, and delays nobody but itself.
///
/// ```
/// use kubewright::informer::handler::{Deleted, Handle, ResourceEventHandler};
/// use kubewright::k8s_openapi::api::core::v1::Pod;
///
/// struct Diary;
///
/// impl ResourceEventHandler<Pod> for Diary {
///     fn on_add(&mut self, pod: Handle<Pod>, is_in_initial_list: bool) {
///         println!("{} is {}", pod.key(), if is_in_initial_list { "there" } else { "new" });
///     }
///
///     fn on_update(&mut self, old: Handle<Pod>, new: Handle<Pod>) {
///         if old.metadata().resource_version == new.metadata().resource_version {
///             return; // a resync
///         }
///         match new.get() {
///             Ok(pod) => println!("{} is now {:?}", new.key(), pod.status.as_ref().and_then(|status| status.phase.as_ref())),
///             Err(error) => println!("{error}"),
///         }
///     }
///
///     fn on_delete(&mut self, pod: Deleted<Pod>) {
///         println!("{} is gone, its final state is {:?}", pod.last.key(), pod.final_state);
///     }
/// }
/// ```
///
/// # Order, and what a slow handler misses
///
/// Events wait in the order of their arrival, across all objects. While fewer than [`BUFFER_BOUND`] wait, the handler is
/// told of each. From there on an event is merged into the newest waiting one of the same object and takes its place:
///
/// | waits | arrives | the handler is told |
/// |---|---|---|
/// | added a | updated a to b | added b, in the initial list if a was |
/// | added a | deleted b | nothing: it never heard of the object |
/// | updated a to b | updated b to c | updated a to c: the old state is always what it was told last |
/// | updated a to b | deleted c | deleted c |
/// | deleted a | added b | both: they may be two objects |
///
/// So every object is told of as it is now in the end, an update never skips the state that was told last, and what came
/// and went meanwhile is left out. [`Registration::merged`] and the status of the informer count the merges.
///
/// # Memory
///
/// A handler that never returns costs at most [`BUFFER_BOUND`] events as they came, which is some 10 MB of pods, and two
/// more events for each object that exists or that it was told of, and 64 more that its thread took together, however many
/// arrive. States that are cached wait
/// packed, the final state of a deleted object as the server sent it. Objects of 4 KB cost 700 bytes each when all of them
/// keep changing, and 5 KB each when all of them were deleted and made anew.
///
/// # Panics
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
    /// Called once, when the handler has been told of everything that was there when it came.
    fn on_initial_list_end(&mut self) {}
    /// Called when an object is gone.
    fn on_delete(&mut self, object: Deleted<K>) {
        let _ = object;
    }
}

/// How many events wait for one handler in full before they are merged by object: as many as client-go makes room for
/// at first, so that an ordinary burst is delivered event by event.
pub const BUFFER_BOUND: usize = 1024;

/// An object in an event: metadata at no cost, the whole on demand. Cheap to clone.
///
/// It shares memory with what arrived or changed about then, up to 32 KiB for each of the two: for long, keep the key or what
/// it decodes to.
pub struct Handle<K> {
    envelope: Arc<Envelope>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Handle<K> {
    pub(crate) fn new(envelope: Arc<Envelope>) -> Self {
        Self { envelope, kind: PhantomData }
    }

    /// Returns its metadata, parsed once for all handlers.
    pub fn metadata(&self) -> &Metadata {
        self.envelope.metadata()
    }

    /// Returns its namespace and name.
    pub fn key(&self) -> &ObjectKey {
        self.envelope.key()
    }

    /// Decodes it, once for all handlers of this event that keep up with it.
    ///
    /// # Errors
    /// When the object is not a `K`.
    pub fn get(&self) -> Result<Arc<K>, DecodeError> {
        self.envelope.decode()
    }
}

/// An object that is gone. Cheap to clone.
pub struct Deleted<K> {
    /// Its last known state.
    pub last: Handle<K>,
    /// Whether that is its final state.
    pub final_state: FinalState,
}

impl<K> Clone for Handle<K> {
    fn clone(&self) -> Self {
        Self { envelope: Arc::clone(&self.envelope), kind: PhantomData }
    }
}

impl<K> Clone for Deleted<K> {
    fn clone(&self) -> Self {
        Self { last: self.last.clone(), final_state: self.final_state }
    }
}

impl<K> std::fmt::Debug for Handle<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Handle").field(self.envelope.key()).finish()
    }
}

impl<K> std::fmt::Debug for Deleted<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { last, final_state } = self;
        f.debug_struct("Deleted").field("last", last).field("final_state", final_state).finish()
    }
}
