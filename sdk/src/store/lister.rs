//! Typed reads of a store. The only place where an object is decoded.
use std::marker::PhantomData;
use std::sync::Arc;

use kube::core::{Expression, Selector};

use crate::resource::{Kind, ObjectKey};
use crate::wire::{Metadata, RawObject};

use super::Store;
use super::decode::decode;
use super::index::{BY_CONTROLLER, BY_NAMESPACE, Index};

pub use super::decode::DecodeError;

/// Reads cached objects of `K`: never a request, never a stale mix of two versions of one object.
///
/// Lists are ordered by key. Each is of one instant: an object is listed under a namespace, owner or index value
/// exactly when the listed state has it. Objects are decoded on read and belong to the caller.
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
        self.raw(key).map(|object| decode(&object).map(Arc::new)).transpose()
    }

    /// Returns every object.
    ///
    /// # Errors
    /// As [`Lister::get`], for the first object that does not decode: a list with holes would look complete. Where the
    /// rest is wanted, go through [`Lister::keys`] and get one by one.
    pub fn list(&self) -> Result<Vec<Arc<K>>, DecodeError> {
        decode_all(self.store.select(|_| true))
    }

    /// Returns the objects whose labels match, decoding only those.
    ///
    /// # Errors
    /// As [`Lister::list`].
    pub fn matching(&self, selector: &Selector) -> Result<Vec<Arc<K>>, DecodeError> {
        let expressions: Vec<Expression> = selector.clone().into_iter().collect();
        decode_all(
            self.store
                .select(|object| expressions.iter().all(|expression| label_matches(expression, object.metadata()))),
        )
    }

    /// Returns the objects of one namespace.
    ///
    /// # Errors
    /// As [`Lister::list`].
    pub fn namespaced(&self, namespace: &str) -> Result<Vec<Arc<K>>, DecodeError> {
        decode_all(self.store.by(BY_NAMESPACE, namespace))
    }

    /// Returns the objects that have `value` in `index`.
    ///
    /// # Errors
    /// As [`Lister::list`].
    ///
    /// # Panics
    /// When `index` was added to another informer than this lister reads: it says nothing about these objects.
    pub fn by(&self, index: &Index<K>, value: &str) -> Result<Vec<Arc<K>>, DecodeError> {
        decode_all(self.store.by(self.slot(index), value))
    }

    /// Returns the objects whose controller owner has this uid.
    ///
    /// # Errors
    /// As [`Lister::list`].
    pub fn controlled_by(&self, uid: &str) -> Result<Vec<Arc<K>>, DecodeError> {
        decode_all(self.store.by(BY_CONTROLLER, uid))
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
        let _ = uid;
        panic!("skeleton")
    }

    /// Returns the cached bytes and metadata, without decoding.
    pub(crate) fn raw(&self, key: &ObjectKey) -> Option<Arc<RawObject>> {
        self.store.get(key)
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
}

fn decode_all<K: Kind>(mut objects: Vec<Arc<RawObject>>) -> Result<Vec<Arc<K>>, DecodeError> {
    objects.sort_unstable_by(|left, right| left.metadata().key.cmp(&right.metadata().key));
    objects.iter().map(|object| decode(object).map(Arc::new)).collect()
}

fn sorted(mut keys: Vec<ObjectKey>) -> Vec<ObjectKey> {
    keys.sort_unstable();
    keys
}

/// Says whether the labels satisfy one expression, as the API server would.
fn label_matches(expression: &Expression, metadata: &Metadata) -> bool {
    let value = |key: &str| {
        let found = metadata.labels.binary_search_by(|(label, _)| (**label).cmp(key));
        found.ok().map(|position| &*metadata.labels[position].1)
    };
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
