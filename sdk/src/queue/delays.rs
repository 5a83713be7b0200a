//! Keys that wait for a time: a heap that knows where each of its keys is.
use super::slots::{Moved, NIL, RETAINED_CAPACITY, Slot, Slots, Tick};

/// Children of each node. Four sit together in memory, and the heap is half as deep as with two.
const ARITY: usize = 4;

/// Delayed keys by time, those of one time in the order in which they came. Each key is here once at most, and its
/// entry says where.
#[derive(Debug)]
pub(super) struct Delays {
    heap: Vec<Node>,
    sequence: u64,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    due: Tick,
    sequence: u64,
    slot: Slot,
}

impl Node {
    fn comes_before(&self, other: &Self) -> bool {
        (self.due, self.sequence) < (other.due, other.sequence)
    }
}

impl Delays {
    pub(super) fn new() -> Self {
        Self { heap: Vec::new(), sequence: 0 }
    }

    /// Lets `slot` wait for `due`, or for what it waits for already if that is not later.
    pub(super) fn insert<T>(&mut self, slots: &mut Slots<T>, slot: Slot, due: Tick) {
        let at = slots.entry(slot).delay;
        let node = Node { due, sequence: self.sequence, slot };
        let position = if at == NIL {
            self.heap.push(node);
            self.heap.len() - 1
        } else if due < self.heap[at as usize].due {
            self.heap[at as usize] = node;
            at as usize
        } else {
            return;
        };
        self.sequence += 1;
        self.rise(slots, position);
    }

    pub(super) fn pop_due<T>(&mut self, slots: &mut Slots<T>, now: Tick) -> Option<Slot> {
        let first = *self.heap.first()?;
        if first.due > now {
            return None;
        }
        self.remove(slots, first.slot);
        Some(first.slot)
    }

    pub(super) fn pop<T>(&mut self, slots: &mut Slots<T>) -> Option<Slot> {
        self.pop_due(slots, Tick::MAX)
    }

    /// Lets `slot` wait no longer, if it does.
    pub(super) fn remove<T>(&mut self, slots: &mut Slots<T>, slot: Slot) {
        let at = std::mem::replace(&mut slots.entry_mut(slot).delay, NIL);
        if at == NIL {
            return;
        }
        let at = at as usize;
        self.heap.swap_remove(at);
        if at < self.heap.len() {
            // What took its place may belong further up, in another branch, or further down.
            let at = self.rise(slots, at);
            self.sink(slots, at);
        } else if self.heap.is_empty() {
            self.heap.shrink_to(RETAINED_CAPACITY);
        }
    }

    pub(super) fn next_due(&self) -> Option<Tick> {
        self.heap.first().map(|node| node.due)
    }

    /// Follows the key at `position` that got another slot.
    pub(super) fn follow(&mut self, position: u32, Moved { to, .. }: Moved) {
        self.heap[position as usize].slot = to;
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.heap.capacity()
    }

    fn rise<T>(&mut self, slots: &mut Slots<T>, mut at: usize) -> usize {
        let node = self.heap[at];
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if !node.comes_before(&self.heap[parent]) {
                break;
            }
            self.place(slots, at, self.heap[parent]);
            at = parent;
        }
        self.place(slots, at, node);
        at
    }

    fn sink<T>(&mut self, slots: &mut Slots<T>, mut at: usize) {
        let node = self.heap[at];
        loop {
            let first = at * ARITY + 1;
            let children = first..(first + ARITY).min(self.heap.len());
            let Some(least) = children.min_by_key(|&child| (self.heap[child].due, self.heap[child].sequence)) else {
                break;
            };
            if !self.heap[least].comes_before(&node) {
                break;
            }
            self.place(slots, at, self.heap[least]);
            at = least;
        }
        self.place(slots, at, node);
    }

    fn place<T>(&mut self, slots: &mut Slots<T>, at: usize, node: Node) {
        self.heap[at] = node;
        // There are no more nodes than slots, whose numbers fit.
        slots.entry_mut(node.slot).delay = at as u32;
    }
}
