//! Where the keys of a work queue live: each stored once, found by its hash, chained into lists by number.
use std::hash::{BuildHasher, Hash};

use hashbrown::hash_table::Entry as Place;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::Priority;

/// How many vacant slots are left where they are, whatever happens: below this there is nothing worth giving back.
pub(super) const RETAINED_CAPACITY: usize = 1024;

/// The number of a slot, which stays that of its key until the key goes or [`Slots::compact`] says it moved.
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
    /// `None` while the slot is vacant.
    pub(super) key: Option<T>,
    hash: u32,
    /// Neighbours in the one list the key is in: of its priority, or of what workers hold.
    previous: Slot,
    next: Slot,
    /// Place among the delayed keys, [`NIL`] where it has none.
    pub(super) delay: u32,
    pub(super) presence: Presence,
    /// At which it is, or will be, ready.
    pub(super) priority: Priority,
    /// At which it becomes ready once its delay is over.
    pub(super) delayed_priority: Priority,
    /// Whether it was asked for anew since it was delivered last.
    pub(super) anew: bool,
    /// When it became dirty, where that is measured.
    pub(super) added: Tick,
    /// When a worker took it, where that is measured.
    pub(super) started: Tick,
}

/// Every key the queue knows. Allocates only while it grows beyond what it ever held.
///
/// Looking into the table is what an operation on many keys costs: its places are all over memory. So a key that goes only
/// vacates its slot. Table and slots are swept once more of them are vacant than taken, one after the other in memory,
/// and a key with the hash of a vacant slot, which is nearly always the one that left it, takes it again.
///
/// Names of objects are chosen by whoever may create one, so the hash has a secret.
#[derive(Debug)]
pub(super) struct Slots<T> {
    hasher: DefaultHashBuilder,
    /// One for each entry.
    numbers: HashTable<Number>,
    entries: Vec<Entry<T>>,
    vacant: usize,
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
        let hasher = DefaultHashBuilder::default();
        Self { hasher, numbers: HashTable::new(), entries: Vec::new(), vacant: 0 }
    }

    /// Returns the slot of `key`, a new one where it has none.
    pub(super) fn find_or_insert(&mut self, key: T) -> Slot {
        let probe = Number { hash: self.hash(&key), slot: NIL };
        let (entries, mut vacant) = (&self.entries, None);
        let holds = |number: &Number| {
            number.hash == probe.hash
                && match &entries[number.slot as usize].key {
                    Some(other) => *other == key,
                    None => {
                        vacant = Some(number.slot);
                        false
                    }
                }
        };
        let place = match self.numbers.entry(probe.hash(), holds, |number| number.hash()) {
            Place::Occupied(place) => return place.get().slot,
            Place::Vacant(place) => place,
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
            anew: false,
            added: 0,
            started: 0,
        };
        if let Some(slot) = vacant {
            self.vacant -= 1;
            self.entries[slot as usize] = entry;
            return slot;
        }
        let slot = number(self.entries.len());
        self.entries.push(entry);
        place.insert(Number { slot, ..probe });
        slot
    }

    pub(super) fn find(&self, key: &T) -> Option<Slot> {
        let probe = Number { hash: self.hash(key), slot: NIL };
        let holds = |number: &Number| number.hash == probe.hash && self.entry(number.slot).key.as_ref() == Some(key);
        self.numbers.find(probe.hash(), holds).map(|number| number.slot)
    }

    /// Says whether `key` is in `slot`.
    pub(super) fn has(&self, slot: Slot, key: &T) -> bool {
        self.entries.get(slot as usize).is_some_and(|entry| entry.key.as_ref() == Some(key))
    }

    /// Forgets the key in `slot`, which is in no list and has no delay. Returns whether [`Slots::compact`] is due.
    pub(super) fn remove(&mut self, slot: Slot) -> bool {
        // Dropped last, as that is the caller's code.
        let _key = self.entries[slot as usize].key.take();
        self.vacant += 1;
        let taken = self.entries.len() - self.vacant;
        self.vacant > RETAINED_CAPACITY.max(taken)
    }

    /// Moves the keys together, in the order of their slots, and gives back the rest of the room. `moved` is told of each
    /// key that got another slot, so that whoever keeps slots can follow; the links between keys are mended here.
    pub(super) fn compact(&mut self, mut moved: impl FnMut(&Entry<T>, Moved)) {
        let mut to = 0;
        for from in 0..self.entries.len() {
            if self.entries[from].key.is_none() {
                continue;
            }
            if from != to {
                self.entries.swap(from, to);
                let change = Moved { from: number(from), to: number(to) };
                self.relink(change);
                moved(&self.entries[to], change);
            }
            to += 1;
        }
        self.vacant = 0;
        // As many as there may be before the next time.
        let room = 2 * (to.max(RETAINED_CAPACITY) + 1);
        self.entries.truncate(to);
        self.entries.shrink_to(room);
        self.numbers.clear();
        self.numbers.shrink_to(room, |number| number.hash());
        for (slot, Entry { hash, .. }) in self.entries.iter().enumerate() {
            let number = Number { hash: *hash, slot: number(slot) };
            self.numbers.insert_unique(number.hash(), number, |number| number.hash());
        }
    }

    fn relink(&mut self, Moved { to, .. }: Moved) {
        let Entry { previous, next, .. } = self.entries[to as usize];
        if previous != NIL {
            self.entries[previous as usize].next = to;
        }
        if next != NIL {
            self.entries[next as usize].previous = to;
        }
    }

    fn hash(&self, key: &T) -> u32 {
        // Half of it tells four billion keys apart, which are more than there are slots.
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

    /// The slots from the first to the last.
    pub(super) fn iter<T>(&self, slots: &Slots<T>) -> impl Iterator<Item = Slot> {
        let next = |slot: &Slot| Some(slots.entry(*slot).next).filter(|next| *next != NIL);
        std::iter::successors(self.first(), next)
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

    pub(super) fn push_front<T>(&mut self, slots: &mut Slots<T>, slot: Slot) {
        let entry = slots.entry_mut(slot);
        (entry.previous, entry.next) = (NIL, self.head);
        match self.head {
            NIL => self.tail = slot,
            head => slots.entry_mut(head).previous = slot,
        }
        self.head = slot;
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
