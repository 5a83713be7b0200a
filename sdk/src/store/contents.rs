//! What the lock of a store guards: a slab of small entries, a table over it, and the chains of the indexes.
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::resource::{ResourceVersion, split_key};
use crate::wire::Buffers;
use crate::wire::text::{Text, TextRef};

use super::arena::{Arena, Place};
use super::chains::{Indexes, Link, Members, NONE};
use super::codec::{CODED, Dictionaries, shrink};
use super::exemplars;
use super::index::{BUILT_IN, BY_CONTROLLER, BY_NAMESPACE, Projection, Values};
use super::memory::MemoryUsage;
use super::names::Names;
use super::packed::Packed;
use super::packing::Packing;
use super::record;
use super::slab::Slab;
use super::walk::{Paused, SlabPlace};

/// How much longer a whole record mostly is than a stored one, or less: its words are spelled out.
const EXPANDED: usize = 384;

pub(super) struct Contents {
    /// Dense: the last entry moves into the place of one that is removed.
    entries: Slab<Entry>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    pub(super) indexes: Indexes,
    names: Names,
    /// Replaced as a whole, so that readers can take it along.
    pub(super) dictionaries: Arc<Dictionaries>,
    /// What the writer's packer takes.
    pub(super) packer_bytes: usize,
    /// How many entries each dictionary packed.
    packed_by: Box<[u32; 256]>,
    /// How many entries are differences to each exemplar, by number.
    alike: Vec<u32>,
    /// Whether there is an exemplar since the last look that no entry is a difference to any more.
    idle: bool,
    /// Never ahead of the entries.
    pub(super) version: ResourceVersion,
    /// What the next write is marked with.
    stamp: u32,
    records: Arena,
    /// Scratch for a record on its way in.
    scratch: Vec<u8>,
    pub(super) slab_walks: Paused<SlabPlace>,
}

struct Entry {
    place: Place,
    /// Of the key: growing the table must not visit every record.
    hash: u32,
    /// Which write this state came with; it changes with every write and with nothing else.
    stamp: u32,
    /// Moved under the read lock when a list confirms an unchanged object.
    epoch: AtomicU32,
    links: [Link; BUILT_IN],
}

/// The links of one built-in index.
struct BuiltIn<'a> {
    entries: &'a mut Slab<Entry>,
    slot: usize,
}

impl Members for BuiltIn<'_> {
    fn link(&mut self, member: u32) -> &mut Link {
        &mut self.entries[member as usize].links[self.slot]
    }
}

