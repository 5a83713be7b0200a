//! Reads of a store, typed and otherwise. The only place where an object is decoded for a reader.
use std::any::Any;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{DynamicObject, PartialObjectMeta, Selector};
use serde::de::DeserializeOwned;

use crate::resource::{Kind, ObjectKey, ResourceType};
use crate::wire::text::Text;
use crate::wire::{CompactMetadata, Metadata, RawObject, head};

use super::decode::{decode_as, decode_json, weigh_as};
use super::index::{BY_CONTROLLER, Index};
use super::packed::PackedRef;
use super::weight::Weight;
use super::{Storage, Store};

pub use super::decode::DecodeError;
pub use super::memory::MemoryUsage;
pub use super::query::{Iter, Query};

/// Reads cached objects as a `T`: never a request, never a stale mix of two versions of one object.
///
/// A lister of a kind is typed. [`Lister::partial`], [`Lister::dynamic`] and [`Lister::json`] read the same objects in other
/// forms; there is one cache and one watch behind all of them.
///
/// Lists are ordered by key. An object is listed under a namespace, owner or index value exactly when the listed state of
/// it has that. Up to 256 objects are of one instant; how more are read is said at [`Query`].
///
/// Objects are stored packed and decoded on read. Those that were read by key, or by a query with at most 32 results, are
/// kept decoded as long as they do not change: at most 8 MiB of them, of which those that are read again stay longest. What
/// they take is measured on some of each type, to within a fifth. Once that is full, what is read again soon joins, and what is read once pushes nothing out. Reading one of them is a lookup, and all its readers share one value. An object is kept in the form in which
/// it was read last. See [`Storage`] for other ways.
///
/// A lister keeps its informer running, as every holder of it does.
pub struct Lister<T> {
    pub(super) store: Arc<Store>,
    decode: Decode<T>,
    weigh: Weigh,
    /// What a `T` takes, as far as is known.
    weight: Arc<Weight>,
    /// What the objects are, where `T` does not say.
    resource: Option<Arc<ResourceType>>,
    /// What keeps the store current.
    keeps: Option<Arc<dyn Any + Send + Sync>>,
}

/// Makes an object of its JSON.
type Decode<T> = fn(&[u8], Option<&ResourceType>, &dyn Fn() -> ObjectKey) -> Result<T, DecodeError>;

/// Returns what an object takes outside of itself that is made of that JSON.
type Weigh = fn(&[u8]) -> usize;

impl<K: Kind> Lister<K> {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        let weight = store.weights.of::<K>();
        let weigh: Weigh = |json| weigh_as::<K>(json, &K::api_version(&()), &K::kind(&()));
        Self { store, decode: |json, _, key| decode_json(json, key), weigh, weight, resource: None, keeps: None }
    }

    /// Holds what keeps the store current, as long as it is read.
    pub(crate) fn keeping(self, keeps: Arc<dyn Any + Send + Sync>) -> Self {
        Self { keeps: Some(keeps), ..self }
    }

    /// Returns a view of nothing but the metadata of the same objects: for those who need no more, decoded in a fraction
    /// of the time.
    pub fn partial(&self) -> Lister<PartialObjectMeta<K>> {
        // Its own way goes through a buffer of everything else.
        let weigh: Weigh = |json| weigh_as::<MetadataOnly>(json, "", "");
        Lister { keeps: self.keeps.clone(), weigh, ..Lister::new(Arc::clone(&self.store)) }
    }

    /// Returns a view of the same objects with their fields by name.
    pub fn dynamic(&self) -> Lister<DynamicObject> {
        Lister { keeps: self.keeps.clone(), ..Lister::untyped(Arc::clone(&self.store), ResourceType::of::<K>()) }
    }

    /// Returns a view of the same objects as plain JSON, `apiVersion` and `kind` included.
    pub fn json(&self) -> Lister<serde_json::Value> {
        Lister { keeps: self.keeps.clone(), ..Lister::untyped(Arc::clone(&self.store), ResourceType::of::<K>()) }
    }
}

