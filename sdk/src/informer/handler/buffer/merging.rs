//! Events of a handler that is slow: one state a key, as long as much waits.
use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::informer::event::Event;
use crate::resource::ObjectKey;

use super::{Next, Pushed};

/// Events that wait, by sequence number, and the newest of each key.
pub(super) struct Merging<T> {
    waiting: BTreeMap<u64, Waiting<T>>,
    newest: HashMap<ObjectKey, u64>,
    next: u64,
    /// Number of the first event after the initial list, if its end waits.
    end_of_initial_list: Option<u64>,
}

struct Waiting<T> {
    key: ObjectKey,
    event: Event<T>,
    /// The event of the same key before this one; it may have been taken since.
    before: Option<u64>,
}

impl<T> Merging<T> {
    /// Takes over what waits in `line`.
    pub(super) fn of(line: VecDeque<Next<T>>, key: impl Fn(&T) -> ObjectKey) -> Self {
        let mut merging = Self { waiting: BTreeMap::new(), newest: HashMap::new(), next: 0, end_of_initial_list: None };
        for next in line {
            match next {
                Next::Event(event) => merging.append(key(event.latest()), event),
                Next::EndOfInitialList => merging.end_initial_list(),
            }
        }
        merging
    }

    /// Adds an event, as part of the newest one of its key where there is one.
    pub(super) fn merge(&mut self, key: ObjectKey, event: Event<T>) -> Pushed {
        let event = match self.newest.get(&key) {
            Some(&newest) => self.join(newest, event),
            None => Some(event),
        };
        let Some(event) = event else { return Pushed::Merged };
        self.append(key, event);
        Pushed::Kept
    }

    /// Adds an event behind all others.
    pub(super) fn append(&mut self, key: ObjectKey, event: Event<T>) {
        let before = self.newest.insert(key.clone(), self.next);
        self.waiting.insert(self.next, Waiting { key, event, before });
        self.next += 1;
    }

    pub(super) fn end_initial_list(&mut self) {
        self.end_of_initial_list = Some(self.next);
    }

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

    /// Says whether the end of the initial list waits.
    pub(super) fn has_end(&self) -> bool {
        self.end_of_initial_list.is_some()
    }

    /// Returns how many events wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns how many keys have events that wait.
    #[cfg(test)]
    pub(super) fn keys(&self) -> usize {
        self.newest.len()
    }

    /// Merges `arriving` into the waiting event `newest`, or hands it back to be kept beside it.
    fn join(&mut self, newest: u64, arriving: Event<T>) -> Option<Event<T>> {
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
}
