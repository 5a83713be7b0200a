//! Last known objects by key, and indexes over them: one writer, many readers, packed bytes and metadata only.
//!
//! Nothing outside sees the container. An entry is its links and the place of its bytes, which `record` makes;
//! `contents` keeps the entries, `arena` their bytes, `chains` what the indexes hold, `names` the words they share; `codec`
//! packs, differences as `coded` writes them and the rest with a dictionary that `training` sees to; `packed` is what readers copy under the lock and unpack outside of it;
//! `hot` keeps decoded what is read often.
use std::any::Any;
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::resource::{ObjectKey, ResourceVersion};
use crate::wire::RawObject;
use crate::wire::head::Head;

mod arena;

mod chains;

mod codec;

mod coded;

mod condition;

mod contents;

pub(crate) mod decode;

mod diff;

mod exemplars;

mod hot;

pub mod index;

pub mod lister;

mod memory;

mod names;

pub mod options;

mod packed;

mod packing;

mod parts;

pub mod query;

mod record;

pub mod selector;

mod segment;

mod slab;

mod splice;

mod training;

mod walk;

mod weight;

mod writer;

use condition::{Condition, Is};
use contents::Contents;
use decode::Envelope;
use hot::Hot;
use index::{Projection, ProjectionFailure, Values};
pub(crate) use memory::MemoryUsage;
pub use options::{Budget, Options, Storage};
pub(crate) use packed::{Packed, PackedRef};
use walk::{Walk, Walked};
use weight::Weights;
pub(crate) use writer::{Put, Writer};

/// The read side. An object and its index values never disagree.
///
/// Locks are held for one object's change, or for copying a slice of packed bytes out; unpacking, decoding, projections and dropping
/// of old values happen outside. A re-list is applied object by object, so readers never wait for it.
pub(crate) struct Store {
    contents: RwLock<Contents>,
    /// Taken after the lock of the contents where both are.
    hot: Hot,
    /// What the decoded objects of the types take that it is read as.
    weights: Weights,
    /// Objects whose failure to be indexed has been reported, so that each is reported once until it is mended.
    quarantine: Mutex<HashSet<ObjectKey>>,
    options: Options,
    /// How many bytes it may take: the smallest of all that were given.
    budget: AtomicUsize,
    /// Held while an index over a label or a field is filled, so that nobody takes half of it for the whole.
    naming: Mutex<()>,
}

/// How many entries are looked at under one lock for those that a dictionary is made of.
const SPREAD_SLICE: usize = 2048;

/// Whether the user has been told that an object cannot be indexed.
#[derive(Clone, Copy, PartialEq)]
enum Reported {
    Yes,
    No,
}

impl Store {
    /// Makes an empty store and the only writer it will ever have.
    pub(crate) fn new(options: Options) -> (Arc<Self>, Writer) {
        let contents = RwLock::new(Contents::new());
        let hot = Hot::new(options.hot_bound(0));
        let budget = AtomicUsize::new(options.budget.bytes());
        let (weights, quarantine, naming) = (Weights::default(), Mutex::default(), Mutex::default());
        let store = Arc::new(Self { contents, hot, weights, quarantine, options, budget, naming });
        let writer = Writer::new(Arc::clone(&store));
        (store, writer)
    }

    /// Returns the object as it came from the wire.
    pub(crate) fn get(&self, key: &ObjectKey) -> Option<Arc<RawObject>> {
        self.copy(key).map(|packed| Arc::new(packed.view().object()))
    }

    /// Returns the object as it is stored.
    pub(crate) fn copy(&self, key: &ObjectKey) -> Option<Packed> {
        self.copy_of(key.as_str())
    }

    /// Returns the object of a key, given as text, as it is stored.
    fn copy_of(&self, key: &str) -> Option<Packed> {
        let contents = self.read();
        contents.find(key).map(|entry| contents.copy(entry))
    }

    /// Returns the metadata of an object in its compact form.
    pub(crate) fn head(&self, key: &ObjectKey) -> Option<Vec<u8>> {
        let contents = self.read();
        contents.find(key.as_str()).map(|entry| contents.head(entry))
    }

