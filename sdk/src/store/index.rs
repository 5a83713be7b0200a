//! Named sets of keys by value, kept with every write.
use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::resource::ObjectKey;
use crate::wire::Metadata;

use super::Store;
use super::decode::{DecodeError, Envelope};

/// A handle to an index of one informer of `K`: there is no way to query an index that does not exist.
pub struct Index<K> {
    pub(crate) slot: usize,
    store: Arc<Store>,
    kind: PhantomData<fn() -> K>,
}

impl<K> Index<K> {
    pub(crate) fn new(store: Arc<Store>, slot: usize) -> Self {
        Self { slot, store, kind: PhantomData }
    }

    /// Says whether the index belongs to `store`.
    pub(crate) fn belongs_to(&self, store: &Arc<Store>) -> bool {
        Arc::ptr_eq(&self.store, store)
    }
}

impl<K> Clone for Index<K> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.store), self.slot)
    }
}

impl<K> std::fmt::Debug for Index<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Index").field(&self.slot).finish()
    }
}

/// The built-in index of namespaces.
pub(crate) const BY_NAMESPACE: usize = 0;
/// The built-in index of the uid of the controlling owner.
pub(crate) const BY_CONTROLLER: usize = 1;
/// How many slots are built in; those that are added follow.
const BUILT_IN: usize = 2;

/// Calls its second argument once for each value of an object.
pub(crate) type Projection = Arc<dyn Fn(&Envelope, &mut dyn FnMut(&str)) -> Result<(), DecodeError> + Send + Sync>;

/// The values of one object in one index: sorted, each once.
pub(super) type Values = Box<[Arc<str>]>;

/// Why an object has no values in an index.
#[derive(Debug)]
pub(super) enum ProjectionFailure {
    /// The object is not of the type that the projection reads.
    Undecodable(DecodeError),
    /// The projection panicked.
    Panicked,
}

/// Runs `projection` on one object. Never called under a lock: it is the user's code.
pub(super) fn project(projection: &Projection, envelope: &Envelope) -> Result<Values, ProjectionFailure> {
    let mut values: Vec<Arc<str>> = Vec::new();
    catch_unwind(AssertUnwindSafe(|| projection(envelope, &mut |value| values.push(value.into()))))
        .map_err(|_| ProjectionFailure::Panicked)?
        .map_err(ProjectionFailure::Undecodable)?;
    values.sort_unstable();
    values.dedup();
    Ok(values.into_boxed_slice())
}

/// All indexes of one store. Values of the built-in ones are read from metadata, those of added ones are given.
pub(super) struct Indexes {
    projections: Arc<[Projection]>,
    slots: Vec<HashMap<Arc<str>, HashSet<ObjectKey>>>,
}

impl Indexes {
    pub(super) fn new() -> Self {
        Self { projections: Arc::new([]), slots: (0..BUILT_IN).map(|_| HashMap::new()).collect() }
    }

    /// Appends an empty index and returns its slot.
    pub(super) fn add(&mut self, projection: Projection) -> usize {
        self.projections = self.projections.iter().cloned().chain([projection]).collect();
        self.slots.push(HashMap::new());
        self.slots.len() - 1
    }

    /// Returns the projections of the added indexes, in order of their slots.
    pub(super) fn projections(&self) -> &Arc<[Projection]> {
        &self.projections
    }

    /// Returns the position among the added indexes of the index at `slot`.
    pub(super) fn position(slot: usize) -> usize {
        slot - BUILT_IN
    }

    /// Returns the keys that have `value` in the index at `slot`.
    pub(super) fn keys(&self, slot: usize, value: &str) -> Option<&HashSet<ObjectKey>> {
        self.slots.get(slot)?.get(value)
    }

    /// Moves the key of `new` (or of `old`) from the built-in values of `old` to those of `new`.
    pub(super) fn relink_built_in(&mut self, old: Option<&Metadata>, new: Option<&Metadata>) {
        let Some(key) = new.or(old).map(|metadata| &metadata.key) else { return };
        let namespaces = (old.and_then(|old| old.key.namespace()), new.and_then(|new| new.key.namespace()));
        let uids = (old.and_then(controller_uid), new.and_then(controller_uid));
        for (slot, (from, to)) in [(BY_NAMESPACE, namespaces), (BY_CONTROLLER, uids)] {
            if from == to {
                continue;
            }
            if let Some(value) = from {
                self.unlink(slot, value, key);
            }
            if let Some(value) = to {
                self.link(slot, value.into(), key);
            }
        }
    }

    /// Moves `key` from `old` to `new` values of the added index at `position`. Returns `new`, sharing known values.
    pub(super) fn relink(&mut self, position: usize, key: &ObjectKey, old: &[Arc<str>], new: Values) -> Values {
        let slot = BUILT_IN + position;
        for value in old.iter().filter(|value| new.binary_search(value).is_err()) {
            self.unlink(slot, value, key);
        }
        new.into_iter()
            .map(|value| match old.binary_search(&value) {
                Ok(known) => Arc::clone(&old[known]),
                Err(_) => self.link(slot, value, key),
            })
            .collect()
    }

    fn link(&mut self, slot: usize, value: Arc<str>, key: &ObjectKey) -> Arc<str> {
        let values = &mut self.slots[slot];
        // The table's own copy of a value is handed back, so that a thousand objects share one string.
        let value = values.get_key_value(&value).map_or(value, |(known, _)| Arc::clone(known));
        values.entry(Arc::clone(&value)).or_default().insert(key.clone());
        value
    }

    fn unlink(&mut self, slot: usize, value: &str, key: &ObjectKey) {
        let values = &mut self.slots[slot];
        let Some(keys) = values.get_mut(value) else { return };
        keys.remove(key);
        // Empty sets are removed: values of dead objects would pile up for ever (kubernetes#84959).
        if keys.is_empty() {
            values.remove(value);
        }
    }

    /// Returns how many values the index at `slot` holds.
    #[cfg(test)]
    pub(super) fn value_count(&self, slot: usize) -> usize {
        self.slots[slot].len()
    }
}

fn controller_uid(metadata: &Metadata) -> Option<&str> {
    metadata.controller().map(|owner| &*owner.uid)
}
