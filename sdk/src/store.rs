//! Last known objects by key, and indexes over them: one writer, many readers, raw bytes and metadata only.
//!
//! Nothing outside sees the container: a packed form replaces it by changing this file alone.
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::resource::{ObjectKey, ResourceVersion};
use crate::wire::RawObject;

pub(crate) mod decode;

pub mod index;

pub mod lister;

use decode::Envelope;
use index::{Indexes, Projection, ProjectionFailure, Values};

/// The read side. Every call sees one instant: an object and its index values never disagree.
///
/// Locks are held for one object's change, or for copying references out; decoding, projections and dropping of old
/// values happen outside. A re-list is applied object by object, so readers never wait for it.
pub(crate) struct Store {
    contents: RwLock<Contents>,
    /// Objects whose failure to be indexed has been reported, so that each is reported once until it is mended.
    quarantine: Mutex<HashSet<ObjectKey>>,
}

/// The write side: there is one for each store.
#[derive(Debug)]
pub(crate) struct Writer {
    store: Arc<Store>,
    /// Number of the current list; an entry that carries another one was not listed by it.
    epoch: u32,
    listing: bool,
}

/// What a write did.
#[derive(Debug)]
pub(crate) enum Put {
    /// The key was not stored.
    Added,
    /// The object was replaced by a later state of itself.
    Updated {
        /// The state before.
        old: Arc<RawObject>,
    },
    /// Another object was stored under the key; its deletion was missed.
    Recreated {
        /// The last known state of the other object.
        old: Arc<RawObject>,
    },
    /// This very version was stored already.
    Unchanged,
}

/// What a delete removed.
#[derive(Debug)]
pub(crate) struct Removed {
    /// The last state known of the removed object.
    pub(crate) last: Arc<RawObject>,
    /// False when the server deleted a later object of that key, so that the end of this one was missed.
    pub(crate) final_state_known: bool,
}

/// What the lock guards.
struct Contents {
    objects: HashMap<ObjectKey, Entry>,
    indexes: Indexes,
    /// Never ahead of `objects`.
    version: ResourceVersion,
}

struct Entry {
    object: Arc<RawObject>,
    /// Moved under the read lock when a list confirms an unchanged object.
    epoch: AtomicU32,
    /// By position of the added index; `None` where the index is still being filled.
    values: Vec<Option<Values>>,
}

/// Whether the user has been told that an object cannot be indexed.
#[derive(Clone, Copy, PartialEq)]
enum Reported {
    Yes,
    No,
}

impl Store {
    /// Makes an empty store and the only writer it will ever have.
    pub(crate) fn new() -> (Arc<Self>, Writer) {
        let contents =
            Contents { objects: HashMap::new(), indexes: Indexes::new(), version: ResourceVersion::default() };
        let store = Arc::new(Self { contents: RwLock::new(contents), quarantine: Mutex::default() });
        let writer = Writer { store: Arc::clone(&store), epoch: 0, listing: false };
        (store, writer)
    }

    /// Returns the object.
    pub(crate) fn get(&self, key: &ObjectKey) -> Option<Arc<RawObject>> {
        self.read().objects.get(key).map(|entry| Arc::clone(&entry.object))
    }

    /// Returns the objects that satisfy `wanted`, in no order. `wanted` runs under the lock: it must be quick.
    pub(crate) fn select(&self, wanted: impl Fn(&RawObject) -> bool) -> Vec<Arc<RawObject>> {
        let contents = self.read();
        contents.objects.values().map(|entry| &entry.object).filter(|object| wanted(object)).cloned().collect()
    }

    /// Returns the objects that have `value` in the index at `slot`, in no order.
    pub(crate) fn by(&self, slot: usize, value: &str) -> Vec<Arc<RawObject>> {
        let contents = self.read();
        let keys = contents.indexes.keys(slot, value).into_iter().flatten();
        keys.filter_map(|key| contents.objects.get(key)).map(|entry| Arc::clone(&entry.object)).collect()
    }

    /// Returns all keys, in no order.
    pub(crate) fn keys(&self) -> Vec<ObjectKey> {
        self.read().objects.keys().cloned().collect()
    }

