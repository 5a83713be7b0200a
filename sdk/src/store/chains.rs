//! The content of indexes: for each value a chain of the objects that have it, without a second copy of any key.
//!
//! The links of the built-in indexes stand in the entries themselves, those of added indexes in nodes, one for each
//! value of each object.
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::wire::text::{Text, TextRef};

use super::index::{BUILT_IN, Projection, Values};
use super::slab::Slab;
use super::walk::{ChainPlace, Paused};

/// The number of nothing.
pub(super) const NONE: u32 = u32::MAX;

/// How many values of one object a buffer for them is kept for.
const KEPT_VALUES: usize = 64;

/// The place of one member in the chain of one value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// Number of the value; [`NONE`] outside of any chain.
    pub(super) value: u32,
    before: u32,
    after: u32,
}

impl Link {
    pub(super) const NONE: Self = Self { value: NONE, before: NONE, after: NONE };

    /// Returns the next member of the same chain.
    pub(super) fn next(&self) -> u32 {
        self.after
    }
}

/// Whose links a chain runs through.
pub(super) trait Members {
    /// Returns the link of one member.
    fn link(&mut self, member: u32) -> &mut Link;
}

/// The values of one index, each with the head of its chain.
#[derive(Default)]
pub(super) struct Chains {
    table: HashTable<u32>,
    values: Vec<Value>,
    free: Vec<u32>,
    hasher: DefaultHashBuilder,
    heap: usize,
    pub(super) walks: Paused<ChainPlace>,
}

struct Value {
    text: Text,
    head: u32,
    count: u32,
}

impl Chains {
    /// Returns the number of a value that something has.
    pub(super) fn find(&self, text: TextRef<'_>) -> Option<u32> {
        self.table.find(self.hasher.hash_one(text), |&value| self.values[value as usize].text.view() == text).copied()
    }

    /// Returns the value of a number.
    pub(super) fn text(&self, value: u32) -> Option<&Text> {
        self.values.get(value as usize).map(|value| &value.text)
    }

    /// Returns the first member that has a value, and how many have it.
    pub(super) fn members(&self, text: TextRef<'_>) -> (u32, usize) {
        let value = self.find(text).map(|value| &self.values[value as usize]);
        value.map_or((NONE, 0), |value| (value.head, value.count as usize))
    }

    /// Adds a member to the chain of a value.
    pub(super) fn join(&mut self, text: Text, member: u32, members: &mut impl Members) {
        let value = self.find(text.view()).unwrap_or_else(|| self.add(text));
        let head = &mut self.values[value as usize];
        *members.link(member) = Link { value, before: NONE, after: head.head };
        if head.head != NONE {
            members.link(head.head).before = member;
        }
        head.head = member;
        head.count += 1;
    }

    /// Takes a member out of the chain it is in, if any.
    pub(super) fn leave(&mut self, member: u32, members: &mut impl Members) {
        let link = std::mem::replace(members.link(member), Link::NONE);
        if link.value == NONE {
            return;
        }
        self.walks.tell(|place| place.moved(member, link.after));
        if link.after != NONE {
            members.link(link.after).before = link.before;
        }
        let value = &mut self.values[link.value as usize];
        match link.before {
            NONE => value.head = link.after,
            before => members.link(before).after = link.after,
        }
        value.count -= 1;
        // Values without members are removed: those of dead objects would pile up for ever (kubernetes#84959).
        if value.count == 0 {
            self.remove(link.value);
        }
    }

    /// Returns the values and how many members have each, in no order.
    pub(super) fn values(&self) -> impl Iterator<Item = (&Text, usize)> {
        self.values.iter().filter(|value| value.count > 0).map(|value| (&value.text, value.count as usize))
    }

    /// Tells the neighbours of a member that was `from` before that it is `member` now.
    pub(super) fn moved(&mut self, from: u32, member: u32, members: &mut impl Members) {
        self.walks.tell(|place| place.moved(from, member));
        let Link { value, before, after } = *members.link(member);
        if value == NONE {
            return;
        }
        if after != NONE {
            members.link(after).before = member;
        }
        match before {
            NONE => self.values[value as usize].head = member,
            before => members.link(before).after = member,
        }
    }

    fn add(&mut self, text: Text) -> u32 {
        self.heap += text.heap();
        let hash = self.hasher.hash_one(text.view());
        let value = Value { text, head: NONE, count: 0 };
        let id = match self.free.pop() {
            Some(id) => {
                self.values[id as usize] = value;
                id
            }
            None => {
                grow(&mut self.values);
                self.values.push(value);
                self.values.len() as u32 - 1
            }
        };
        let Self { table, values, hasher, .. } = self;
        table.insert_unique(hash, id, |&id| hasher.hash_one(values[id as usize].text.view()));
        id
    }

    fn remove(&mut self, id: u32) {
        let text = std::mem::replace(&mut self.values[id as usize].text, Text::Uuid([0; 16]));
        self.heap -= text.heap();
        if let Ok(entry) = self.table.find_entry(self.hasher.hash_one(text.view()), |&known| known == id) {
            entry.remove();
        }
        self.free.push(id);
        if self.table.is_empty() {
            *self = Self { hasher: self.hasher.clone(), ..Self::default() };
        }
    }

    fn memory(&self) -> usize {
        self.heap
            + self.table.allocation_size()
            + self.values.capacity() * size_of::<Value>()
            + self.free.capacity() * size_of::<u32>()
    }
}

/// All indexes of one store.
pub(super) struct Indexes {
    projections: Arc<[Projection]>,
    /// Which added indexes hold every object.
    whole: Vec<bool>,
    pub(super) built_in: [Chains; BUILT_IN],
    added: Vec<Chains>,
    nodes: Nodes,
}

