//! Where the keys of a work queue live: each stored once, found by its hash, chained into lists by number.
use std::hash::{BuildHasher, Hash, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;

use super::Priority;

/// How many keys the containers keep room for whatever happens: below this there is nothing worth giving back.
pub(super) const RETAINED_CAPACITY: usize = 1024;

/// Room is given back once fewer than one slot in so many is taken: an initial list fills the queue with every object,
/// and that memory must not stay for the life of the process. So far apart, filling and emptying pay for each move.
const SPARSE: usize = 16;

/// The number of a slot, which stays that of its key until the key goes or [`Slots::release`] says it moved.
pub(super) type Slot = u32;

/// No slot.
pub(super) const NIL: Slot = Slot::MAX;

/// Nanoseconds since the queue was made: half of an `Instant`, and enough for five hundred years.
pub(super) type Tick = u64;

/// What is true of a key the queue knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Waits for a time and for nothing else.
    Delayed,
    /// Has to be delivered, and waits in the list of its priority.
    Dirty,
    /// A worker holds it.
    Processing,
    /// A worker holds it, and it was added again meanwhile.
    DirtyAndProcessing,
}

/// A key and what the queue knows of it.
#[derive(Debug)]
pub(super) struct Entry<T> {
    /// `None` while the slot is free.
    pub(super) key: Option<T>,
    hash: u32,
    /// Neighbours in the one list the key is in: of its priority, or of what workers hold. A free slot's next is free.
    previous: Slot,
    next: Slot,
    /// Place among the delayed keys, [`NIL`] where it has none.
    pub(super) delay: u32,
    pub(super) presence: Presence,
    /// At which it is, or will be, ready.
    pub(super) priority: Priority,
    /// At which it becomes ready once its delay is over.
    pub(super) delayed_priority: Priority,
    /// When it became dirty, where that is measured.
    pub(super) added: Tick,
    /// When a worker took it, where that is measured.
    pub(super) started: Tick,
}

/// Every key the queue knows. Allocates only while it grows beyond what it ever held.
///
/// Names of objects are chosen by whoever may create one, so the hash is the keyed one of the standard library.
#[derive(Debug)]
pub(super) struct Slots<T> {
    hasher: RandomState,
    numbers: HashTable<Number>,
    entries: Vec<Entry<T>>,
    free: Slot,
}

/// How the table finds a slot. The hash is beside it, so that growing the table looks at no entry: a million of them are
/// a million cache misses.
#[derive(Clone, Copy, Debug)]
struct Number {
    hash: u32,
    slot: Slot,
}

impl Number {
    /// The table takes its places from the low bits and its tags from the high ones.
    fn hash(self) -> u64 {
        u64::from(self.hash) << 32 | u64::from(self.hash)
    }
}

/// A key that got another slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    pub(super) from: Slot,
    pub(super) to: Slot,
}

