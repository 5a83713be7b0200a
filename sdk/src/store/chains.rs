//! The content of indexes: for each value a chain of the objects that have it, without a second copy of any key.
//!
//! The links of the built-in indexes stand in the entries themselves. An added index has a list of its own of a link for each
//! entry, for mostly an object has one value; what more it has is linked by nodes.
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::wire::text::{Text, TextRef};

use super::index::{BUILT_IN, Projection, Values};
use super::slab::Slab;
use super::walk::{ChainPlace, Paused};

/// The number of nothing.
pub(super) const NONE: u32 = u32::MAX;

/// Members of an added index from this one on are nodes, those below are entries.
const FIRST_NODE: u32 = 1 << 31;

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
    values: Slab<Value>,
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
        self.heap + self.table.allocation_size() + self.values.memory() + self.free.capacity() * size_of::<u32>()
    }
}

/// All indexes of one store.
pub(super) struct Indexes {
    projections: Arc<[Projection]>,
    /// Which added indexes hold every object.
    whole: Vec<bool>,
    pub(super) built_in: [Chains; BUILT_IN],
    added: Vec<Added>,
    nodes: Nodes,
}

/// An index that was added.
#[derive(Default)]
struct Added {
    chains: Chains,
    /// Of each entry, as far as any was linked.
    links: Slab<Link>,
}

/// The links of one added index.
struct Linked<'a> {
    links: &'a mut Slab<Link>,
    nodes: &'a mut Nodes,
}

impl Members for Linked<'_> {
    fn link(&mut self, member: u32) -> &mut Link {
        match member.checked_sub(FIRST_NODE) {
            Some(node) => &mut self.nodes.places[node as usize].link,
            None => &mut self.links[member as usize],
        }
    }
}

/// The links of entries that have several values.
#[derive(Default)]
struct Nodes {
    /// The first node of each entry, as far as any has one.
    firsts: Slab<u32>,
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

impl Indexes {
    pub(super) fn new() -> Self {
        let (projections, built_in) = (Arc::new([]), Default::default());
        Self { projections, whole: Vec::new(), built_in, added: Vec::new(), nodes: Nodes::default() }
    }

    /// Appends an empty index and returns its slot.
    pub(super) fn add(&mut self, projection: Projection) -> usize {
        self.projections = self.projections.iter().cloned().chain([projection]).collect();
        self.added.push(Added::default());
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
        self.built_in.get(slot).or_else(|| Some(&self.added.get(slot.checked_sub(BUILT_IN)?)?.chains))
    }

    /// Returns the entry of a member of a chain of the added index at `position`, and the next member.
    pub(super) fn follow(&self, position: usize, member: u32) -> (u32, u32) {
        match member.checked_sub(FIRST_NODE) {
            Some(node) => {
                let Node { link, entry, .. } = &self.nodes.places[node as usize];
                (*entry, link.after)
            }
            None => (member, self.added[position].links[member as usize].after),
        }
    }

    /// Says whether an entry has a value in the added index at `position`.
    pub(super) fn has_value(&self, entry: u32, position: usize, value: TextRef<'_>) -> bool {
        let Some(Added { chains, links }) = self.added.get(position) else { return false };
        let Some(value) = chains.find(value) else { return false };
        if links.get(entry as usize).is_some_and(|link| link.value == value) {
            return true;
        }
        let mut first = self.nodes.first(entry);
        while let Some(node) = self.nodes.places.get(first as usize) {
            if node.index as usize == position && node.link.value == value {
                return true;
            }
            first = node.next;
        }
        false
    }

