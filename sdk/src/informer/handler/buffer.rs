//! The events one handler has not taken yet: in order up to a bound, one state a key above it. No clock, no IO.
//!
//! Below the bound every event is kept, in the order of arrival across all keys. At the bound and above, an event is
//! merged into the newest event of the same key that still waits, and takes its place in the order. What becomes of the
//! two stands in the table at [`ResourceEventHandler`](super::ResourceEventHandler). A deletion and the addition after it
//! are both kept, as client-go's queue delivers both.
//!
//! So above the bound a key waits with at most two events more, deleted and added; and only keys wait that the
//! handler has heard of or that exist now. A stuck handler therefore costs what the cache costs, not what happened.
use std::collections::{BTreeMap, HashMap};

use crate::informer::event::Event;
use crate::resource::ObjectKey;

/// What a handler takes next.
#[derive(Debug, PartialEq)]
pub(super) enum Next<T> {
    /// Something happened to an object.
    Event(Event<T>),
    /// Everything of the initial list has been taken.
    EndOfInitialList,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It waits.
    Kept,
    /// It is part of an event that waited, or nothing is left of both.
    Merged,
}

/// Events that wait, by sequence number.
pub(super) struct Buffer<T> {
    bound: usize,
    waiting: BTreeMap<u64, Waiting<T>>,
    /// The newest waiting event of each key.
    newest: HashMap<ObjectKey, u64>,
    next: u64,
    /// Number of the first event after the initial list.
    end_of_initial_list: Option<u64>,
}

struct Waiting<T> {
    key: ObjectKey,
    event: Event<T>,
    /// The event of the same key before this one; it may have been taken since.
    before: Option<u64>,
}

impl<T> Buffer<T> {
    /// Makes an empty buffer that merges when `bound` events wait.
    pub(super) fn new(bound: usize) -> Self {
        Self { bound, waiting: BTreeMap::new(), newest: HashMap::new(), next: 0, end_of_initial_list: None }
    }

    /// Says whether the next event will be merged where it can be.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= self.bound
    }

    /// Adds what happened to the object at `key`.
    pub(super) fn push(&mut self, key: &ObjectKey, event: Event<T>) -> Pushed {
        let event = match self.newest.get(key) {
            Some(&newest) if self.is_full() => self.merge(newest, event),
            _ => Some(event),
        };
        if let Some(event) = event {
            let before = self.newest.insert(key.clone(), self.next);
            self.waiting.insert(self.next, Waiting { key: key.clone(), event, before });
            self.next += 1;
            return Pushed::Kept;
        }
        Pushed::Merged
    }

    /// Marks that what comes from here on does not belong to the initial list.
    pub(super) fn end_initial_list(&mut self) {
        self.end_of_initial_list = Some(self.next);
    }

    /// Takes the oldest event.
    pub(super) fn pop(&mut self) -> Option<Next<T>> {
        let first = self.waiting.first_key_value().map(|(&number, _)| number);
        if self.end_of_initial_list.is_some_and(|end| first.is_none_or(|first| first >= end)) {
            self.end_of_initial_list = None;
            return Some(Next::EndOfInitialList);
        }
        let (number, waiting) = self.waiting.pop_first()?;
        if self.newest.get(&waiting.key) == Some(&number) {
            self.newest.remove(&waiting.key);
        }
        Some(Next::Event(waiting.event))
    }

    /// Merges `arriving` into the waiting event `newest`, or hands it back to be kept beside it.
    fn merge(&mut self, newest: u64, arriving: Event<T>) -> Option<Event<T>> {
        let Some(waiting) = self.waiting.remove(&newest) else { return Some(arriving) };
        let Waiting { key, event, before } = waiting;
        let (kept, beside) = match (event, arriving) {
            (Event::Added { initial, .. }, Event::Updated { new, .. }) => {
                (Some(Event::Added { object: new, initial }), None)
            }
            (Event::Added { .. }, Event::Deleted { .. }) => (None, None),
            (Event::Updated { old, .. }, Event::Updated { new, .. }) => (Some(Event::Updated { old, new }), None),
            (Event::Updated { .. }, deleted @ Event::Deleted { .. }) => (Some(deleted), None),
            (waiting, arriving) => (Some(waiting), Some(arriving)),
        };
        match (kept, before.filter(|before| self.waiting.contains_key(before))) {
            (Some(event), _) => {
                self.waiting.insert(newest, Waiting { key, event, before });
            }
            (None, Some(before)) => {
                self.newest.insert(key, before);
            }
            (None, None) => {
                self.newest.remove(&key);
            }
        }
        beside
    }

    /// Returns how many events wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests;