    /// Returns the keys that have `value` in the index at `slot`, in no order.
    pub(crate) fn keys_by(&self, slot: usize, value: &str) -> Vec<ObjectKey> {
        self.read().indexes.keys(slot, value).into_iter().flatten().cloned().collect()
    }

    /// Returns how many objects are stored.
    pub(crate) fn len(&self) -> usize {
        self.read().objects.len()
    }

    /// Returns the version up to which the server's changes are readable here; empty before the first whole list.
    pub(crate) fn version(&self) -> ResourceVersion {
        self.read().version.clone()
    }

    /// Adds an index, fills it, and returns its slot. Writes go on meanwhile; whoever has the slot sees a whole index.
    pub(crate) fn add_index(&self, projection: Projection) -> usize {
        let slot = self.write().indexes.add(Arc::clone(&projection));
        let position = Indexes::position(slot);
        // From here on the writer indexes what it touches; the rest is filled in, one short lock an object.
        for object in self.select(|_| true) {
            let values = self.project(&projection, &Envelope::new(Arc::clone(&object)), Reported::No);
            let mut contents = self.write();
            let Contents { objects, indexes, .. } = &mut *contents;
            let key = &object.metadata().key;
            let Some(entry) = objects.get_mut(key).filter(|entry| Arc::ptr_eq(&entry.object, &object)) else {
                continue;
            };
            let values = indexes.relink(position, key, entry.values(position), values);
            entry.set_values(position, values);
        }
        slot
    }

