//! Splits list and watch bodies into objects: finds metadata, cuts managedFields, never decodes a spec.
use bytes::Bytes;

use crate::resource::{ObjectKey, OwnerReference, ResourceVersion};

/// One object as the API server sent it, without managedFields, and the metadata every layer looks at.
///
/// Never decoded here: typed values exist only behind a lister or a handle.
#[derive(Clone, Debug)]
pub struct RawObject {
    metadata: Metadata,
    json: Bytes,
}

impl RawObject {
    /// Parses one object: its metadata, and nothing else.
    ///
    /// # Errors
    /// When `json` is not an object with a usable `metadata`.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let value: serde_json::Value = serde_json::from_slice(json).map_err(Error::Malformed)?;
        let text = |value: &serde_json::Value| -> Box<str> { value.as_str().unwrap_or_default().into() };
        let meta = &value["metadata"];
        let map = |value: &serde_json::Value| value.as_object().cloned().unwrap_or_default();
        let owners = meta["ownerReferences"].as_array().cloned().unwrap_or_default();
        let metadata = Metadata {
            key: ObjectKey::namespaced(&text(&meta["namespace"]), &text(&meta["name"])),
            uid: text(&meta["uid"]),
            resource_version: ResourceVersion::new(&text(&meta["resourceVersion"])),
            generation: meta["generation"].as_i64(),
            deleting: !meta["deletionTimestamp"].is_null(),
            labels: map(&meta["labels"]).iter().map(|(key, value)| (key.as_str().into(), text(value))).collect(),
            finalizers: Vec::new(),
            owners: owners
                .iter()
                .map(|owner| OwnerReference {
                    group: "".into(),
                    kind: text(&owner["kind"]),
                    name: text(&owner["name"]),
                    uid: text(&owner["uid"]),
                    controller: owner["controller"].as_bool().unwrap_or_default(),
                })
                .collect(),
        };
        Ok(Self { metadata, json: Bytes::copy_from_slice(json) })
    }

    /// Returns the parsed metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Returns the whole object as JSON, without managedFields.
    pub fn json(&self) -> &[u8] {
        &self.json
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

/// Why bytes from the wire were refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not JSON of the expected form.
    #[error("the API server sent malformed JSON")]
    Malformed(#[source] serde_json::Error),
}