impl<T: DeserializeOwned + Any + Send + Sync> Lister<T> {
    /// Reads the objects of a store as a `T` that does not know their kind.
    pub(crate) fn untyped(store: Arc<Store>, resource: ResourceType) -> Self {
        let decode: Decode<T> = |json, resource, key| {
            let (api_version, kind) = match resource {
                Some(resource) => (resource.api_version(), resource.kind.as_str()),
                None => Default::default(),
            };
            decode_as(json, &api_version, kind, key)
        };
        // Fields by name take about the same in whatever they are kept.
        let weigh: Weigh = |json| weigh_as::<serde_json::Value>(json, "", "");
        let weight = store.weights.of::<T>();
        Self { store, decode, weigh, weight, resource: Some(Arc::new(resource)), keeps: None }
    }
}

impl<T: Any + Send + Sync> Lister<T> {
    /// Returns the object, or `None` when the cache does not hold it.
    ///
    /// # Errors
    /// [`DecodeError`] when the cached bytes are not a `T`; it names the key and the field.
    pub fn get(&self, key: &ObjectKey) -> Result<Option<Arc<T>>, DecodeError> {
        if let Some(object) = self.store.hot(key) {
            return Ok(Some(object));
        }
        self.store.copy(key).map(|packed| self.decode(packed.view(), Keep::Hot)).transpose()
    }

    /// Begins a read of many objects: by namespace, labels, fields, index, or any of them together.
    ///
    /// ```
    /// # use kubewright::{Lister, k8s_openapi::api::core::v1::Pod};
    /// # fn read(pods: &Lister<Pod>) -> Result<(), Box<dyn std::error::Error>> {
    /// let web = pods.query().namespace("shop").labels("app in (web, api), !legacy")?.list()?;
    /// for pod in pods.query().iter() {
    ///     let pod = pod?; // decoded now, gone after this turn
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn query(&self) -> Query<T> {
        Query::new(self.clone())
    }

    /// Returns every object.
    ///
    /// # Errors
    /// As [`Lister::get`], for one object that does not decode: a list with holes would look complete. Where the rest is
    /// wanted, [`Query::iter`] goes on.
    pub fn list(&self) -> Result<Vec<Arc<T>>, DecodeError> {
        self.query().list()
    }

    /// Returns the objects whose labels match, decoding only those.
    ///
    /// # Errors
    /// As [`Lister::list`].
    pub fn matching(&self, selector: &Selector) -> Result<Vec<Arc<T>>, DecodeError> {
        self.query().matching(selector.clone()).list()
    }

    /// Returns the objects of one namespace.
    ///
    /// # Errors
    /// As [`Lister::list`].
    pub fn namespaced(&self, namespace: &str) -> Result<Vec<Arc<T>>, DecodeError> {
        self.query().namespace(namespace).list()
    }

    /// Returns the objects that have `value` in `index`.
    ///
    /// # Errors
    /// As [`Lister::list`].
    ///
    /// # Panics
    /// When `index` was added to another informer than this lister reads: it says nothing about these objects.
    pub fn by<I>(&self, index: &Index<I>, value: &str) -> Result<Vec<Arc<T>>, DecodeError> {
        self.query().by(index, value).list()
    }

    /// Returns the objects whose controller owner has this uid.
    ///
    /// # Errors
    /// As [`Lister::list`].
    pub fn controlled_by(&self, uid: &str) -> Result<Vec<Arc<T>>, DecodeError> {
        self.query().controlled_by(uid).list()
    }

