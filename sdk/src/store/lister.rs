//! Typed reads of a store. The only place where an object is decoded.
use std::marker::PhantomData;
use std::sync::Arc;

use kube::core::{Expression, Selector};

use crate::resource::{Kind, ObjectKey};
use crate::wire::{Metadata, RawObject};

use super::decode::decode_json;
use super::index::{BY_CONTROLLER, BY_NAMESPACE, Index};
use super::packed::{Batch, PackedRef};
use super::{Labels, Storage, Store};

pub use super::decode::DecodeError;
pub use super::memory::MemoryUsage;

/// Reads cached objects of `K`: never a request, never a stale mix of two versions of one object.
///
/// Lists are ordered by key. Each is of one instant: an object is listed under a namespace, owner or index value
/// exactly when the listed state has it.
///
/// Objects are stored packed and decoded on read. Those that were read by key, or by a query with at most 32 results, are
/// kept decoded as long as they do not change: at most 8 MiB of them by estimate, of which those that are read again stay
/// longest. Reading one of them is a lookup, and all its readers share one value.
pub struct Lister<K> {
    store: Arc<Store>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Lister<K> {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store, kind: PhantomData }
    }

    /// Returns the object, or `None` when the cache does not hold it.
    ///
    /// # Errors
    /// [`DecodeError`] when the cached bytes are not a `K`; it names the key and the field.
    pub fn get(&self, key: &ObjectKey) -> Result<Option<Arc<K>>, DecodeError> {
        if let Some(object) = self.store.hot(key) {
            return Ok(Some(object));
        }
        self.store.copy(key).map(|packed| self.decode(packed.view(), Keep::Hot)).transpose()
    }

    /// Returns every object.
    ///
    /// # Errors
    /// As [`Lister::get`], for the first object that does not decode: a list with holes would look complete. Where the
    /// rest is wanted, go through [`Lister::keys`] and get one by one.
    pub fn list(&self) -> Result<Vec<Arc<K>>, DecodeError> {
        self.decode_all(self.store.select(|_| true))
    }

    /// Returns the objects whose labels match, decoding only those.
    ///
    /// # Errors
    /// As [`Lister::list`].
    pub fn matching(&self, selector: &Selector) -> Result<Vec<Arc<K>>, DecodeError> {
        let expressions: Vec<Expression> = selector.clone().into_iter().collect();
        let wanted = |labels: &Labels<'_>| expressions.iter().all(|expression| label_matches(expression, labels));
        self.decode_all(self.store.select(wanted))
    }

    /// Returns the objects of one namespace.
    ///
    /// # Errors
    /// As [`Lister::list`].
    pub fn namespaced(&self, namespace: &str) -> Result<Vec<Arc<K>>, DecodeError> {
        self.decode_all(self.store.by(BY_NAMESPACE, namespace))
    }

    /// Returns the objects that have `value` in `index`.
    ///
    /// # Errors
    /// As [`Lister::list`].
    ///
    /// # Panics
    /// When `index` was added to another informer than this lister reads: it says nothing about these objects.
    pub fn by(&self, index: &Index<K>, value: &str) -> Result<Vec<Arc<K>>, DecodeError> {
        self.decode_all(self.store.by(self.slot(index), value))
    }

    /// Returns the objects whose controller owner has this uid.
    ///
    /// # Errors
    /// As [`Lister::list`].
    pub fn controlled_by(&self, uid: &str) -> Result<Vec<Arc<K>>, DecodeError> {
        self.decode_all(self.store.by(BY_CONTROLLER, uid))
    }

    /// Returns the key of every object, in order, without decoding.
    pub fn keys(&self) -> Vec<ObjectKey> {
        sorted(self.store.keys())
    }

    /// Returns the keys of the objects that have `value` in `index`, in order, without decoding.
    ///
    /// # Panics
    /// As [`Lister::by`].
    pub fn keys_by(&self, index: &Index<K>, value: &str) -> Vec<ObjectKey> {
        sorted(self.store.keys_by(self.slot(index), value))
    }

    /// Returns the keys of the objects whose controller owner has this uid, in order, without decoding.
    pub(crate) fn keys_controlled_by(&self, uid: &str) -> Vec<ObjectKey> {
        sorted(self.store.keys_by(BY_CONTROLLER, uid))
    }

    /// Returns how many bytes the cache takes, by part.
    pub fn memory_usage(&self) -> MemoryUsage {
        self.store.memory_usage()
    }

    /// Returns the cached bytes and metadata, without decoding.
    pub(crate) fn raw(&self, key: &ObjectKey) -> Option<Arc<RawObject>> {
        self.store.get(key)
    }

    /// Returns the metadata of an object, without unpacking it, or `None` when the cache does not hold it.
    ///
    /// Enough to follow an owner reference: names are used again, and only the uid says whether it is still the same.
    pub fn metadata(&self, key: &ObjectKey) -> Option<Metadata> {
        self.store.copy(key).map(|packed| packed.view().metadata())
    }

    /// Returns how many objects are cached.
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Says whether none is cached.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn slot(&self, index: &Index<K>) -> usize {
        assert!(index.belongs_to(&self.store), "the index was added to another informer than this lister reads");
        index.slot
    }

    fn decode_all(&self, batch: Batch) -> Result<Vec<Arc<K>>, DecodeError> {
        // A scan must not push out what is read again and again.
        let keeps_all = self.store.options().storage == Storage::Decoded;
        let keep = if keeps_all || batch.len() <= MAX_KEPT { Keep::Hot } else { Keep::Not };
        let mut objects: Vec<_> = batch.iter().map(|object| (object.key_text(), object)).collect();
        objects.sort_unstable_by_key(|(key, _)| *key);
        let read = |(_, object): (&str, PackedRef<'_>)| match self.store.hot_at(&object) {
            Some(hot) => Ok(hot),
            None => self.decode(object, keep),
        };
        objects.into_iter().map(read).collect()
    }

    fn decode(&self, packed: PackedRef<'_>, keep: Keep) -> Result<Arc<K>, DecodeError> {
        let (object, size) = packed.with_json(|json| (decode_json::<K>(json, || packed.key()), json.len()));
        let object = Arc::new(object?);
        match keep {
            Keep::Hot => self.store.keep_hot(&packed, Arc::<K>::clone(&object), size),
            Keep::Not => {}
        }
        Ok(object)
    }
}

/// Whether a read object joins the hot set.
#[derive(Clone, Copy)]
enum Keep {
    Hot,
    Not,
}

/// Results of a query with more objects than this do not join the hot set.
const MAX_KEPT: usize = 32;

fn sorted(mut keys: Vec<ObjectKey>) -> Vec<ObjectKey> {
    keys.sort_unstable();
    keys
}

/// Says whether the labels satisfy one expression, as the API server would.
fn label_matches(expression: &Expression, labels: &Labels<'_>) -> bool {
    let value = |key: &str| labels.get(key);
    match expression {
        Expression::In(key, values) => value(key).is_some_and(|value| values.contains(value)),
        Expression::NotIn(key, values) => value(key).is_none_or(|value| !values.contains(value)),
        Expression::Equal(key, wanted) => value(key) == Some(wanted),
        Expression::NotEqual(key, unwanted) => value(key) != Some(unwanted),
        Expression::Exists(key) => value(key).is_some(),
        Expression::DoesNotExist(key) => value(key).is_none(),
    }
}

impl<K> Clone for Lister<K> {
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store), kind: PhantomData }
    }
}

impl<K> std::fmt::Debug for Lister<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lister").field(&self.store).finish()
    }
}

#[cfg(test)]
mod tests;
