//! The state of a work queue: keys in, keys out. No clock, no lock, no runtime; the time comes in as an argument.
use std::hash::Hash;

use super::Priority;
use super::delays::Delays;
use super::meter::{Meter, Reading};
use super::ready::Ready;
use super::slots::{List, NIL, Presence, Slot, Slots, Tick};

/// How many of the keys that workers hold are compared with one that is done before it is looked up like any other: as
/// many as cost about one look into a large table.
const LOOKED_AT: usize = 8;

/// client-go's work queue as a state machine, with priorities.
///
/// A key is dirty (has to be delivered), processing (was delivered and is not done), both, or absent; besides that it
/// may wait for a time. The queue's length is bounded by the number of distinct keys, which is the number of objects
/// the caller knows anyway.
///
/// `now` only matters where [`Core::needs_time`] says so, and is 0 otherwise.
#[derive(Debug)]
pub(super) struct Core<T> {
    slots: Slots<T>,
    ready: Ready,
    delays: Delays,
    /// What workers hold, longest first.
    held: List,
    phase: Phase,
    meter: Option<Box<Meter>>,
}

/// An item that is handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery<T> {
    pub(crate) item: T,
    /// At which it was ready.
    pub(crate) priority: Priority,
    /// Whether it was asked for anew since it was delivered last: see [`Core::add_anew`].
    pub(crate) anew: bool,
    /// Where it is, unless it was moved meanwhile.
    slot: Slot,
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
            slots: Slots::new(),
            ready: Ready::new(),
            delays: Delays::new(),
            held: List::new(),
            phase: Phase::Open,
            meter: None,
        }
    }

    /// Measures from now on.
    pub(super) fn measure(&mut self) {
        self.meter.get_or_insert_with(|| Box::new(Meter::new()));
    }

    /// Counts an addition with a delay, be it zero: client-go's idea of a retry.
    pub(super) fn retried(&mut self) {
        if let Some(meter) = &mut self.meter {
            meter.retried();
        }
    }

    /// Marks `item` dirty, at `priority` or the higher one it is dirty at; ignored after shutdown. Returns whether it
    /// became ready now.
    pub(super) fn add(&mut self, item: T, priority: Priority, now: Tick) -> bool {
        if self.is_shutting_down() {
            return false;
        }
        let slot = self.slots.find_or_insert(item);
        self.mark(slot, priority, now)
    }

    /// As [`Core::add`], and lets the next delivery of `item` say so, however often and for what else it is added until then:
    /// what was wrong with it before says nothing any more.
    pub(super) fn add_anew(&mut self, item: T, priority: Priority, now: Tick) -> bool {
        if self.is_shutting_down() {
            return false;
        }
        let slot = self.slots.find_or_insert(item);
        self.slots.entry_mut(slot).anew = true;
        self.mark(slot, priority, now)
    }

    /// Says whether the next delivery of `item` will say that it was asked for anew.
    pub(super) fn is_anew(&self, item: &T) -> bool {
        self.slots.find(item).is_some_and(|slot| self.slots.entry(slot).anew)
    }

    /// Adds `item` at `due`, or earlier where it waits already, at the highest priority it waits at; ignored after
    /// shutdown. Returns whether the next deadline moved.
    pub(super) fn add_at(&mut self, item: T, due: Tick, priority: Priority) -> bool {
        if self.is_shutting_down() {
            return false;
        }
        let before = self.next_due();
        let slot = self.slots.find_or_insert(item);
        let entry = self.slots.entry_mut(slot);
        entry.delayed_priority = if entry.delay == NIL { priority } else { priority.max(entry.delayed_priority) };
        self.delays.insert(&mut self.slots, slot, due);
        self.next_due() != before
    }

    /// Takes back what [`Core::add_at`] added and is not due yet.
    pub(super) fn cancel(&mut self, item: &T) {
        let Some(slot) = self.slots.find(item) else { return };
        self.delays.remove(&mut self.slots, slot);
        if self.slots.entry(slot).presence == Presence::Delayed {
            self.remove(slot);
        }
    }

    /// Adds every delayed item that is due at `now`, in the order of their times.
    pub(super) fn promote(&mut self, now: Tick) {
        while let Some(slot) = self.delays.pop_due(&mut self.slots, now) {
            let priority = self.slots.entry(slot).delayed_priority;
            self.mark(slot, priority, now);
        }
    }

    /// Takes the ready item whose turn it is; it is processing until [`Core::done`].
    pub(super) fn get(&mut self, now: Tick) -> Option<Delivery<T>> {
        let slot = self.ready.pop(&mut self.slots)?;
        self.held.push_back(&mut self.slots, slot);
        let entry = self.slots.entry_mut(slot);
        entry.presence = Presence::Processing;
        entry.started = now;
        if let Some(meter) = &mut self.meter {
            meter.taken(entry.added, now);
        }
        let anew = std::mem::take(&mut entry.anew);
        Some(Delivery { item: entry.key.clone()?, priority: entry.priority, anew, slot })
    }

    /// Ends the processing of `item`; one that was added meanwhile becomes ready, shutdown or not. Returns whether it
    /// did. An item that nobody holds is left alone.
    pub(super) fn done(&mut self, item: &T, now: Tick) -> bool {
        self.find_held(item).is_some_and(|slot| self.end(slot, None, now))
    }

    /// As [`Core::done`], of a delivery on which the work began then: without a look at what other workers hold.
    pub(super) fn done_with(&mut self, delivery: &Delivery<T>, begun: Tick, now: Tick) -> bool {
        self.find(delivery).is_some_and(|slot| self.end(slot, Some(begun), now))
    }

    /// Takes back a delivery on which no work has begun: it is ready again, before all that is, and what was added
    /// meanwhile is part of it.
    pub(super) fn put_back(&mut self, delivery: &Delivery<T>) {
        let Some(slot) = self.find(delivery) else { return };
        let entry = self.slots.entry_mut(slot);
        let merged = match entry.presence {
            Presence::Processing => false,
            Presence::DirtyAndProcessing => true,
            Presence::Dirty | Presence::Delayed => return,
        };
        if let Some(meter) = &mut self.meter {
            meter.put_back(entry.added, entry.started, !merged);
        }
        entry.presence = Presence::Dirty;
        entry.priority = if merged { entry.priority.max(delivery.priority) } else { delivery.priority };
        entry.anew |= delivery.anew;
        self.held.unlink(&mut self.slots, slot);
        self.ready.push_front(&mut self.slots, slot);
    }

    fn find(&self, delivery: &Delivery<T>) -> Option<Slot> {
        let Delivery { item, slot, .. } = delivery;
        if self.slots.has(*slot, item) { Some(*slot) } else { self.find_held(item) }
    }

    fn end(&mut self, slot: Slot, begun: Option<Tick>, now: Tick) -> bool {
        let entry = self.slots.entry_mut(slot);
        let again = match entry.presence {
            Presence::Processing => false,
            Presence::DirtyAndProcessing => true,
            Presence::Dirty | Presence::Delayed => return false,
        };
        if let Some(meter) = &mut self.meter {
            meter.done(entry.started, begun.unwrap_or(entry.started), now);
        }
        entry.presence = if again { Presence::Dirty } else { Presence::Delayed };
        let delayed = entry.delay != NIL;
        self.held.unlink(&mut self.slots, slot);
        if again {
            self.ready.push(&mut self.slots, slot);
        } else if !delayed {
            self.remove(slot);
        }
        again
    }

    /// Refuses new items and drops the delayed ones; what is ready is still handed out. Ends a drain.
    pub(super) fn shut_down(&mut self) {
        self.phase = Phase::ShutDown;
        self.drop_delayed();
    }

    /// As [`Core::shut_down`], and remembers that somebody waits for [`Core::is_drained`].
    pub(super) fn drain(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Draining;
        }
        self.drop_delayed();
    }

    /// Says whether a drain may return: nothing is ready or processing, or a plain shutdown ended it.
    pub(super) fn is_drained(&self) -> bool {
        match self.phase {
            Phase::Open => false,
            Phase::Draining => self.ready.len() == 0 && self.held.len() == 0,
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
        self.ready.len() > 0 || self.next_due().is_some()
    }

    /// Returns when the next delayed item is due.
    pub(super) fn next_due(&self) -> Option<Tick> {
        self.delays.next_due()
    }

    /// Says whether anything depends on what time it is.
    pub(super) fn needs_time(&self) -> bool {
        self.meter.is_some() || self.next_due().is_some()
    }

    /// Returns what was measured, if it is measured.
    pub(super) fn reading(&self, now: Tick) -> Option<Reading> {
        Some(Reading {
            meter: Meter::clone(self.meter.as_ref()?),
            now,
            depth: Priority::ALL.map(|priority| self.ready.depth(priority)),
            held: self.held.len(),
            oldest: self.held.first().map(|slot| self.slots.entry(slot).started),
        })
    }

    /// Returns the slot of a key that a worker holds.
    ///
    /// Most queues have few workers, and what they hold was touched a moment ago: the table may be far away.
    fn find_held(&self, item: &T) -> Option<Slot> {
        let is_it = |slot: &Slot| self.slots.entry(*slot).key.as_ref() == Some(item);
        let near = self.held.iter(&self.slots).take(LOOKED_AT).find(is_it);
        near.or_else(|| if self.held.len() > LOOKED_AT { self.slots.find(item) } else { None })
    }

    /// Marks the key in `slot` dirty. Returns whether it became ready now.
    fn mark(&mut self, slot: Slot, priority: Priority, now: Tick) -> bool {
        let entry = self.slots.entry_mut(slot);
        let ready = match entry.presence {
            Presence::Dirty => {
                if priority > entry.priority {
                    self.ready.raise(&mut self.slots, slot, priority);
                }
                return false;
            }
            Presence::DirtyAndProcessing => {
                entry.priority = priority.max(entry.priority);
                return false;
            }
            Presence::Processing => {
                entry.presence = Presence::DirtyAndProcessing;
                false
            }
            Presence::Delayed => {
                entry.presence = Presence::Dirty;
                true
            }
        };
        (entry.priority, entry.added) = (priority, now);
        if ready {
            self.ready.push(&mut self.slots, slot);
        }
        if let Some(meter) = &mut self.meter {
            meter.added();
        }
        ready
    }

    fn drop_delayed(&mut self) {
        while let Some(slot) = self.delays.pop(&mut self.slots) {
            if self.slots.entry(slot).presence == Presence::Delayed {
                self.remove(slot);
            }
        }
    }

    /// Forgets a key that is neither dirty nor processing nor delayed.
    fn remove(&mut self, slot: Slot) {
        if !self.slots.remove(slot) {
            return;
        }
        let Self { slots, ready, delays, held, .. } = self;
        slots.compact(|entry, moved| {
            match entry.presence {
                Presence::Dirty => ready.follow(entry.priority, moved),
                Presence::Processing | Presence::DirtyAndProcessing => held.follow(moved),
                Presence::Delayed => {}
            }
            if entry.delay != NIL {
                delays.follow(entry.delay, moved);
            }
        });
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.slots.capacity().max(self.delays.capacity())
    }
}