/// The links of added indexes.
#[derive(Default)]
struct Nodes {
    places: Slab<Node>,
    free: Vec<u32>,
}

struct Node {
    link: Link,
    entry: u32,
    /// Position of the index.
    index: u32,
    /// The next node of the same entry.
    next: u32,
}

impl Members for Nodes {
    fn link(&mut self, member: u32) -> &mut Link {
        &mut self.places[member as usize].link
    }
}

impl Indexes {
    pub(super) fn new() -> Self {
        let (projections, built_in) = (Arc::new([]), Default::default());
        Self { projections, whole: Vec::new(), built_in, added: Vec::new(), nodes: Nodes::default() }
    }

    /// Appends an empty index and returns its slot.
    pub(super) fn add(&mut self, projection: Projection) -> usize {
        self.projections = self.projections.iter().cloned().chain([projection]).collect();
        self.added.push(Chains::default());
        self.whole.push(false);
        BUILT_IN + self.added.len() - 1
    }

    /// Says that the index at `slot` holds every object from here on.
    pub(super) fn set_whole(&mut self, slot: usize) {
        self.whole[slot - BUILT_IN] = true;
    }

    /// Returns the slot of the index with such a projection that holds every object.
    pub(super) fn slot(&self, wanted: impl Fn(&Projection) -> bool) -> Option<usize> {
        let mut known = self.projections.iter().zip(&self.whole);
        known.position(|(projection, whole)| *whole && wanted(projection)).map(|position| BUILT_IN + position)
    }

    /// Returns the projections of the added indexes, in order of their slots.
    pub(super) fn projections(&self) -> &Arc<[Projection]> {
        &self.projections
    }

    /// Returns the chains of the index at `slot`.
    pub(super) fn chains(&self, slot: usize) -> Option<&Chains> {
        self.built_in.get(slot).or_else(|| self.added.get(slot.checked_sub(BUILT_IN)?))
    }

    /// Returns the entry of a node in an added index, and the next node of the same chain.
    pub(super) fn follow(&self, node: u32) -> (u32, u32) {
        let Node { link, entry, .. } = &self.nodes.places[node as usize];
        (*entry, link.after)
    }

    /// Says whether the nodes of an entry, of which this is the first, have a value in the added index at `position`.
    pub(super) fn has_value(&self, mut first: u32, position: usize, value: TextRef<'_>) -> bool {
        let Some(value) = self.added.get(position).and_then(|chains| chains.find(value)) else { return false };
        while let Some(node) = self.nodes.places.get(first as usize) {
            if node.index as usize == position && node.link.value == value {
                return true;
            }
            first = node.next;
        }
        false
    }

    /// Gives an entry these values in the index at `position`, instead of those it has; none is left of them. `first` is
    /// the entry's first node, before and after.
    pub(super) fn relink(&mut self, position: usize, entry: u32, first: &mut u32, values: &mut Values) {
        let Some(chains) = self.added.get_mut(position) else { return };
        // What the entry has already stays; what it should not have goes.
        let mut previous = NONE;
        let mut node = *first;
        while node != NONE {
            let Node { link, index, next, .. } = self.nodes.places[node as usize];
            let known = chains.text(link.value).filter(|_| index as usize == position);
            match known.map(|text| values.binary_search(text)) {
                Some(Err(_)) => {
                    chains.leave(node, &mut self.nodes);
                    match previous {
                        NONE => *first = next,
                        previous => self.nodes.places[previous as usize].next = next,
                    }
                    self.nodes.free.push(node);
                }
                found => {
                    if let Some(Ok(at)) = found {
                        values.remove(at);
                    }
                    previous = node;
                }
            }
            node = next;
        }
        for value in values.drain(..) {
            let node = self.nodes.add(Node { link: Link::NONE, entry, index: position as u32, next: *first });
            chains.join(value, node, &mut self.nodes);
            *first = node;
        }
        values.shrink_to(KEPT_VALUES);
    }

    /// Takes an entry out of all added indexes.
    pub(super) fn unlink(&mut self, mut first: u32) {
        while first != NONE {
            let Node { index, next, .. } = self.nodes.places[first as usize];
            self.added[index as usize].leave(first, &mut self.nodes);
            self.nodes.free.push(first);
            first = next;
        }
        if self.nodes.free.len() == self.nodes.places.len() {
            self.nodes = Nodes::default();
        }
    }

    /// Tells the nodes of an entry that it has another number now.
    pub(super) fn moved(&mut self, mut first: u32, entry: u32) {
        while let Some(node) = self.nodes.places.get_mut(first as usize) {
            node.entry = entry;
            first = node.next;
        }
    }

    /// Returns how many bytes they take.
    pub(super) fn memory(&self) -> usize {
        self.built_in.iter().chain(&self.added).map(Chains::memory).sum::<usize>()
            + self.nodes.places.memory()
            + self.nodes.free.capacity() * size_of::<u32>()
    }

    /// Returns how many values the index at `slot` holds.
    #[cfg(test)]
    pub(super) fn value_count(&self, slot: usize) -> usize {
        self.built_in.iter().chain(&self.added).nth(slot).unwrap().table.len()
    }
}

impl Nodes {
    fn add(&mut self, node: Node) -> u32 {
        match self.free.pop() {
            Some(place) => {
                self.places[place as usize] = node;
                place
            }
            None => {
                self.places.push(node);
                self.places.len() as u32 - 1
            }
        }
    }
}

/// Makes room for one more by an eighth: doubling would leave half of a large slab unused.
fn grow<T>(slab: &mut Vec<T>) {
    if slab.len() == slab.capacity() {
        slab.reserve_exact(slab.len() / 8 + 16);
    }
}