    /// Returns the values of one object in one index: none where the projection fails, which is reported once.
    fn project(&self, projection: &Projection, envelope: &Envelope, reported: Reported) -> Values {
        let key = &envelope.object().metadata().key;
        index::project(projection, envelope).unwrap_or_else(|failure| {
            let first = self.quarantined().insert(key.clone());
            if first && reported == Reported::No {
                report(key, &failure);
            }
            Box::default()
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, Contents> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Contents> {
        self.contents.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn quarantined(&self) -> std::sync::MutexGuard<'_, HashSet<ObjectKey>> {
        self.quarantine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Begins a list: what is neither put before [`Writer::finish_list`] is gone.
    pub(crate) fn begin_list(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.listing = true;
    }

    /// Stores an object. The version moves with it, but not during a list.
    pub(crate) fn put(&mut self, envelope: &Envelope) -> Put {
        if self.confirm(envelope.object()) {
            return Put::Unchanged;
        }
        // Whoever fails again comes back to the quarantine below; who does not is mended.
        let reported = match self.store.quarantined().remove(&envelope.object().metadata().key) {
            true => Reported::Yes,
            false => Reported::No,
        };
        let mut values = Vec::new();
        loop {
            let projections = Arc::clone(self.store.read().indexes.projections());
            for projection in projections.iter().skip(values.len()) {
                values.push(self.store.project(projection, envelope, reported));
            }
            let mut contents = self.store.write();
            // An index may have come meanwhile: without its values the object would be missing from it.
            if contents.indexes.projections().len() == values.len() {
                let replaced = contents.insert(envelope.object(), values, self.epoch);
                if !self.listing {
                    contents.advance(&envelope.object().metadata().resource_version);
                }
                drop(contents);
                return outcome(envelope.object(), replaced);
            }
        }
    }

    /// Removes the object that the server says is deleted; `None` when none is stored under its key.
    pub(crate) fn remove(&mut self, deleted: &Arc<RawObject>) -> Option<Removed> {
        let metadata = deleted.metadata();
        let removed = {
            let mut contents = self.store.write();
            let removed = contents.remove(&metadata.key);
            if !self.listing {
                contents.advance(&metadata.resource_version);
            }
            removed
        };
        self.store.quarantined().remove(&metadata.key);
        let stored = removed?.object;
        let same = stored.metadata().uid == metadata.uid;
        Some(Removed { last: if same { Arc::clone(deleted) } else { stored }, final_state_known: same })
    }

    /// Ends a list: removes what it did not confirm, then moves the version, to wherever the server says.
    ///
    /// Returns what was removed. A list that never began removes nothing.
    pub(crate) fn finish_list(&mut self, version: ResourceVersion) -> Vec<Arc<RawObject>> {
        let vanished = if self.listing { self.unconfirmed() } else { Vec::new() };
        self.listing = false;
        let mut removed = Vec::with_capacity(vanished.len());
        for key in &vanished {
            self.store.quarantined().remove(key);
            let entry = self.store.write().remove(key);
            removed.extend(entry.map(|entry| entry.object));
        }
        self.store.write().version = version;
        removed
    }

    /// Moves the version: the server says that nothing else changed up to it.
    pub(crate) fn bookmark(&mut self, version: &ResourceVersion) {
        if !self.listing {
            self.store.write().advance(version);
        }
    }

    /// Says whether this very version is stored, and marks it as listed.
    fn confirm(&self, object: &RawObject) -> bool {
        let (contents, new) = (self.store.read(), object.metadata());
        let Some(entry) = contents.objects.get(&new.key) else { return false };
        let old = entry.object.metadata();
        let same =
            old.uid == new.uid && old.resource_version == new.resource_version && !new.resource_version.is_empty();
        if same {
            entry.epoch.store(self.epoch, Relaxed);
        }
        same
    }

    fn unconfirmed(&self) -> Vec<ObjectKey> {
        let contents = self.store.read();
        let missed = contents.objects.iter().filter(|(_, entry)| entry.epoch.load(Relaxed) != self.epoch);
        missed.map(|(key, _)| key.clone()).collect()
    }
}

impl Contents {
    /// Stores the object with its index values; returns the entry it replaced, to be dropped outside the lock.
    fn insert(&mut self, object: &Arc<RawObject>, values: Vec<Values>, epoch: u32) -> Option<Entry> {
        let metadata = object.metadata();
        let old = self.objects.remove(&metadata.key);
        self.indexes.relink_built_in(old.as_ref().map(|entry| entry.object.metadata()), Some(metadata));
        let values = values.into_iter().enumerate().map(|(position, values)| {
            let before = old.as_ref().map_or(&[][..], |entry| entry.values(position));
            Some(self.indexes.relink(position, &metadata.key, before, values))
        });
        let entry = Entry { object: Arc::clone(object), epoch: AtomicU32::new(epoch), values: values.collect() };
        self.objects.insert(metadata.key.clone(), entry);
        old
    }

    /// Removes the object and its index values; returns the entry, to be dropped outside the lock.
    fn remove(&mut self, key: &ObjectKey) -> Option<Entry> {
        let entry = self.objects.remove(key)?;
        self.indexes.relink_built_in(Some(entry.object.metadata()), None);
        for position in 0..entry.values.len() {
            self.indexes.relink(position, key, entry.values(position), Box::default());
        }
        Some(entry)
    }

    /// Moves the version, never backwards where versions compare.
    fn advance(&mut self, version: &ResourceVersion) {
        let backwards = version.compare(&self.version).is_some_and(std::cmp::Ordering::is_lt);
        if !backwards && !version.is_empty() {
            self.version = version.clone();
        }
    }
}

impl Entry {
    fn values(&self, position: usize) -> &[Arc<str>] {
        self.values.get(position).and_then(Option::as_deref).unwrap_or_default()
    }

    fn set_values(&mut self, position: usize, values: Values) {
        if self.values.len() <= position {
            self.values.resize_with(position + 1, || None);
        }
        self.values[position] = Some(values);
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("objects", &self.len()).finish_non_exhaustive()
    }
}

fn outcome(new: &RawObject, replaced: Option<Entry>) -> Put {
    match replaced {
        None => Put::Added,
        Some(entry) if entry.object.metadata().uid == new.metadata().uid => Put::Updated { old: entry.object },
        Some(entry) => Put::Recreated { old: entry.object },
    }
}

/// Tells of an object that is left out of an index. Never its content.
fn report(key: &ObjectKey, failure: &ProjectionFailure) {
    match failure {
        ProjectionFailure::Undecodable(error) => tracing::warn!(
            object = %key, kind = %error.kind, path = %error.path,
            "left out of indexes: the object does not decode; correct it, or the Rust type"
        ),
        ProjectionFailure::Panicked => {
            tracing::error!(object = %key, "left out of an index: the index function panicked on the object");
        }
    }
}

#[cfg(test)]
pub(crate) mod fixture;

#[cfg(test)]
mod tests;
