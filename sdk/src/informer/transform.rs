//! Changing objects before they are cached.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::Value;

use crate::resource::ObjectKey;
use crate::wire::{ManagedFields, Metadata, RawObject};

/// Changes objects before they are cached (client-go's `SetTransform`): for leaving out what nobody reads.
///
/// It is called exactly once for each object that arrives, whether by a list, by the initial events of a watch or by a
/// later one, and for the final state of a deleted one; never for what is cached already. Handlers, indexes and listers
/// see only what came out. managedFields are gone before, without any transform, unless the informer keeps them.
///
/// It may change everything but what the cache and controllers rely upon: the object must stay the same object of the
/// same version, with its generation, its deletion timestamp, its finalizers and its owners. An object whose transform
/// breaks that, or panics, is cached as it came, and reported.
///
/// The object is decoded to JSON values and encoded again, which costs many times what caching it does. A selector or
/// the metadata view keep more from the cache for less.
///
/// ```
/// use kubewright::informer::transform::Transform;
///
/// let without_payload = Transform::new(|object| {
///     if let Some(fields) = object.as_object_mut() {
///         fields.remove("data");
///         fields.remove("binaryData");
///     }
/// });
/// assert_eq!(without_payload, without_payload.clone());
/// ```
#[derive(Clone)]
pub struct Transform(Arc<dyn Fn(&mut Value) + Send + Sync>);

impl Transform {
    /// Changes objects by `change`, which gets each as the API server sent it. It runs on the task of the reflector: a slow
    /// one slows its watch down.
    pub fn new(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self(Arc::new(change))
    }

    /// Returns what is to be cached in place of `object`.
    pub(super) fn apply(&self, object: Arc<RawObject>) -> Arc<RawObject> {
        match self.changed(&object) {
            Ok(changed) => Arc::new(changed),
            Err(problem) => {
                report(object.key(), problem);
                object
            }
        }
    }

    fn changed(&self, object: &RawObject) -> Result<RawObject, &'static str> {
        let mut value = serde_json::from_slice(object.json()).map_err(|_| "the object is no JSON")?;
        catch_unwind(AssertUnwindSafe(|| (self.0)(&mut value))).map_err(|_| "the transform panicked")?;
        let json = serde_json::to_vec(&value).map_err(|_| "what came out cannot be written")?;
        // What is not to be kept has not come this far.
        let changed = RawObject::parse_with(&json, ManagedFields::Keep).map_err(|_| "what came out is no object")?;
        let same = is_same(object.metadata(), changed.metadata());
        same.then_some(changed).ok_or("the transform changed what makes the object this one")
    }
}

fn is_same(before: &Metadata, after: &Metadata) -> bool {
    (&before.key, &before.uid, &before.resource_version, before.generation, before.deleting)
        == (&after.key, &after.uid, &after.resource_version, after.generation, after.deleting)
        && before.finalizers == after.finalizers
        && before.owners == after.owners
}

/// Tells of an object that is cached as it came. Never its content.
fn report(key: &ObjectKey, problem: &str) {
    tracing::warn!(object = %key, "an object is cached as it came: {problem}");
}

impl PartialEq for Transform {
    /// Two are the same if one is a clone of the other: what functions do cannot be compared.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Transform {}

impl std::fmt::Debug for Transform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transform")
    }
}
