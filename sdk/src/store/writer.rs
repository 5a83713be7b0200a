//! The one that changes a store: puts, removes, lists, and sees to how objects are packed.
use std::sync::Arc;

use crate::resource::{ObjectKey, ResourceVersion};
use crate::wire::head::Head;
use crate::wire::{Buffers, RawObject};

use super::codec::{CODED, Dictionaries, PLAIN, Packer};
use super::decode::Envelope;
use super::exemplars::{self, Families};
use super::index::{Projection, Values};
use super::packed::Packed;
use super::packing::Packing;
use super::parts::Parts;
use super::record::{self, Scratch};
use super::training::{self, Refinement, Training};
use super::{KeyTexts, Storage, Store};

/// The write side: there is one for each store.
pub(crate) struct Writer {
    pub(super) store: Arc<Store>,
    parts: Parts,
    packer: Packer,
    families: Families,
    pub(super) training: Training,
    scratch: Scratch,
    /// Memory for states that were replaced, on their way to handlers.
    olds: Buffers,
    /// What the store indexes, as far as this has heard.
    projections: Arc<[Projection]>,
    /// What was found for an object, while it is put.
    values: Vec<Values>,
    /// The entry that is packed anew next, after a change of the dictionary.
    repacking: Option<u32>,
}

/// What a write did.
#[derive(Debug)]
pub(crate) enum Put {
    /// The key was not stored.
    Added,
    /// The object was replaced by a later state of itself.
    Updated {
        /// The state before.
        old: Envelope,
    },
    /// Another object was stored under the key; its deletion was missed.
    Recreated {
        /// The last known state of the other object.
        old: Envelope,
    },
    /// This very version was stored already, or a later one.
    Unchanged,
}

/// What a delete removed.
#[derive(Debug)]
pub(crate) struct Removed {
    /// The last state known of the removed object.
    pub(crate) last: Envelope,
    /// False when the server deleted a later object of that key, so that the end of this one was missed.
    pub(crate) final_state_known: bool,
}

/// What is stored under the key of an arriving object, and the entry: nobody moves it before the object is stored.
enum Stored {
    Nothing,
    /// This very version, or a later one than the arriving; it is marked as listed now.
    Same,
    /// An earlier state of the object.
    Earlier(Packed, u32),
    /// Another object.
    Other(Packed, u32),
}

/// How many entries are looked at before the writer goes on with what arrived: under a millisecond of packing.
const REPACK_SLICE: u32 = 64;

/// How many entries are looked at under one lock for those that a list did not confirm.
const CONFIRMED_SLICE: u32 = 2048;

