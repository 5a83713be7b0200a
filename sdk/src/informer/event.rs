//! What happened to one object, before any typing.
use std::sync::Arc;

use crate::store::decode::Envelope;

/// An event of one object: what handlers are told and predicates judge. `T` is how the object is carried.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<T> {
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
        /// Whether that is its final state.
        final_state: FinalState,
    },
}

/// What is known of the end of an object that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FinalState {
    /// The API server told of the end: the last known state is the final one. For an object that left a selector, or a
    /// filter, it is the last one inside.
    Known,
    /// The end was missed: a list did not have the object any more, another object has its key, or its kind is gone. The
    /// last known state is the one cached before that (client-go's `DeletedFinalStateUnknown`).
    Unknown,
}

/// An event with objects that nobody has decoded, or even unpacked.
pub(crate) type RawEvent = Event<Arc<Envelope>>;

impl<T> Event<T> {
    /// Carries the objects in another way.
    pub(crate) fn map<U>(&self, carry: impl Fn(&T) -> U) -> Event<U> {
        match self {
            Self::Added { object, initial } => Event::Added { object: carry(object), initial: *initial },
            Self::Updated { old, new } => Event::Updated { old: carry(old), new: carry(new) },
            Self::Deleted { last, final_state } => Event::Deleted { last: carry(last), final_state: *final_state },
        }
    }

    /// Returns the latest state the event tells of.
    pub fn latest(&self) -> &T {
        match self {
            Self::Added { object, .. } => object,
            Self::Updated { new, .. } => new,
            Self::Deleted { last, .. } => last,
        }
    }
}
