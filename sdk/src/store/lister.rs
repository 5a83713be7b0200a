//! Typed reads of a store. The only place where an object is decoded.
use std::marker::PhantomData;
use std::sync::Arc;

use crate::resource::{Kind, ObjectKey};
use crate::wire::RawObject;

use super::index::Index;

/// Reads cached objects of `K`: never a request, never a stale mix of two versions of one object.
pub struct Lister<K> {
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Lister<K> {
    /// Returns the object, or `None` when the cache does not hold it.
    ///
    /// # Errors
    /// [`DecodeError`] when the cached bytes are not a `K`; it names the key and the field.
    pub fn get(&self, key: &ObjectKey) -> Result<Option<Arc<K>>, DecodeError> {
        let _ = key;
        panic!("skeleton")
    }

    /// Returns every object.
    ///
    /// # Errors
    /// As [`Lister::get`].
    pub fn list(&self) -> Result<Vec<Arc<K>>, DecodeError> {
        panic!("skeleton")
    }

    /// Returns the objects of one namespace.
    ///
    /// # Errors
    /// As [`Lister::get`].
    pub fn namespaced(&self, namespace: &str) -> Result<Vec<Arc<K>>, DecodeError> {
        let _ = namespace;
        panic!("skeleton")
    }

    /// Returns the objects that have `value` in `index`.
    ///
    /// # Errors
    /// As [`Lister::get`].
    pub fn by(&self, index: &Index<K>, value: &str) -> Result<Vec<Arc<K>>, DecodeError> {
        let _ = (index, value);
        panic!("skeleton")
    }

    /// Returns the objects whose controller owner has this uid.
    ///
    /// # Errors
    /// As [`Lister::get`].
    pub fn controlled_by(&self, uid: &str) -> Result<Vec<Arc<K>>, DecodeError> {
        let _ = uid;
        panic!("skeleton")
    }

    /// Returns the keys of the objects whose controller owner has this uid, in order, without decoding.
    pub(crate) fn keys_controlled_by(&self, uid: &str) -> Vec<ObjectKey> {
        let _ = uid;
        panic!("skeleton")
    }

    /// Returns the cached bytes and metadata, without decoding.
    pub(crate) fn raw(&self, key: &ObjectKey) -> Option<Arc<RawObject>> {
        let _ = key;
        panic!("skeleton")
    }

    /// Returns how many objects are cached.
    pub fn len(&self) -> usize {
        panic!("skeleton")
    }

    /// Says whether none is cached.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K> Clone for Lister<K> {
    fn clone(&self) -> Self {
        Self { kind: PhantomData }
    }
}

impl<K> std::fmt::Debug for Lister<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lister")
    }
}

/// A cached object is not what its Rust type says.
#[derive(Debug, thiserror::Error)]
#[error("{kind} {key} does not decode at `{path}`")]
pub struct DecodeError {
    /// Kind of the object.
    pub kind: String,
    /// Its key.
    pub key: ObjectKey,
    /// Path of the field that does not fit.
    pub path: String,
    /// What is wrong with it.
    #[source]
    pub source: serde_json::Error,
}
