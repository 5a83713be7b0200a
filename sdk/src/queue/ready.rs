//! Which ready key is next: the rule of priorities.
use super::Priority;
use super::slots::{List, Moved, Slot, Slots};

/// How many deliveries in a row may pass over a priority that has keys ready. Small, so that a bulk of work at low
/// priority keeps moving under an endless load above it; large, so that seven deliveries in ten are the load's.
pub(super) const PASSED_OVER_BOUND: u32 = 8;

/// Ready keys by priority, in the order in which they became ready.
///
/// The highest priority that has keys is next, unless a lower one has been passed over [`PASSED_OVER_BOUND`] times since
/// its last delivery: then the one that was passed over most often is. With [`Priority::COUNT`] priorities, any
/// `PASSED_OVER_BOUND + COUNT - 1` deliveries in a row hold one of each that has keys all the while.
#[derive(Debug)]
pub(super) struct Ready {
    bands: [Band; Priority::COUNT],
    len: usize,
}

#[derive(Debug)]
struct Band {
    keys: List,
    passed_over: u32,
}

impl Ready {
    pub(super) fn new() -> Self {
        Self { bands: [const { Band { keys: List::new(), passed_over: 0 } }; Priority::COUNT], len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn depth(&self, priority: Priority) -> usize {
        self.bands[priority as usize].keys.len()
    }

    /// Puts `slot` last among those of its entry's priority.
    pub(super) fn push<T>(&mut self, slots: &mut Slots<T>, slot: Slot) {
        let priority = slots.entry(slot).priority;
        self.bands[priority as usize].keys.push_back(slots, slot);
        self.len += 1;
    }

    /// Puts `slot` first among those of its entry's priority.
    pub(super) fn push_front<T>(&mut self, slots: &mut Slots<T>, slot: Slot) {
        let priority = slots.entry(slot).priority;
        self.bands[priority as usize].keys.push_front(slots, slot);
        self.len += 1;
    }

    /// Puts `slot`, which is here, last among those of a higher priority.
    pub(super) fn raise<T>(&mut self, slots: &mut Slots<T>, slot: Slot, priority: Priority) {
        let entry = slots.entry_mut(slot);
        let before = std::mem::replace(&mut entry.priority, priority);
        let band = &mut self.bands[before as usize];
        band.keys.unlink(slots, slot);
        if band.keys.len() == 0 {
            band.passed_over = 0;
        }
        self.bands[priority as usize].keys.push_back(slots, slot);
    }

    pub(super) fn pop<T>(&mut self, slots: &mut Slots<T>) -> Option<Slot> {
        let next = self.next()?;
        for (index, band) in self.bands.iter_mut().enumerate() {
            if index == next {
                band.passed_over = 0;
            } else if band.keys.len() > 0 {
                band.passed_over += 1;
            }
        }
        self.len -= 1;
        self.bands[next].keys.pop_front(slots)
    }

    /// Follows a key of this priority that got another slot.
    pub(super) fn follow(&mut self, priority: Priority, moved: Moved) {
        self.bands[priority as usize].keys.follow(moved);
    }

    /// Returns the priority whose turn it is, as an index.
    fn next(&self) -> Option<usize> {
        let bands = || self.bands.iter().enumerate().rev().filter(|(_, band)| band.keys.len() > 0);
        let overdue = bands().filter(|(_, band)| band.passed_over >= PASSED_OVER_BOUND);
        // The highest of those that were passed over equally often: `max_by_key` returns the last.
        overdue.rev().max_by_key(|(_, band)| band.passed_over).or_else(|| bands().next()).map(|(index, _)| index)
    }
}
