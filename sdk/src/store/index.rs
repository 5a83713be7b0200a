//! What an index is to its users: a handle and a projection. `chains` holds what is in it.
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::wire::head;
use crate::wire::text::Text;

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
pub(super) const BUILT_IN: usize = 2;

/// Where the values of an index come from.
#[derive(Clone)]
pub(crate) enum Projection {
    /// A function that calls its second argument once for each value of an object.
    Function(Arc<Function>),
    /// The value of a label.
    Label(Arc<str>),
    /// The scalars at a path in the object; one without any has the empty value, as in the API server's field selectors.
    Field(Arc<str>),
}

/// See [`Projection::Function`].
pub(crate) type Function = dyn Fn(&Envelope, &mut dyn FnMut(&str)) -> Result<(), DecodeError> + Send + Sync;

impl Projection {
    /// Makes one of a function.
    pub(crate) fn new(
        function: impl Fn(&Envelope, &mut dyn FnMut(&str)) -> Result<(), DecodeError> + Send + Sync + 'static,
    ) -> Self {
        Self::Function(Arc::new(function))
    }

    /// Says whether another one finds the same for certain.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Label(one), Self::Label(other)) | (Self::Field(one), Self::Field(other)) => one == other,
            _ => false,
        }
    }

    pub(super) fn values(&self, envelope: &Envelope, out: &mut dyn FnMut(&str)) -> Result<(), DecodeError> {
        match self {
            Self::Function(function) => function(envelope, out)?,
            Self::Label(label) => {
                let labels = head::labels(envelope.head()).filter(|(key, _)| *key == label.as_bytes());
                labels.filter_map(|(_, value)| std::str::from_utf8(value).ok()).for_each(out);
            }
            Self::Field(path) => {
                let mut found = false;
                let mut visit = |value: &str| {
                    found = true;
                    out(value);
                };
                envelope.field_values(path, &mut visit);
                if !found {
                    out("");
                }
            }
        }
        Ok(())
    }
}

/// The values of one object in one index: sorted, each once.
pub(super) type Values = Vec<Text>;

/// Why an object has no values in an index.
#[derive(Debug)]
pub(super) enum ProjectionFailure {
    /// The object is not of the type that the projection reads.
    Undecodable(DecodeError),
    /// The projection panicked.
    Panicked,
}

/// Runs `projection` on one object. Never called under a lock: it is the user's code.
///
/// There are none in `values` before, nor where it fails.
pub(super) fn project(
    projection: &Projection,
    envelope: &Envelope,
    values: &mut Values,
) -> Result<(), ProjectionFailure> {
    let found =
        catch_unwind(AssertUnwindSafe(|| projection.values(envelope, &mut |value| values.push(Text::of(value)))))
            .map_err(|_| ProjectionFailure::Panicked)
            .and_then(|found| found.map_err(ProjectionFailure::Undecodable));
    if found.is_err() {
        values.clear();
    }
    values.sort_unstable();
    values.dedup();
    found
}