impl Writer {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            parts: Parts::new(vec![None]),
            packer: Packer::default(),
            families: Families::new(),
            training: Training::default(),
            scratch: Scratch::default(),
            olds: Buffers::default(),
            projections: Arc::new([]),
            values: Vec::new(),
            repacking: None,
        }
    }

    /// Divides the kind by namespaces that are listed and watched each on its own; one `None` is everything at once. Before
    /// the first write.
    pub(crate) fn divided(self, namespaces: Vec<Option<String>>) -> Self {
        Self { parts: Parts::new(namespaces), ..self }
    }

    /// Says of which part, by its position, what follows is.
    pub(crate) fn enter(&mut self, part: usize) {
        self.parts.enter(part);
    }

    /// Returns the version of each part if there are several.
    pub(crate) fn versions(&self) -> Vec<ResourceVersion> {
        self.parts.versions()
    }

    /// Begins a list of the part: what of it is not put before [`Writer::finish_list`] is gone.
    pub(crate) fn begin_list(&mut self) {
        self.parts.begin_list();
    }

    /// Wraps an object that has arrived, without what the form of this store leaves out.
    pub(crate) fn envelope(&self, object: Arc<RawObject>) -> Envelope {
        Envelope::new(self.cut(object))
    }

    /// Stores an object. The version moves with it, but not during the list of its part.
    pub(crate) fn put(&mut self, envelope: &Envelope) -> Put {
        let head = Head::parse(envelope.object().head());
        let key = head.name();
        let version = head.version();
        let stored = self.stored(key, &head, &version);
        if matches!(stored, Stored::Same) {
            return Put::Unchanged;
        }
        // Whoever fails again comes back to the quarantine below; who does not is mended.
        let reported = self.store.release(key);
        let replaced = match &stored {
            Stored::Earlier(old, entry) | Stored::Other(old, entry) => Some((*entry, old)),
            Stored::Nothing | Stored::Same => None,
        };
        let before = replaced.map_or(exemplars::NONE, |(_, old)| old.view().packing().exemplar);
        let mut scratch = std::mem::take(&mut self.scratch);
        record::write(envelope.object(), &mut scratch);
        let end = scratch.whole.len();
        let packing = self.pack(&scratch.whole, &scratch.text, before, &mut scratch.body);
        packing.write(&mut scratch.whole);
        scratch.whole.extend_from_slice(&scratch.body);
        let mut found = 0;
        let stamp = loop {
            self.values.resize_with(self.projections.len(), Values::new);
            for (projection, values) in self.projections.iter().zip(&mut self.values).skip(found) {
                self.store.project(projection, envelope, reported, values);
            }
            found = self.projections.len();
            let mut contents = self.store.write();
            // An index may have come meanwhile: without its values the object would be missing from it.
            if contents.indexes.projections().len() == found {
                contents.insert(key, replaced, (&scratch.whole, end), &mut self.values, self.parts.epoch());
                let stamp = contents.last_stamp();
                let decoded = self.store.hot.remove(key);
                if let Some(version) = self.parts.moved(&version) {
                    contents.advance(version);
                }
                drop(contents);
                drop(decoded);
                break stamp;
            }
            self.projections = Arc::clone(contents.indexes.projections());
        };
        let (text, whole) = (scratch.text.len(), scratch.whole.len());
        scratch.shrink();
        self.scratch = scratch;
        envelope.set_stored(stamp);
        if packing.dictionary != CODED {
            self.training.record(text, whole);
            self.train_first(training::FIRST_OBJECTS);
        }
        match stored {
            Stored::Nothing | Stored::Same => Put::Added,
            Stored::Earlier(old, _) => Put::Updated { old: Envelope::packed(old) },
            Stored::Other(old, _) => Put::Recreated { old: Envelope::packed(old) },
        }
    }

    /// Removes the object that the server says is deleted; `None` when none is stored under its key.
    pub(crate) fn remove(&mut self, deleted: &Arc<RawObject>) -> Option<Removed> {
        let head = Head::parse(deleted.head());
        let key = head.name();
        let stored = {
            let contents = self.store.read();
            contents.find(key).map(|entry| {
                let same = Head::parse(contents.record(entry)).has_uid_of(&head);
                (same, (!same).then(|| contents.copy(entry)))
            })
        };
        let removed = {
            let mut contents = self.store.write();
            contents.remove(key);
            if let Some(version) = self.parts.moved(&head.version()) {
                contents.advance(version);
            }
            self.store.hot.remove(key)
        };
        drop(removed);
        self.forget_idle();
        self.store.quarantined().remove(key);
        let (final_state_known, other) = stored?;
        let last = other.map_or_else(|| self.envelope(Arc::clone(deleted)), Envelope::packed);
        Some(Removed { last, final_state_known })
    }

    /// Ends the list of the part: removes what of it was not confirmed, then moves the version, to wherever the server says
    /// if there is but one part.
    ///
    /// Returns what was removed. A list that never began removes nothing.
    pub(crate) fn finish_list(&mut self, version: ResourceVersion) -> Vec<Envelope> {
        let vanished = if self.parts.end_list() { self.unconfirmed() } else { Vec::new() };
        let mut removed = Vec::with_capacity(vanished.len());
        for key in &vanished {
            self.store.quarantined().remove(key);
            removed.extend(self.store.copy(key).map(Envelope::packed));
            let mut contents = self.store.write();
            contents.remove(key.as_str());
            let decoded = self.store.hot.remove(key.as_str());
            drop(contents);
            drop(decoded);
        }
        self.forget_idle();
        self.store.write().version = self.parts.set(version);
        self.train_first(training::FEWEST_OBJECTS);
        removed
    }

    /// Moves the version: the server says that nothing else changed up to it.
    pub(crate) fn bookmark(&mut self, version: &ResourceVersion) {
        if let Some(version) = self.parts.moved(version) {
            self.store.write().advance(version);
        }
    }

    /// Returns work that makes the store smaller, when there is any: for a thread that may block.
    pub(crate) fn refinement(&mut self) -> Option<Refinement> {
        if self.parts.is_listing() || self.repacking.is_some() || self.packer.number() == PLAIN {
            return None;
        }
        self.training.refinement(&self.store)
    }

    /// Takes over the result of a refinement that is done, then packs some objects anew if that is to be done.
    ///
    /// Returns false when there is nothing left to do.
    pub(crate) fn tend(&mut self) -> bool {
        let objects = self.store.read().wanting();
        if let Some(dictionary) = self.training.better(objects) {
            self.adopt(&dictionary);
        }
        self.repack()
    }

    /// Says what is stored under the key of an object of that head and version, and marks it as listed if it stays.
    fn stored(&mut self, key: &str, new: &Head<'_>, version: &ResourceVersion) -> Stored {
        let contents = self.store.read();
        let Some(entry) = contents.find(key) else { return Stored::Nothing };
        let head = Head::parse(contents.record(entry));
        if !head.has_uid_of(new) {
            return Stored::Other(contents.copy_to(entry, &mut self.olds), entry);
        }
        let same = !version.is_empty() && head.has_version_of(new);
        if !same && !self.is_outdated(&head, version, &contents.version) {
            return Stored::Earlier(contents.copy_to(entry, &mut self.olds), entry);
        }
        contents.confirm(entry, self.parts.epoch());
        Stored::Same
    }

    /// Says whether what arrives is older than what is stored and must not replace it: a watch that was resumed tells what
    /// is known, or a list comes from a replica that lags behind the one that answered before.
    ///
    /// A list that has an older state of an object than the store had when it was last complete comes from a server that
    /// went back, as one does that was restored from a backup: then the list is right.
    fn is_outdated(&self, stored: &Head<'_>, arriving: &ResourceVersion, complete: &ResourceVersion) -> bool {
        let complete = self.parts.complete(complete);
        stored.is_later_than(arriving)
            && complete.is_none_or(|complete| complete.is_empty() || stored.is_later_than(complete))
    }

    fn cut(&self, object: Arc<RawObject>) -> Arc<RawObject> {
        match self.store.options.storage {
            Storage::Packed | Storage::Decoded => object,
            Storage::Metadata => object.to_metadata().map_or(object, Arc::new),
        }
    }

    fn unconfirmed(&self) -> Vec<ObjectKey> {
        let (epoch, namespace) = (self.parts.epoch(), self.parts.namespace());
        let (mut keys, mut texts, mut start) = (Vec::new(), KeyTexts::default(), 0);
        loop {
            // Nobody else moves entries between two slices.
            let contents = self.store.read();
            let end = (start + CONFIRMED_SLICE).min(contents.len() as u32);
            let unconfirmed = contents.unconfirmed(start..end, epoch, namespace);
            unconfirmed.for_each(|entry| texts.push(&contents, entry));
            drop(contents);
            texts.drain_into(&mut keys);
            if start == end {
                return keys;
            }
            start = end;
        }
    }

    /// Makes the first dictionary when there is enough to make it of.
    fn train_first(&mut self, enough: usize) {
        if self.packer.number() != PLAIN {
            return;
        }
        let (objects, records) = {
            let contents = self.store.read();
            (contents.wanting(), contents.record_bytes())
        };
        if self.training.wants_first(objects, records, enough)
            && let Some(dictionary) = self.training.first(&self.store, objects)
            && self.adopt(&dictionary)
        {
            while self.repack() {}
        }
    }

    /// Packs a text and says how. The whole record tells the labels of the object, whose last state was like `before`.
    fn pack(&mut self, whole: &[u8], text: &[u8], before: u16, body: &mut Vec<u8>) -> Packing {
        let store = &self.store;
        let likeness = self.families.liken(whole, text, before, || store.read().record_bytes());
        if likeness.is_new {
            self.publish_exemplars();
        }
        body.clear();
        let dictionary = match likeness.exemplar {
            exemplars::NONE => self.packer.pack(text, body),
            _ => self.packer.pack_difference(text, self.families.difference(), body),
        };
        Packing { dictionary, exemplar: likeness.exemplar }
    }

    /// Forgets exemplars that nothing stored is like any more.
    fn forget_idle(&mut self) {
        let mut contents = self.store.write();
        if contents.take_idle() {
            self.families.forget(|exemplar| contents.alike(exemplar) == 0);
            drop(contents);
            self.publish_exemplars();
        }
    }

    /// Lets readers take the present exemplars along.
    fn publish_exemplars(&mut self) {
        let dictionaries = Arc::clone(&self.store.read().dictionaries);
        self.publish(dictionaries.with_exemplars(self.families.exemplars().clone()));
    }

    /// Lets readers take these along from here on. Only this writer changes them, so they are made outside of the lock; what
    /// they replace is dropped outside of it, too.
    fn publish(&mut self, dictionaries: Dictionaries) {
        let (dictionaries, packer_bytes) = (Arc::new(dictionaries), self.packer.memory() + self.families.memory());
        let mut contents = self.store.write();
        contents.packer_bytes = packer_bytes;
        let replaced = std::mem::replace(&mut contents.dictionaries, dictionaries);
        drop(contents);
        drop(replaced);
    }

    /// Packs with another dictionary from here on. Says whether that is possible.
    pub(super) fn adopt(&mut self, dictionary: &[u8]) -> bool {
        let mut dictionaries = (*self.store.read().dictionaries).clone();
        let Some(number) = dictionaries.add(dictionary) else { return false };
        if !self.packer.load(number, dictionary) {
            return false;
        }
        self.publish(dictionaries);
        self.repacking = Some(0);
        true
    }

    /// Packs a slice of the store with the present dictionary. Returns false when all of it is.
    pub(super) fn repack(&mut self) -> bool {
        let Some(start) = self.repacking else { return false };
        let number = self.packer.number();
        let mut scratch = std::mem::take(&mut self.scratch);
        for entry in start..start.saturating_add(REPACK_SLICE) {
            let packed = {
                let contents = self.store.read();
                if entry as usize >= contents.len() {
                    drop(contents);
                    self.scratch = scratch;
                    return self.finish_repacking();
                }
                if [number, CODED].contains(&Packing::of(contents.record(entry)).dictionary) {
                    continue;
                }
                contents.copy(entry)
            };
            let packed = packed.view();
            scratch.text.clear();
            packed.text(&mut scratch.text);
            let before = packed.packing().exemplar;
            let packing = self.pack(packed.record(), &scratch.text, before, &mut scratch.body);
            // Only this writer moves and replaces entries.
            self.store.write().repack(entry, packing, &scratch.body);
        }
        scratch.shrink();
        self.scratch = scratch;
        self.repacking = Some(start.saturating_add(REPACK_SLICE));
        true
    }

    /// Drops dictionaries that packed nothing any more. Entries that moved meanwhile may need another round.
    fn finish_repacking(&mut self) -> bool {
        while self.store.write().tidy() {}
        self.forget_idle();
        let number = self.packer.number();
        let contents = self.store.read();
        let mut dictionaries = (*contents.dictionaries).clone();
        let old = contents.dictionaries.numbers().filter(|&known| known != number);
        let (unused, used): (Vec<u8>, Vec<u8>) = old.partition(|&known| contents.packed_by(known) == 0);
        drop(contents);
        unused.iter().for_each(|&number| dictionaries.remove(number));
        self.publish(dictionaries);
        self.repacking = (!used.is_empty()).then_some(0);
        self.repacking.is_some()
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("store", &self.store).field("parts", &self.parts).finish_non_exhaustive()
    }
}