    /// Lends `look`, which must be quick, the metadata of an object as it is stored: all but its namespace and what stands
    /// behind its generation.
    pub(crate) fn glance<T>(&self, key: &ObjectKey, look: impl FnOnce(Head<'_>) -> T) -> Option<T> {
        let contents = self.read();
        contents.find(key.as_str()).map(|entry| look(Head::parse(contents.record(entry))))
    }

    /// Returns all keys, in no order.
    pub(crate) fn keys(&self) -> Vec<ObjectKey> {
        self.keys_of(Walk::new(Vec::new(), usize::MAX))
    }

    /// Returns the keys that have `value` in the index at `slot`, in no order.
    pub(crate) fn keys_by(&self, slot: usize, value: &str) -> Vec<ObjectKey> {
        self.keys_of(Walk::new(vec![Condition::Value(Is::Equal, slot, value.into())], usize::MAX))
    }

    /// Returns the values in the index at `slot`, each with how many objects have it, in no order.
    fn values(&self, slot: usize) -> Vec<(String, usize)> {
        let contents = self.read();
        let text = |text: &crate::wire::text::Text| {
            let mut bytes = Vec::with_capacity(text.len());
            text.write(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let values = contents.indexes.chains(slot).into_iter().flat_map(|chains| chains.values());
        values.map(|(value, count)| (text(value), count)).collect()
    }

    /// Returns how many objects are stored.
    pub(crate) fn len(&self) -> usize {
        self.read().len()
    }

    /// Returns the version up to which the server's changes are readable here; empty before the first whole list.
    pub(crate) fn version(&self) -> ResourceVersion {
        self.read().version.clone()
    }

    /// Returns how many bytes the read side takes, by part.
    pub(crate) fn memory_usage(&self) -> MemoryUsage {
        let packed = self.read().memory();
        MemoryUsage { hot: self.hot.memory(), over_budget: self.options().exceeds(packed.total()), ..packed }
    }

    /// Gives up decoded objects that the budget has no room for. Says whether the packed ones alone are too many.
    ///
    /// Called by whoever applies changes, after some of them: between two calls a store grows by no more than those.
    pub(crate) fn keep_budget(&self) -> bool {
        // Nothing to measure against: the bound of the hot set alone is kept by the hot set itself.
        let options = self.options();
        if options.budget == Budget::Unlimited {
            return false;
        }
        let packed = self.read().memory().total();
        let evicted = self.hot.bound(options.hot_bound(packed));
        drop(evicted);
        options.exceeds(packed)
    }

    /// Takes in one more budget: the smallest counts, from the next [`Store::keep_budget`] on.
    pub(crate) fn limit(&self, budget: Budget) {
        self.budget.fetch_min(budget.bytes(), Relaxed);
    }

    /// Returns what the store was made with, and the budget that counts now.
    pub(crate) fn options(&self) -> Options {
        Options { budget: Budget::of(self.budget.load(Relaxed)), ..self.options }
    }

    /// Returns the object decoded, if it is hot as a `K`.
    pub(crate) fn hot<T: Any + Send + Sync>(&self, key: &ObjectKey) -> Option<Arc<T>> {
        self.hot.get(key)
    }

    /// Returns this very state of an object decoded, if it is hot as a `K`.
    pub(crate) fn hot_at<T: Any + Send + Sync>(&self, packed: &PackedRef<'_>) -> Option<Arc<T>> {
        self.hot.get_at(&packed.key(), packed.stamp)
    }

    /// Keeps a decoded object that takes so many bytes, unless it has changed since.
    pub(crate) fn keep_hot<T: Any + Send + Sync>(&self, packed: &PackedRef<'_>, object: Arc<T>, bytes: usize) {
        if !self.hot.welcomes(packed.key_text(), bytes) {
            return;
        }
        let key = packed.key();
        // Held while the hot set changes: the writer cannot replace the object in between.
        let contents = self.read();
        let present = contents.find(key.as_str()).is_some_and(|entry| contents.stamp(entry) == packed.stamp);
        let evicted = present.then(|| self.hot.insert(&key, packed.stamp, object, bytes));
        drop(contents);
        drop(evicted);
    }

    /// Adds an index, fills it, and returns its slot. Writes go on meanwhile; whoever has the slot sees a whole index.
    ///
    /// A label or a field that has an index already gets no second one.
    pub(crate) fn add_index(&self, projection: Projection) -> usize {
        let named = match projection {
            Projection::Function(_) => None,
            Projection::Label(_) | Projection::Field(_) => Some(self.naming()),
        };
        let known = self.read().indexes.slot(|known| known.is_same(&projection));
        let slot = known.unwrap_or_else(|| self.fill_index(&projection));
        drop(named);
        slot
    }

    /// Returns the slot of the index over a label or a field, if there is one.
    fn slot_of(&self, projection: &Projection) -> Option<usize> {
        let _named = self.naming();
        self.read().indexes.slot(|known| known.is_same(projection))
    }

    fn fill_index(&self, projection: &Projection) -> usize {
        let slot = self.write().indexes.add(projection.clone());
        let position = slot - index::BUILT_IN;
        // From here on the writer indexes what it touches; the rest is filled in, one short lock an object.
        for key in self.keys() {
            let Some(packed) = self.copy(&key) else { continue };
            let stamp = packed.stamp;
            let mut values = Values::new();
            self.project(projection, &Envelope::packed(packed), Reported::No, &mut values);
            let mut contents = self.write();
            // What has changed since was indexed by the writer.
            if let Some(entry) = contents.find(key.as_str()).filter(|&entry| contents.stamp(entry) == stamp) {
                contents.set_values(entry, position, &mut values);
            }
        }
        self.write().indexes.set_whole(slot);
        slot
    }

    /// Returns up to `count` of the objects that a dictionary packs or may pack, spread over the store.
    fn spread(&self, count: usize) -> Vec<Packed> {
        let (mut spread, mut start, mut seen) = (Vec::with_capacity(count), 0, 0);
        loop {
            let contents = self.read();
            let (end, wanting) = ((start + SPREAD_SLICE).min(contents.len()), contents.wanting().max(1));
            for entry in (start..end).map(|entry| entry as u32).filter(|&entry| contents.wants_dictionary(entry)) {
                seen += 1;
                // About every so many-th; objects come and go meanwhile.
                if spread.len() < count.min(seen * count / wanting) {
                    spread.push(contents.copy(entry));
                }
            }
            if start == end {
                return spread;
            }
            start = end;
        }
    }

    /// Copies key texts under the lock, and makes keys of them outside.
    fn keys_of(&self, mut walk: Walk) -> Vec<ObjectKey> {
        let (mut keys, mut texts, mut walked) = (Vec::new(), KeyTexts::default(), Walked::Slice);
        while walked == Walked::Slice {
            walked = walk.slice(self, |contents, entry| texts.push(contents, entry));
            texts.drain_into(&mut keys);
        }
        keys
    }

    /// Finds the values of one object in one index: none where the projection fails, which is reported once.
    fn project(&self, projection: &Projection, envelope: &Envelope, reported: Reported, values: &mut Values) {
        if let Err(failure) = index::project(projection, envelope, values) {
            let key = envelope.key();
            let first = self.quarantined().insert(key.clone());
            if first && reported == Reported::No {
                report(key, &failure);
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Contents> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Contents> {
        self.contents.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an object out of the quarantine, because it changed. Says whether it was there.
    fn release(&self, key: &str) -> Reported {
        let mut quarantine = self.quarantined();
        // Mostly nothing is there, and then the key need not be hashed.
        if !quarantine.is_empty() && quarantine.remove(key) { Reported::Yes } else { Reported::No }
    }

    fn naming(&self) -> std::sync::MutexGuard<'_, ()> {
        self.naming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn quarantined(&self) -> std::sync::MutexGuard<'_, HashSet<ObjectKey>> {
        self.quarantine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keys as text, one behind the other.
#[derive(Default)]
struct KeyTexts {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl KeyTexts {
    fn push(&mut self, contents: &Contents, entry: u32) {
        contents.write_key(entry, &mut self.text);
        self.ends.push(self.text.len());
    }

    /// Makes keys of them, without a lock.
    fn drain_into(&mut self, keys: &mut Vec<ObjectKey>) {
        let mut start = 0;
        keys.extend(self.ends.drain(..).map(|end| {
            let text = &self.text[std::mem::replace(&mut start, end)..end];
            ObjectKey::from_text(&String::from_utf8_lossy(text))
        }));
        self.text.clear();
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("objects", &self.len()).finish_non_exhaustive()
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