impl Contents {
    pub(super) fn new() -> Self {
        Self {
            entries: Slab::default(),
            table: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            indexes: Indexes::new(),
            names: Names::default(),
            dictionaries: Arc::default(),
            packer_bytes: 0,
            packed_by: Box::new([0; 256]),
            alike: Vec::new(),
            idle: false,
            version: ResourceVersion::default(),
            stamp: 0,
            records: Arena::default(),
            scratch: Vec::new(),
            slab_walks: Paused::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the entry of a key, given as text.
    pub(super) fn find(&self, key: &str) -> Option<u32> {
        let (namespace, name) = split_key(key);
        let found = self.table.find(wide(self.hash(key)), |&at| {
            self.is_named(at, name) && self.value(at, BY_NAMESPACE).map(Text::view) == namespace.map(TextRef::of)
        });
        found.copied()
    }

    /// Returns the record of an entry, in its stored form.
    pub(super) fn record(&self, entry: u32) -> &[u8] {
        self.records.get(self.entries[entry as usize].place)
    }

    pub(super) fn stamp(&self, entry: u32) -> u32 {
        self.entries[entry as usize].stamp
    }

    /// Returns the stamp of the last write.
    pub(super) fn last_stamp(&self) -> u32 {
        self.stamp
    }

    /// Says whether an entry is of this name.
    pub(super) fn is_named(&self, entry: u32, name: &str) -> bool {
        record::is_named(self.record(entry), &self.names, name.as_bytes())
    }

    /// Returns the value of a label, without unpacking.
    pub(super) fn label(&self, entry: u32, key: &str) -> Option<&str> {
        record::label(self.record(entry), &self.names, key)
    }

    /// Returns how many entries have `value` in the index at `slot`.
    pub(super) fn count(&self, slot: usize, value: TextRef<'_>) -> usize {
        self.indexes.chains(slot).map_or(0, |chains| chains.members(value).1)
    }

    /// Returns the first member of the chain of `value` in the index at `slot`.
    pub(super) fn first(&self, slot: usize, value: TextRef<'_>) -> u32 {
        self.indexes.chains(slot).map_or(NONE, |chains| chains.members(value).0)
    }

    /// Returns the entry of a member of a chain, and goes on to the next member.
    pub(super) fn follow(&self, slot: usize, member: &mut u32) -> u32 {
        let (entry, next) = if slot < BUILT_IN {
            (*member, self.entries[*member as usize].links[slot].next())
        } else {
            self.indexes.follow(slot - BUILT_IN, *member)
        };
        *member = next;
        entry
    }

    /// Says whether an entry has `value` in the index at `slot`.
    pub(super) fn has_value(&self, entry: u32, slot: usize, value: TextRef<'_>) -> bool {
        match slot.checked_sub(BUILT_IN) {
            Some(position) => self.indexes.has_value(entry, position, value),
            None => self.value(entry, slot).is_some_and(|own| own.view() == value),
        }
    }

    /// Returns the slot of the index over the values of a label, if there is one.
    pub(super) fn label_slot(&self, label: &str) -> Option<usize> {
        self.indexes.slot(|projection| matches!(projection, Projection::Label(known) if &**known == label))
    }

    /// Appends the key of an entry.
    pub(super) fn write_key(&self, entry: u32, out: &mut Vec<u8>) {
        if let Some(namespace) = self.value(entry, BY_NAMESPACE) {
            namespace.write(out);
            out.push(b'/');
        }
        record::write_name(self.record(entry), &self.names, out);
    }

    /// Appends the whole record of an entry.
    pub(super) fn write_whole(&self, entry: u32, out: &mut Vec<u8>) {
        let (namespace, controller) = (self.value(entry, BY_NAMESPACE), self.value(entry, BY_CONTROLLER));
        record::expand(self.record(entry), namespace, controller, &self.names, out);
    }

    /// Returns the head of an entry in its whole form: its metadata, without what is packed.
    pub(super) fn head(&self, entry: u32) -> Vec<u8> {
        let (namespace, controller) = (self.value(entry, BY_NAMESPACE), self.value(entry, BY_CONTROLLER));
        let mut head = Vec::with_capacity(EXPANDED);
        record::expand_head(self.record(entry), namespace, controller, &self.names, &mut head);
        head
    }

    /// Copies an entry out, into memory of its own.
    pub(super) fn copy(&self, entry: u32) -> Packed {
        let mut whole = Vec::with_capacity(self.record(entry).len() + EXPANDED);
        self.write_whole(entry, &mut whole);
        self.packed(entry, Bytes::copy_from_slice(&whole), false)
    }

    /// Copies an entry out, into memory that `buffers` gives.
    pub(super) fn copy_to(&self, entry: u32, buffers: &mut Buffers) -> Packed {
        self.packed(entry, buffers.keep(|out| self.write_whole(entry, out)), true)
    }

    fn packed(&self, entry: u32, whole: Bytes, shares: bool) -> Packed {
        Packed { whole, dictionaries: Arc::clone(&self.dictionaries), stamp: self.stamp(entry), shares }
    }

    /// Marks an entry as listed.
    pub(super) fn confirm(&self, entry: u32, epoch: u32) {
        self.entries[entry as usize].epoch.store(epoch, Relaxed);
    }

    /// Returns those of some entries, of a namespace or of all, that the list of `epoch` did not confirm.
    pub(super) fn unconfirmed(
        &self,
        entries: std::ops::Range<u32>,
        epoch: u32,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = u32> {
        // No entry has the text of a namespace that is not in the index.
        let listed = namespace.map(|name| self.indexes.built_in[BY_NAMESPACE].find(TextRef::of(name)));
        let within = move |entry: &Entry| listed.is_none_or(|listed| listed == Some(entry.links[BY_NAMESPACE].value));
        let unconfirmed = move |entry: &Entry| within(entry) && entry.epoch.load(Relaxed) != epoch;
        entries.filter(move |&entry| unconfirmed(&self.entries[entry as usize]))
    }

    /// Stores an object, given as a whole record whose head ends at `end`, with its index values, of which none is left. It
    /// replaces the entry of its key, which was copied, if there is one.
    pub(super) fn insert(
        &mut self,
        key: &str,
        replaced: Option<(u32, &Packed)>,
        (whole, end): (&[u8], usize),
        values: &mut [Values],
        epoch: u32,
    ) {
        let mut record = std::mem::take(&mut self.scratch);
        record.clear();
        self.stamp = self.stamp.wrapping_add(1);
        let like = replaced.is_some_and(|(at, old)| {
            let before = record::Before { whole: &old.whole, stored: self.record(at) };
            record::intern_like(before, whole, end, &mut record)
        });
        let controller = if like { None } else { record::intern(whole, &mut self.names, &mut record) };
        let at = match replaced {
            Some((at, _)) => {
                if !like {
                    record::release(self.records.get(self.entries[at as usize].place), &mut self.names);
                }
                self.replace(at, &record);
                let entry = &mut self.entries[at as usize];
                (entry.stamp, entry.epoch) = (self.stamp, AtomicU32::new(epoch));
                at
            }
            None => self.push(key, &record, epoch),
        };
        shrink(&mut record);
        self.scratch = record;
        if !like {
            self.relink(at, BY_CONTROLLER, controller);
        }
        for (position, values) in values.iter_mut().enumerate() {
            self.set_values(at, position, values);
        }
    }

    /// Gives an entry these values in an added index; none is left of them.
    pub(super) fn set_values(&mut self, entry: u32, position: usize, values: &mut Values) {
        self.indexes.relink(position, entry, values);
    }

    /// Removes an object and its index values, if it is stored.
    pub(super) fn remove(&mut self, key: &str) {
        let Some(at) = self.find(key) else { return };
        self.relink(at, BY_NAMESPACE, None);
        self.relink(at, BY_CONTROLLER, None);
        self.indexes.remove(at, self.entries.len() as u32 - 1);
        let hash = wide(self.entries[at as usize].hash);
        if let Ok(known) = self.table.find_entry(hash, |&known| known == at) {
            known.remove();
        }
        let removed = self.entries.swap_remove(at as usize);
        let last = self.entries.len() as u32;
        self.slab_walks.tell(|place| place.moved(last, at));
        self.moved(last, at);
        record::release(self.records.get(removed.place), &mut self.names);
        self.discard(removed.place);
        self.compact();
        self.shrink();
    }

    /// Replaces the body of an entry by the same content, packed in another way. Nothing else changes.
    pub(super) fn repack(&mut self, entry: u32, packing: Packing, body: &[u8]) {
        let mut record = std::mem::take(&mut self.scratch);
        record.clear();
        record::write_with_body(self.record(entry), packing, body, &mut record);
        // All records are about to be replaced: what is not would move over and over.
        self.discard(self.entries[entry as usize].place);
        self.entries[entry as usize].place = self.keep(entry, &record);
        shrink(&mut record);
        self.scratch = record;
    }

    /// Returns how many entries a dictionary packed.
    pub(super) fn packed_by(&self, number: u8) -> u32 {
        self.packed_by[usize::from(number)]
    }

    /// Returns how many entries a dictionary packs, or may pack.
    pub(super) fn wanting(&self) -> usize {
        self.entries.len() - self.packed_by(CODED) as usize
    }

    /// Says whether an entry is one of those.
    pub(super) fn wants_dictionary(&self, entry: u32) -> bool {
        Packing::of(self.record(entry)).dictionary != CODED
    }

    /// Returns how many entries are differences to an exemplar.
    pub(super) fn alike(&self, exemplar: u16) -> u32 {
        self.alike.get(usize::from(exemplar)).copied().unwrap_or_default()
    }

    /// Says whether some exemplar may have lost its last entry since this was asked.
    pub(super) fn take_idle(&mut self) -> bool {
        std::mem::take(&mut self.idle)
    }

    /// Returns how many bytes the records take.
    pub(super) fn record_bytes(&self) -> usize {
        self.records.memory()
    }

    /// Moves the version, never backwards where versions compare.
    pub(super) fn advance(&mut self, version: &ResourceVersion) {
        let backwards = version.compare(&self.version).is_some_and(std::cmp::Ordering::is_lt);
        if !backwards && !version.is_empty() {
            self.version = version.clone();
        }
    }

    pub(super) fn memory(&self) -> MemoryUsage {
        MemoryUsage {
            objects: self.entries.len(),
            records: self.records.memory(),
            table: self.entries.memory() + self.table.allocation_size(),
            indexes: self.indexes.memory(),
            names: self.names.memory(),
            packing: self.dictionaries.memory() + self.packer_bytes + self.scratch.capacity(),
            hot: 0,
            over_budget: false,
        }
    }

    fn push(&mut self, key: &str, record: &[u8], epoch: u32) -> u32 {
        let (at, hash) = (self.entries.len() as u32, self.hash(key));
        let links = [Link::NONE; BUILT_IN];
        let epoch = AtomicU32::new(epoch);
        let place = self.keep(at, record);
        self.entries.push(Entry { place, hash, stamp: self.stamp, epoch, links });
        let Self { table, entries, .. } = self;
        table.insert_unique(wide(hash), at, |&at| wide(entries[at as usize].hash));
        self.relink(at, BY_NAMESPACE, split_key(key).0.map(Text::of));
        at
    }

    /// Gives an entry this value in a built-in index.
    fn relink(&mut self, entry: u32, slot: usize, value: Option<Text>) {
        if self.value(entry, slot) == value.as_ref() {
            return;
        }
        let mut members = BuiltIn { entries: &mut self.entries, slot };
        let chains = &mut self.indexes.built_in[slot];
        chains.leave(entry, &mut members);
        if let Some(value) = value {
            chains.join(value, entry, &mut members);
        }
    }

    /// Returns the value of an entry in a built-in index.
    pub(super) fn value(&self, entry: u32, slot: usize) -> Option<&Text> {
        match self.entries[entry as usize].links[slot].value {
            NONE => None,
            value => self.indexes.built_in[slot].text(value),
        }
    }

    /// Tells everything that knew an entry as `from` that it is `to` now.
    fn moved(&mut self, from: u32, to: u32) {
        let Some(entry) = self.entries.get(to as usize) else { return };
        self.records.assign(entry.place, to);
        if let Some(known) = self.table.find_mut(wide(entry.hash), |&known| known == from) {
            *known = to;
        }
        for slot in 0..BUILT_IN {
            let mut members = BuiltIn { entries: &mut self.entries, slot };
            self.indexes.built_in[slot].moved(from, to, &mut members);
        }
    }

    /// Gives memory back once half of it is unused.
    fn shrink(&mut self) {
        let (used, room) = (self.entries.len(), self.table.capacity());
        if room > 64 && used < room / 2 {
            let Self { table, entries, .. } = self;
            table.shrink_to(used + used / 8, |&at| wide(entries[at as usize].hash));
        }
    }

    /// Puts a record in the place of that of an entry.
    fn replace(&mut self, entry: u32, record: &[u8]) {
        let place = self.entries[entry as usize].place;
        self.uncount_packing(place);
        self.count_packing(record);
        self.entries[entry as usize].place = self.records.replace(place, entry, record);
        self.compact();
    }

    fn keep(&mut self, entry: u32, record: &[u8]) -> Place {
        self.count_packing(record);
        self.records.add(entry, record)
    }

    fn discard(&mut self, place: Place) {
        self.uncount_packing(place);
        self.records.remove(place);
    }

    /// Counts what a record needs to be unpacked.
    fn count_packing(&mut self, record: &[u8]) {
        let Packing { dictionary, exemplar } = Packing::of(record);
        self.packed_by[usize::from(dictionary)] += 1;
        let exemplar = usize::from(exemplar);
        if exemplar >= self.alike.len() {
            self.alike.resize(exemplar + 1, 0);
        }
        self.alike[exemplar] += 1;
    }

    /// Undoes [`Contents::count_packing`] for a stored record.
    fn uncount_packing(&mut self, place: Place) {
        let Packing { dictionary, exemplar } = Packing::of(self.records.get(place));
        self.packed_by[usize::from(dictionary)] -= 1;
        let alike = &mut self.alike[usize::from(exemplar)];
        *alike -= 1;
        self.idle |= *alike == 0 && exemplar != exemplars::NONE;
    }

    /// Moves records out of one segment that holds few, as many changes at once leave them. False when there is none.
    pub(super) fn tidy(&mut self) -> bool {
        let found = self.records.find_sparse();
        self.compact();
        found
    }

    /// Moves records out of a segment that is sparse.
    fn compact(&mut self) {
        let Self { records, entries, .. } = self;
        records.compact(|entry, place| entries[entry as usize].place = place);
    }

    fn hash(&self, key: &str) -> u32 {
        self.hasher.hash_one(key) as u32
    }
}

/// Spreads a short hash over the bits that the table looks at.
fn wide(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}