    /// Gives an entry these values in the index at `position`, instead of those it has; none is left of them.
    pub(super) fn relink(&mut self, position: usize, entry: u32, values: &mut Values) {
        let Self { added, nodes, .. } = self;
        let Some(Added { chains, links }) = added.get_mut(position) else { return };
        while links.len() <= entry as usize {
            links.push(Link::NONE);
        }
        // What the entry has already stays; what it should not have goes.
        let mut stays = |link: Link, chains: &Chains| {
            let found = chains.text(link.value).map(|text| values.binary_search(text));
            found.is_none_or(|found| found.map(|at| values.remove(at)).is_ok())
        };
        let link = links[entry as usize];
        if !stays(link, chains) {
            chains.leave(entry, &mut Linked { links, nodes });
        }
        let (mut previous, mut node) = (NONE, nodes.first(entry));
        while node != NONE {
            let Node { link, index, next, .. } = nodes.places[node as usize];
            if index as usize != position || stays(link, chains) {
                previous = node;
            } else {
                chains.leave(FIRST_NODE | node, &mut Linked { links, nodes });
                match previous {
                    NONE => nodes.set_first(entry, next),
                    previous => nodes.places[previous as usize].next = next,
                }
                nodes.free.push(node);
            }
            node = next;
        }
        for value in values.drain(..) {
            let member =
                if links[entry as usize].value == NONE { entry } else { FIRST_NODE | nodes.add(entry, position) };
            chains.join(value, member, &mut Linked { links, nodes });
        }
        values.shrink_to(KEPT_VALUES);
    }

    /// Takes an entry out of all added indexes; the last one gets its number.
    pub(super) fn remove(&mut self, entry: u32, last: u32) {
        let Self { added, nodes, .. } = self;
        for Added { chains, links } in &mut *added {
            if links.get(entry as usize).is_some() {
                chains.leave(entry, &mut Linked { links, nodes });
            }
            // Else the last one has no link.
            if links.get(last as usize).is_some() {
                links.swap_remove(entry as usize);
                if entry != last {
                    chains.moved(last, entry, &mut Linked { links, nodes });
                }
            }
        }
        let mut first = nodes.first(entry);
        while first != NONE {
            let Node { index, next, .. } = nodes.places[first as usize];
            let Added { chains, links } = &mut added[index as usize];
            chains.leave(FIRST_NODE | first, &mut Linked { links, nodes });
            nodes.free.push(first);
            first = next;
        }
        nodes.moved(last, entry);
        if nodes.free.len() == nodes.places.len() {
            *nodes = Nodes::default();
        }
    }

    /// Returns how many bytes they take.
    pub(super) fn memory(&self) -> usize {
        self.built_in.iter().chain(self.added.iter().map(|added| &added.chains)).map(Chains::memory).sum::<usize>()
            + self.added.iter().map(|added| added.links.memory()).sum::<usize>()
            + self.nodes.firsts.memory()
            + self.nodes.places.memory()
            + self.nodes.free.capacity() * size_of::<u32>()
    }

    /// Returns how many values the index at `slot` holds.
    #[cfg(test)]
    pub(super) fn value_count(&self, slot: usize) -> usize {
        self.chains(slot).unwrap().table.len()
    }
}

impl Nodes {
    /// Returns the first node of an entry.
    fn first(&self, entry: u32) -> u32 {
        self.firsts.get(entry as usize).copied().unwrap_or(NONE)
    }

    fn set_first(&mut self, entry: u32, first: u32) {
        while self.firsts.len() <= entry as usize {
            self.firsts.push(NONE);
        }
        self.firsts[entry as usize] = first;
    }

    /// Adds a node to an entry, for the index at `position`.
    fn add(&mut self, entry: u32, position: usize) -> u32 {
        let node = Node { link: Link::NONE, entry, index: position as u32, next: self.first(entry) };
        let place = match self.free.pop() {
            Some(place) => {
                self.places[place as usize] = node;
                place
            }
            None => {
                self.places.push(node);
                self.places.len() as u32 - 1
            }
        };
        self.set_first(entry, place);
        place
    }

    /// Gives the number of an entry without nodes to the last one, and tells the nodes of that.
    fn moved(&mut self, last: u32, entry: u32) {
        if self.firsts.get(last as usize).is_some() {
            self.firsts.swap_remove(entry as usize);
        } else if self.firsts.get(entry as usize).is_some() {
            self.firsts[entry as usize] = NONE;
        }
        let mut node = self.first(entry);
        while node != NONE {
            let Node { entry: owner, next, .. } = &mut self.places[node as usize];
            *owner = entry;
            node = *next;
        }
    }
}