impl<T: Eq + Hash> Slots<T> {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), numbers: HashTable::new(), entries: Vec::new(), free: NIL }
    }

    /// Finds the slot of `key`, or gives it one; then it is new, and its presence is up to the caller.
    pub(super) fn find_or_insert(&mut self, key: T) -> (Slot, bool) {
        let probe = Number { hash: self.hash(&key), slot: NIL };
        let entries = &self.entries;
        let holds =
            |number: &Number| number.hash == probe.hash && entries[number.slot as usize].key.as_ref() == Some(&key);
        let place = self.numbers.entry(probe.hash(), holds, |number| number.hash());
        let vacant = match place {
            Place::Occupied(place) => return (place.get().slot, false),
            Place::Vacant(vacant) => vacant,
        };
        let entry = Entry {
            key: Some(key),
            hash: probe.hash,
            previous: NIL,
            next: NIL,
            delay: NIL,
            presence: Presence::Delayed,
            priority: Priority::Low,
            delayed_priority: Priority::Low,
            added: 0,
            started: 0,
        };
        let slot = if self.free == NIL {
            let slot = number(self.entries.len());
            self.entries.push(entry);
            slot
        } else {
            let slot = self.free;
            self.free = self.entries[slot as usize].next;
            self.entries[slot as usize] = entry;
            slot
        };
        vacant.insert(Number { slot, ..probe });
        (slot, true)
    }

    pub(super) fn find(&self, key: &T) -> Option<Slot> {
        let probe = Number { hash: self.hash(key), slot: NIL };
        let holds = |number: &Number| number.hash == probe.hash && self.entry(number.slot).key.as_ref() == Some(key);
        self.numbers.find(probe.hash(), holds).map(|number| number.slot)
    }

    /// Forgets the key in `slot`, which is in no list and has no delay. Returns whether [`Slots::compact`] is due.
    pub(super) fn remove(&mut self, slot: Slot) -> bool {
        let entry = &mut self.entries[slot as usize];
        let probe = Number { hash: entry.hash, slot };
        if let Ok(place) = self.numbers.find_entry(probe.hash(), |number| number.slot == slot) {
            place.remove();
        }
        entry.key = None;
        entry.next = self.free;
        self.free = slot;
        self.entries.len() > RETAINED_CAPACITY && self.numbers.len() <= self.entries.len() / SPARSE
    }

    /// Moves the keys together and gives back the rest of the room. `moved` is told of each key that got another slot,
    /// so that whoever keeps slots can follow; the links between keys are mended here.
    pub(super) fn compact(&mut self, mut moved: impl FnMut(&Entry<T>, Moved)) {
        let taken = self.numbers.len();
        let mut to = 0;
        for from in taken..self.entries.len() {
            if self.entries[from].key.is_none() {
                continue;
            }
            while self.entries[to].key.is_some() {
                to += 1;
            }
            self.entries.swap(from, to);
            let change = Moved { from: number(from), to: number(to) };
            self.relink(change);
            moved(&self.entries[to], change);
        }
        self.free = NIL;
        self.entries.truncate(taken);
        self.entries.shrink_to(RETAINED_CAPACITY);
        self.numbers.shrink_to(RETAINED_CAPACITY, |number| number.hash());
    }

    fn relink(&mut self, Moved { from, to }: Moved) {
        let Entry { hash, previous, next, .. } = self.entries[to as usize];
        let probe = Number { hash, slot: from };
        if let Some(number) = self.numbers.find_mut(probe.hash(), |number| number.slot == from) {
            number.slot = to;
        }
        if previous != NIL {
            self.entries[previous as usize].next = to;
        }
        if next != NIL {
            self.entries[next as usize].previous = to;
        }
    }

    fn hash(&self, key: &T) -> u32 {
        // Any half of a keyed hash is as good as the other.
        self.hasher.hash_one(key) as u32
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.numbers.capacity().max(self.entries.capacity())
    }
}

impl<T> Slots<T> {
    pub(super) fn entry(&self, slot: Slot) -> &Entry<T> {
        &self.entries[slot as usize]
    }

    pub(super) fn entry_mut(&mut self, slot: Slot) -> &mut Entry<T> {
        &mut self.entries[slot as usize]
    }
}

/// The number of the slot at `index`.
fn number(index: usize) -> Slot {
    // Four billion keys of the smallest kind fill 200 GB: memory ends before the numbers do.
    Slot::try_from(index).expect("a queue of fewer keys than there are slot numbers")
}

/// A first-in, first-out list of slots, chained through their entries.
#[derive(Debug)]
pub(super) struct List {
    head: Slot,
    tail: Slot,
    len: usize,
}

impl List {
    pub(super) const fn new() -> Self {
        Self { head: NIL, tail: NIL, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn first(&self) -> Option<Slot> {
        (self.head != NIL).then_some(self.head)
    }

    pub(super) fn push_back<T>(&mut self, slots: &mut Slots<T>, slot: Slot) {
        let entry = slots.entry_mut(slot);
        (entry.previous, entry.next) = (self.tail, NIL);
        match self.tail {
            NIL => self.head = slot,
            tail => slots.entry_mut(tail).next = slot,
        }
        self.tail = slot;
        self.len += 1;
    }

    pub(super) fn pop_front<T>(&mut self, slots: &mut Slots<T>) -> Option<Slot> {
        let slot = self.first()?;
        self.unlink(slots, slot);
        Some(slot)
    }

    /// Takes `slot` out, wherever in this list it is.
    pub(super) fn unlink<T>(&mut self, slots: &mut Slots<T>, slot: Slot) {
        let entry = slots.entry_mut(slot);
        let (previous, next) = (entry.previous, entry.next);
        (entry.previous, entry.next) = (NIL, NIL);
        match previous {
            NIL => self.head = next,
            previous => slots.entry_mut(previous).next = next,
        }
        match next {
            NIL => self.tail = previous,
            next => slots.entry_mut(next).previous = previous,
        }
        self.len -= 1;
    }

    /// Follows a key that got another slot.
    pub(super) fn follow(&mut self, Moved { from, to }: Moved) {
        for end in [&mut self.head, &mut self.tail] {
            if *end == from {
                *end = to;
            }
        }
    }
}
