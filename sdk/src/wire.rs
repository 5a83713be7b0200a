//! Splits list and watch bodies into objects: finds metadata, cuts managedFields, never decodes a spec.
use std::ops::Range;
use std::sync::OnceLock;

use bytes::Bytes;

use crate::resource::{ObjectKey, OwnerReference, ResourceVersion};

mod brief;

mod buffers;

pub(crate) mod compact;

mod event;

mod field;

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;

pub(crate) mod head;

mod kin;

mod lines;

mod list;

mod marks;

mod model;

mod models;

mod object;

mod outline;

mod plain;

pub(crate) mod protobuf;

mod scan;

pub(crate) mod text;

#[cfg(test)]
mod tests;

pub use brief::CompactMetadata;
pub(crate) use buffers::Buffers;
pub(crate) use event::{Event, EventType};
pub(crate) use field::field_values;
pub(crate) use kin::Kin;
pub(crate) use lines::LineSplitter;
pub(crate) use list::{ListHead, ListSplitter};
pub(crate) use marks::PARTS;
pub(crate) use model::common;
pub(crate) use models::Models;
pub(crate) use object::Scanned;
use outline::OutlineView;

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
/// Never decoded here: typed values exist only behind a lister or a handle. What a reflector makes shares memory with what
/// arrived beside it, up to 32 KiB.
#[derive(Clone)]
pub struct RawObject {
    /// The head, the JSON, where in it parts stand that the head says, too, and the outline. The last two are empty where
    /// nobody has made them.
    bytes: Bytes,
    /// Where the JSON begins, where it ends, and where the outline begins. Short, as is all of this: one is made for each
    /// event, and freed by another thread.
    json: u32,
    marks: u32,
    outline: u32,
    /// What the head says, for who looks.
    key: OnceLock<ObjectKey>,
    metadata: OnceLock<Box<Metadata>>,
}

impl RawObject {
    /// Parses one object: its type and its metadata, and nothing else.
    ///
    /// The whole of `json` is checked to be JSON, at most 16 MiB and 10,000 levels deep. What is kept is byte for byte what
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
        Scanned::parse(json)?.to_object(managed_fields, &mut Buffers::exact())
    }

    /// Puts together what was taken apart: `head` must be that of `json`, which was parsed before.
    pub(crate) fn from_parts(head: &[u8], json: &[u8]) -> Self {
        // Nobody has looked for marks and outline again.
        Self::of(Bytes::from([head, json].concat()), head.len(), json.len(), 0)
    }

    /// Makes one of its bytes, of which head, JSON and marks take so many. No object has more than 32 bits can say.
    fn of(bytes: Bytes, head: usize, json: usize, marks: usize) -> Self {
        let (json, marks) = (head + json, head + json + marks);
        let (key, metadata) = (OnceLock::new(), OnceLock::new());
        Self { bytes, json: head as u32, marks: json as u32, outline: marks as u32, key, metadata }
    }

    /// Returns the object with nothing but its type and its metadata; `None` when there is nothing else.
    pub(crate) fn to_metadata(&self) -> Option<Self> {
        let json = object::metadata_json(self.json())?;
        // It was parsed before.
        Self::parse_with(&json, ManagedFields::Keep).ok()
    }

    /// Returns namespace and name.
    pub fn key(&self) -> &ObjectKey {
        self.key.get_or_init(|| ObjectKey::from_text(self.key_text()))
    }

    /// Returns the key if somebody asked for it before.
    pub(crate) fn known_key(&self) -> OnceLock<ObjectKey> {
        self.key.clone()
    }

    /// Returns namespace and name as the text of a key, which nobody has to make.
    pub(crate) fn key_text(&self) -> &str {
        head::Head::parse(self.head()).name()
    }

    /// Returns the parsed metadata, made at the first call.
    pub fn metadata(&self) -> &Metadata {
        self.metadata.get_or_init(|| Box::new(head::metadata(self.head())))
    }

    /// Returns its version.
    pub(crate) fn version(&self) -> ResourceVersion {
        head::Head::parse(self.head()).version()
    }

    /// Returns the whole object as JSON, without managedFields unless they are kept.
    pub fn json(&self) -> &[u8] {
        &self.bytes[self.json as usize..self.marks as usize]
    }

    /// Returns the metadata in the form that stores keep it in.
    pub(crate) fn head(&self) -> &[u8] {
        &self.bytes[..self.json as usize]
    }

    /// Returns where in the JSON stands what the head says, too: each part with its number, as they follow each other.
    pub(crate) fn marks(&self) -> impl Iterator<Item = (Range<usize>, u8)> {
        marks::read(&self.bytes[self.marks as usize..self.outline as usize])
    }

    /// Calls `visit` for each scalar at `path`, as [`field_values`] does.
    pub(crate) fn field_values(&self, path: &str, visit: &mut dyn FnMut(&str)) {
        let outline = OutlineView::new(&self.bytes[self.outline as usize..]);
        if outline.is_empty() {
            field::field_values(self.json(), path, visit);
        } else {
            field::outlined_values(self.json(), outline, path, visit);
        }
    }

    /// Returns about how many bytes of memory it takes.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.bytes.len()
    }
}

impl std::fmt::Debug for RawObject {
    /// Names it, and shows nothing of its content.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RawObject").field(self.key()).finish()
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
    /// What came is no protobuf that this version knows, such as a field that Kubernetes got later.
    #[error("the API server sent protobuf that can not be read: {problem}, in {within}")]
    Protobuf {
        /// What is wrong.
        problem: &'static str,
        /// The message that it stands in.
        within: &'static str,
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