    /// Returns the key of every object, in order, without decoding.
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.query().keys()
    }

    /// Returns the keys of the objects that have `value` in `index`, in order, without decoding.
    ///
    /// # Panics
    /// As [`Lister::by`].
    pub fn keys_by<I>(&self, index: &Index<I>, value: &str) -> Vec<ObjectKey> {
        self.query().by(index, value).keys()
    }

    /// Returns the keys of the objects whose controller owner has this uid, in order, without decoding.
    pub(crate) fn keys_controlled_by(&self, uid: &str) -> Vec<ObjectKey> {
        let mut keys = self.store.keys_by(BY_CONTROLLER, uid);
        keys.sort_unstable();
        keys
    }

    /// Returns the values that objects have in `index`, in order, each with how many have it.
    ///
    /// # Panics
    /// As [`Lister::by`].
    pub fn values<I>(&self, index: &Index<I>) -> Vec<(String, usize)> {
        let mut values = self.store.values(self.slot(index));
        values.sort_unstable();
        values
    }

    /// Returns how many objects have `value` in `index`, without looking at any of them.
    ///
    /// # Panics
    /// As [`Lister::by`].
    pub fn count_by<I>(&self, index: &Index<I>, value: &str) -> usize {
        self.store.read().count(self.slot(index), Text::of(value).view())
    }

    /// Returns the metadata of an object, without unpacking the rest, or `None` when the cache does not hold it.
    ///
    /// Enough to follow an owner reference: names are used again, and only the uid says whether it is still the same.
    pub fn metadata(&self, key: &ObjectKey) -> Option<Metadata> {
        self.store.head(key).map(|head| head::metadata_of(&head, key.clone()))
    }

    /// Returns the metadata of an object as it is cached, or `None` when the cache does not hold it: for those who look at a
    /// version, a uid or a label, at a fraction of what [`Lister::metadata`] costs.
    pub fn compact_metadata(&self, key: &ObjectKey) -> Option<CompactMetadata> {
        self.store.head(key).map(CompactMetadata::new)
    }

    /// Returns how many bytes the cache takes, by part.
    pub fn memory_usage(&self) -> MemoryUsage {
        self.store.memory_usage()
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

    pub(super) fn slot<I>(&self, index: &Index<I>) -> usize {
        assert!(index.belongs_to(&self.store), "the index was added to another informer than this lister reads");
        index.slot
    }

    /// Says whether the objects of a query with so many results join the hot set.
    pub(super) fn keeps(&self, results: usize) -> Keep {
        let all = self.store.options().storage == Storage::Decoded;
        // A scan must not push out what is read again and again.
        if all || results <= MAX_KEPT { Keep::Hot } else { Keep::Not }
    }

    /// Returns an object that was copied out, decoded.
    pub(super) fn read(&self, packed: PackedRef<'_>, keep: Keep) -> Result<Arc<T>, DecodeError> {
        match self.store.hot_at(&packed) {
            Some(hot) => Ok(hot),
            None => self.decode(packed, keep),
        }
    }

    fn decode(&self, packed: PackedRef<'_>, keep: Keep) -> Result<Arc<T>, DecodeError> {
        let key = || packed.key();
        // Into its `Arc` at once: an object may be some kilobytes, and each further hand costs a copy.
        let decode = |json: &[u8]| (self.decode)(json, self.resource.as_deref(), &key).map(Arc::new);
        let weigh = |json: &[u8]| self.weight.estimate::<T>(json.len(), || (self.weigh)(json));
        match keep {
            Keep::Not => packed.with_json(decode),
            Keep::Hot => {
                let (object, bytes) = packed.with_json(|json| Ok::<_, DecodeError>((decode(json)?, weigh(json))))?;
                self.store.keep_hot(&packed, Arc::<T>::clone(&object), bytes);
                Ok(object)
            }
        }
    }
}

/// What is kept of an object that is read for its metadata.
#[derive(serde::Deserialize)]
struct MetadataOnly {
    #[serde(rename = "metadata")]
    _metadata: ObjectMeta,
}

/// Whether a read object joins the hot set.
#[derive(Clone, Copy)]
pub(super) enum Keep {
    Hot,
    Not,
}

/// Results of a query with more objects than this do not join the hot set.
const MAX_KEPT: usize = 32;

impl<T> Clone for Lister<T> {
    fn clone(&self) -> Self {
        let Self { store, decode, weigh, weight, resource, keeps } = self;
        let (store, weight) = (Arc::clone(store), Arc::clone(weight));
        Self { store, decode: *decode, weigh: *weigh, weight, resource: resource.clone(), keeps: keeps.clone() }
    }
}

impl<T> std::fmt::Debug for Lister<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lister").field(&self.store).finish()
    }
}

#[cfg(test)]
mod tests;
