//! The state of a work queue: keys in, keys out. No clock, no lock, no runtime; the time comes in as an argument.
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Instant;

/// How many keys the containers keep room for once the queue has run empty: an initial list fills the queue with every
/// object, and that memory must not stay for the life of the process.
pub(super) const RETAINED_CAPACITY: usize = 1024;

/// client-go's work queue as a state machine.
///
/// A key is dirty (has to be delivered), processing (was delivered and is not done), both, or absent. Its length is
/// bounded by the number of distinct keys, which is the number of objects the caller knows anyway.
#[derive(Debug)]
pub(super) struct Core<T> {
    present: HashMap<T, Presence>,
    ready: VecDeque<T>,
    delayed: Delayed<T>,
    processing: usize,
    phase: Phase,
}

/// What is true of a key the queue knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// Waits in `ready`.
    Dirty,
    /// A worker holds it.
    Processing,
    /// A worker holds it, and it was added again meanwhile.
    DirtyAndProcessing,
}

/// Whether the queue takes and hands out keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Draining,
    ShutDown,
}

impl<T: Clone + Eq + Hash> Core<T> {
    pub(super) fn new() -> Self {
        Self {
            present: HashMap::new(),
            ready: VecDeque::new(),
            delayed: Delayed::new(),
            processing: 0,
            phase: Phase::Open,
        }
    }

    /// Marks `item` dirty; ignored after shutdown. Returns whether it became ready now.
    pub(super) fn add(&mut self, item: T) -> bool {
        if self.is_shutting_down() {
            return false;
        }
        match self.present.get_mut(&item) {
            Some(Presence::Dirty | Presence::DirtyAndProcessing) => false,
            Some(presence @ Presence::Processing) => {
                *presence = Presence::DirtyAndProcessing;
                false
            }
            None => {
                self.present.insert(item.clone(), Presence::Dirty);
                self.ready.push_back(item);
                true
            }
        }
    }

    /// Adds `item` at `due`, or earlier where it waits already; ignored after shutdown. Returns whether the next
    /// deadline moved.
    pub(super) fn add_at(&mut self, item: T, due: Instant) -> bool {
        if self.is_shutting_down() {
            return false;
        }
        let before = self.delayed.next_due();
        self.delayed.insert(item, due);
        self.delayed.next_due() != before
    }

    /// Adds every delayed item that is due at `now`, in the order of their times.
    pub(super) fn promote(&mut self, now: Instant) {
        while let Some(item) = self.delayed.pop_due(now) {
            self.add(item);
        }
    }

    /// Takes the oldest ready item; it is processing until [`Core::done`].
    pub(super) fn get(&mut self) -> Option<T> {
        let item = self.ready.pop_front()?;
        if let Some(presence) = self.present.get_mut(&item) {
            *presence = Presence::Processing;
        }
        self.processing += 1;
        Some(item)
    }

    /// Ends the processing of `item`; one that was added meanwhile becomes ready, shutdown or not. Returns whether it
    /// did. An item that nobody holds is left alone.
    pub(super) fn done(&mut self, item: &T) -> bool {
        let again = match self.present.get_mut(item) {
            Some(Presence::Processing) => false,
            Some(presence @ Presence::DirtyAndProcessing) => {
                *presence = Presence::Dirty;
                true
            }
            Some(Presence::Dirty) | None => return false,
        };
        self.processing -= 1;
        if again {
            self.ready.push_back(item.clone());
        } else {
            self.present.remove(item);
            self.release_excess();
        }
        again
    }

    /// Refuses new items and drops the delayed ones; what is ready is still handed out. Ends a drain.
    pub(super) fn shut_down(&mut self) {
        self.phase = Phase::ShutDown;
        self.delayed = Delayed::new();
    }

    /// As [`Core::shut_down`], and remembers that somebody waits for [`Core::is_drained`].
    pub(super) fn drain(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Draining;
        }
        self.delayed = Delayed::new();
    }

    /// Says whether a drain may return: nothing is ready or processing, or a plain shutdown ended it.
    pub(super) fn is_drained(&self) -> bool {
        match self.phase {
            Phase::Open => false,
            Phase::Draining => self.ready.is_empty() && self.processing == 0,
            Phase::ShutDown => true,
        }
    }

    pub(super) fn is_shutting_down(&self) -> bool {
        self.phase != Phase::Open
    }

    /// Counts the ready items, as client-go's `Len` does.
    pub(super) fn len(&self) -> usize {
        self.ready.len()
    }

    /// Says whether a waiting worker has something to look at, now or later.
    pub(super) fn has_work(&self) -> bool {
        !self.ready.is_empty() || self.next_due().is_some()
    }

    /// Returns when the next delayed item is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.delayed.next_due()
    }

    fn release_excess(&mut self) {
        if self.present.is_empty() {
            self.present.shrink_to(RETAINED_CAPACITY);
            self.ready.shrink_to(RETAINED_CAPACITY);
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.present.capacity().max(self.ready.capacity())
    }
}

/// Items that wait for a time: one time for each item, the earliest that was asked for.
#[derive(Debug)]
struct Delayed<T> {
    due: HashMap<T, Slot>,
    order: BTreeMap<Slot, T>,
    sequence: u64,
}

/// A time, and a number that keeps items of the same time in the order they came.
type Slot = (Instant, u64);

impl<T: Clone + Eq + Hash> Delayed<T> {
    fn new() -> Self {
        Self { due: HashMap::new(), order: BTreeMap::new(), sequence: 0 }
    }

    fn insert(&mut self, item: T, due: Instant) {
        let slot = (due, self.sequence);
        match self.due.get(&item) {
            Some(waiting) if waiting.0 <= due => return,
            Some(waiting) => {
                self.order.remove(waiting);
            }
            None => {}
        }
        self.sequence += 1;
        self.due.insert(item.clone(), slot);
        self.order.insert(slot, item);
    }

    fn pop_due(&mut self, now: Instant) -> Option<T> {
        if self.next_due()? > now {
            return None;
        }
        let (_, item) = self.order.pop_first()?;
        self.due.remove(&item);
        if self.due.is_empty() {
            self.due.shrink_to(RETAINED_CAPACITY);
        }
        Some(item)
    }

    fn next_due(&self) -> Option<Instant> {
        self.order.first_key_value().map(|((due, _), _)| *due)
    }
}
