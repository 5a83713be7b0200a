//! Splits list and watch bodies into objects: finds metadata, cuts managedFields, never decodes a spec.
use std::ops::Range;

use bytes::Bytes;

use crate::resource::{ObjectKey, OwnerReference, ResourceVersion};

mod event;

mod field;

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;

mod lines;

mod list;

mod object;

mod outline;

mod plain;

mod scan;

#[cfg(test)]
mod tests;

pub(crate) use event::{Event, EventType};
pub(crate) use field::field_values;
pub(crate) use lines::LineSplitter;
pub(crate) use list::ListSplitter;
pub(crate) use object::Scanned;
use outline::Outline;

/// Largest object accepted. etcd refuses writes above 1.5 MiB and the API server bodies above 3 MiB unless told
/// otherwise; as JSON, what is stored as protobuf grows a few times.
pub(crate) const MAX_OBJECT_BYTES: usize = 16 * 1024 * 1024;

/// What becomes of `metadata.managedFields`, which take about a third of most objects and which few programs read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ManagedFields {
    /// Not asked for where the API server can leave them out, and cut where it sends them nevertheless.
    #[default]
    Drop,
    /// Asked for and kept.
    Keep,
}

/// One object as the API server sent it, without managedFields unless they are kept, and the metadata every layer looks at.
///
/// Never decoded here: typed values exist only behind a lister or a handle.
#[derive(Clone, Debug)]
pub struct RawObject {
    metadata: Metadata,
    json: Bytes,
    /// Where in it the value of its `metadata` stands.
    place: Range<usize>,
    /// Empty where nobody has looked for it.
    outline: Outline,
}

impl RawObject {
    /// Parses one object: its type and its metadata, and nothing else.
    ///
    /// The whole of `json` is checked to be JSON, at most 16 MiB and 1,024 levels deep. What is kept is byte for byte what
    /// came, without `metadata.managedFields` and one comma, in memory of its own.
    ///
    /// # Errors
    /// [`Error::Malformed`] when `json` is not one JSON object, [`Error::Unusable`] when its metadata has no name or a
    /// field of another type than the API says, [`Error::TooLarge`] above the bound.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        Self::parse_with(json, ManagedFields::Drop)
    }

    /// Parses one object as [`RawObject::parse`] does.
    pub(crate) fn parse_with(json: &[u8], managed_fields: ManagedFields) -> Result<Self, Error> {
        Scanned::parse(json)?.into_object(managed_fields)
    }

    /// Puts together what [`RawObject::parse`] took apart: `metadata` must be what stands in `json`.
    pub(crate) fn from_parts(metadata: Metadata, json: Vec<u8>) -> Self {
        // Anywhere, as nobody has looked for it again.
        let place = 0..json.len();
        Self { metadata, json: Bytes::from(json), place, outline: Outline::default() }
    }

    /// Returns the object with nothing but its type and its metadata; `None` when there is nothing else.
    pub(crate) fn to_metadata(&self) -> Option<Self> {
        let json = object::metadata_json(&self.json)?;
        Some(Self::from_parts(self.metadata.clone(), json))
    }

    /// Returns the parsed metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Returns the whole object as JSON, without managedFields unless they are kept.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// Returns a part of the JSON in which the value of `metadata` stands.
    pub(crate) fn metadata_place(&self) -> Range<usize> {
        self.place.clone()
    }

    /// Calls `visit` for each scalar at `path`, as [`field_values`] does.
    pub(crate) fn field_values(&self, path: &str, visit: &mut dyn FnMut(&str)) {
        if self.outline.is_empty() {
            field::field_values(&self.json, path, visit);
        } else {
            field::outlined_values(&self.json, &self.outline, path, visit);
        }
    }

    /// Returns about how many bytes of memory it takes.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.json.len() + self.metadata.heap() + self.outline.heap()
    }
}

/// The part of `metadata` that keys, handlers, owner mapping and selectors need.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// Namespace and name.
    pub key: ObjectKey,
    /// `metadata.uid`.
    pub uid: Box<str>,
    /// `metadata.resourceVersion`.
    pub resource_version: ResourceVersion,
    /// `metadata.generation`, where the kind has one.
    pub generation: Option<i64>,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// `metadata.labels`, sorted by key.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// `metadata.finalizers`.
    pub finalizers: Vec<Box<str>>,
    /// `metadata.ownerReferences`.
    pub owners: Vec<OwnerReference>,
}

impl Metadata {
    /// Returns the owner that manages the object, if any.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owners.iter().find(|owner| owner.controller)
    }

    fn heap(&self) -> usize {
        let labels: usize = self.labels.iter().map(|(key, value)| 32 + key.len() + value.len()).sum();
        let finalizers: usize = self.finalizers.iter().map(|finalizer| 16 + finalizer.len()).sum();
        let owner = |owner: &OwnerReference| owner.group.len() + owner.kind.len() + owner.name.len() + owner.uid.len();
        let owners: usize = self.owners.iter().map(|of| size_of::<OwnerReference>() + owner(of)).sum();
        self.key.as_str().len() + self.uid.len() + labels + finalizers + owners
    }
}

/// Why bytes from the wire were refused. Never quotes them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not JSON of the expected form.
    #[error("the API server sent malformed JSON: {problem} at byte {at}")]
    Malformed {
        /// What is wrong.
        problem: &'static str,
        /// Where, counted from the start of the object.
        at: usize,
    },
    /// The bytes are JSON, and a field is not what the API says.
    #[error("the API server sent an object whose `{field}` is missing or of the wrong type")]
    Unusable {
        /// Path of the field.
        field: &'static str,
    },
    /// An object, or a part of a list, is larger than anything an API server should send.
    #[error("the API server sent an object of more than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// A list ended before it was complete.
    #[error("the API server's answer ends before the list does")]
    Truncated,
    /// The answer is no list.
    #[error("the API server answered with something that is no list")]
    NotAList,
    /// The answer is a `meta.k8s.io` Table: a rendering for people, which holds no objects.
    #[error("the API server answered with a Table, which holds no objects: does a proxy change the Accept header?")]
    Table,
}
