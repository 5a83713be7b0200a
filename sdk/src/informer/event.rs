//! What happened to one object, before any typing.
use std::sync::Arc;

use crate::store::decode::Envelope;

/// An event as handlers see it. `T` is how the object is carried.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event<T> {
    /// Newly stored; `initial` while it belongs to the handler's first list.
    Added {
        /// What is stored now.
        object: T,
        /// Whether the handler has not seen a whole list yet.
        initial: bool,
    },
    /// Replaced in the store.
    Updated {
        /// What was stored before.
        old: T,
        /// What is stored now.
        new: T,
    },
    /// Removed from the store.
    Deleted {
        /// The last known state.
        last: T,
        /// False when a re-list merely missed it, or when another object took its key.
        final_state_known: bool,
    },
}

/// An event with objects that nobody has decoded, or even unpacked.
pub(crate) type RawEvent = Event<Arc<Envelope>>;

impl<T> Event<T> {
    /// Carries the objects in another way.
    pub(crate) fn map<U>(&self, carry: impl Fn(&T) -> U) -> Event<U> {
        match self {
            Self::Added { object, initial } => Event::Added { object: carry(object), initial: *initial },
            Self::Updated { old, new } => Event::Updated { old: carry(old), new: carry(new) },
            Self::Deleted { last, final_state_known } => {
                Event::Deleted { last: carry(last), final_state_known: *final_state_known }
            }
        }
    }

    /// Returns the latest state the event tells of.
    pub(crate) fn latest(&self) -> &T {
        match self {
            Self::Added { object, .. } => object,
            Self::Updated { new, .. } => new,
            Self::Deleted { last, .. } => last,
        }
    }
}
