//! A read of many objects, put together before it is made.
use std::any::Any;
use std::sync::Arc;

use kube::core::Selector;

use crate::resource::ObjectKey;
use crate::wire::Metadata;

use super::condition::{Condition, Is};
use super::index::{Index, Projection};
use super::lister::{DecodeError, Keep, Lister};
use super::packed::Batch;
use super::selector::{SelectorError, parse_fields, parse_labels};
use super::walk::{Walk, Walked};

/// Which objects of a cache are read. Made by [`Lister::query`], ended by one of the methods that read.
///
/// Everything that it asks is answered from metadata and indexes, before an object is unpacked. Where an index knows the
/// answer, nothing else is looked at: namespaces, values of added indexes, and `=`, `in` and "has it" on labels that were
/// given an index. What is not asked through an index is asked of each object that is looked at.
///
/// Up to 256 objects are of one instant. More are read in slices between which the cache goes on: an object that satisfies
/// the query all the while is read exactly once, one that comes, goes or changes meanwhile in any state that it had.
#[derive(Clone, Debug)]
#[must_use = "a query does nothing before it is read"]
pub struct Query<T> {
    lister: Lister<T>,
    conditions: Vec<Condition>,
    limit: usize,
}

impl<T: Any + Send + Sync> Query<T> {
    pub(super) fn new(lister: Lister<T>) -> Self {
        Self { lister, conditions: Vec::new(), limit: usize::MAX }
    }

    /// Reads one namespace only.
    pub fn namespace(self, namespace: &str) -> Self {
        self.condition(Condition::Namespace(Is::Equal, namespace.into()))
    }

    /// Reads objects only that have `value` in `index`.
    ///
    /// # Panics
    /// When `index` was added to another informer: it says nothing about these objects.
    pub fn by<I>(self, index: &Index<I>, value: &str) -> Self {
        let slot = self.lister.slot(index);
        self.condition(Condition::Value(Is::Equal, slot, value.into()))
    }

    /// Reads objects only whose controller owner has this uid.
    pub fn controlled_by(self, uid: &str) -> Self {
        self.condition(Condition::Value(Is::Equal, super::index::BY_CONTROLLER, uid.into()))
    }

    /// Reads objects only whose labels match a selector as `kubectl -l` takes it.
    ///
    /// # Errors
    /// [`SelectorError::Malformed`].
    pub fn labels(self, selector: &str) -> Result<Self, SelectorError> {
        Ok(self.matching(parse_labels(selector)?))
    }

    /// Reads objects only whose labels match.
    pub fn matching(mut self, selector: Selector) -> Self {
        self.conditions.extend(selector.into_iter().map(Condition::Label));
        self
    }

    /// Reads objects only that match a field selector as `kubectl --field-selector` takes it: on `metadata.name`,
    /// `metadata.namespace`, and the fields that were given an index.
    ///
    /// A field that an object does not have is the empty text, as for the API server.
    ///
    /// # Errors
    /// [`SelectorError`] names a part that is malformed, or a field without an index.
    pub fn fields(mut self, selector: &str) -> Result<Self, SelectorError> {
        for (field, is, value) in parse_fields(selector)? {
            let value = value.into();
            self.conditions.push(match &*field {
                "metadata.name" => Condition::Name(is, value),
                "metadata.namespace" => Condition::Namespace(is, value),
                _ => match self.lister.store.slot_of(&Projection::Field(field.as_str().into())) {
                    Some(slot) => Condition::Value(is, slot, value),
                    None => return Err(SelectorError::UndeclaredField { field }),
                },
            });
        }
        Ok(self)
    }

    /// Reads at most so many objects; which ones is not said.
    pub fn limit(mut self, objects: usize) -> Self {
        self.limit = objects;
        self
    }

    /// Returns the objects, ordered by key.
    ///
    /// # Errors
    /// As [`Lister::list`].
    pub fn list(self) -> Result<Vec<Arc<T>>, DecodeError> {
        let Self { lister, conditions, limit } = self;
        let mut walk = Walk::new(conditions, limit);
        let mut objects = Vec::new();
        let mut walked = Walked::Slice;
        while walked == Walked::Slice {
            let (batch, ended) = walk.batch(&lister.store);
            walked = ended;
            let whole = walked == Walked::All && objects.is_empty();
            let keep = lister.keeps(if whole { batch.len() } else { usize::MAX });
            objects.reserve(batch.len());
            for object in batch.iter() {
                objects.push((Box::<str>::from(object.key_text()), lister.read(object, keep)?));
            }
        }
        objects.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(objects.into_iter().map(|(_, object)| object).collect())
    }

    /// Returns the keys, in order, without decoding.
    pub fn keys(self) -> Vec<ObjectKey> {
        let mut keys = self.unordered_keys();
        keys.sort_unstable();
        keys
    }

    pub(super) fn unordered_keys(self) -> Vec<ObjectKey> {
        self.lister.store.keys_of(Walk::new(self.conditions, self.limit))
    }

    /// Returns the metadata of the objects, ordered by key, without unpacking the rest.
    pub fn metadata(self) -> Vec<Metadata> {
        let mut walk = Walk::new(self.conditions, self.limit);
        let (mut found, mut walked) = (Vec::new(), Walked::Slice);
        while walked == Walked::Slice {
            let (batch, ended) = walk.batch(&self.lister.store);
            walked = ended;
            found.extend(batch.iter().map(|object| object.metadata()));
        }
        found.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        found
    }

    /// Returns how many objects there are.
    pub fn count(self) -> usize {
        let mut walk = Walk::new(self.conditions, self.limit);
        let mut count = 0;
        while walk.slice(&self.lister.store, |_, _| count += 1) == Walked::Slice {}
        count
    }

    /// Reads one object after the other, in no order, and keeps none of them: for caches that are larger decoded than
    /// memory is.
    ///
    /// An object that does not decode is an error in its place, and the rest follows.
    pub fn iter(self) -> Iter<T> {
        let walk = Walk::new(self.conditions, self.limit);
        Iter { lister: self.lister, walk, walked: Walked::Slice, batch: Batch::default(), at: 0 }
    }

    fn condition(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }
}

impl<T: Any + Send + Sync> IntoIterator for Query<T> {
    type Item = Result<Arc<T>, DecodeError>;
    type IntoIter = Iter<T>;
    fn into_iter(self) -> Iter<T> {
        self.iter()
    }
}

/// The objects of a [`Query`], decoded when they are asked for. What it holds is 256 packed objects at most.
pub struct Iter<T> {
    lister: Lister<T>,
    walk: Walk,
    walked: Walked,
    batch: Batch,
    at: usize,
}

impl<T: Any + Send + Sync> Iterator for Iter<T> {
    type Item = Result<Arc<T>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at == self.batch.len() {
            if self.walked == Walked::All {
                return None;
            }
            (self.batch, self.walked) = self.walk.batch(&self.lister.store);
            self.at = 0;
        }
        let object = self.batch.object(self.at);
        self.at += 1;
        Some(self.lister.read(object, Keep::Not))
    }
}

impl<T> std::fmt::Debug for Iter<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Iter").field("lister", &self.lister).field("walked", &self.walked).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
