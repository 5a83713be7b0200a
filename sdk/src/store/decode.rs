//! Decoding of cached objects: the one place where bytes become a Rust type.
use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::value::{BorrowedStrDeserializer, CowStrDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::resource::{Kind, ObjectKey, ResourceType};
use crate::wire::RawObject;

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
    /// What is wrong with it. Strings of the object are left out: the error may reach a log, and the object may be a secret.
    #[source]
    pub source: serde_json::Error,
}

/// One object on its way through indexes and handlers: decoded at most once for all of them.
pub(crate) struct Envelope {
    object: Arc<RawObject>,
    decoded: Mutex<Option<Arc<dyn Any + Send + Sync>>>,
}

impl Envelope {
    /// Wraps an object that nobody has decoded yet.
    pub(crate) fn new(object: Arc<RawObject>) -> Self {
        Self { object, decoded: Mutex::new(None) }
    }

    /// Returns the object as stored.
    pub(crate) fn object(&self) -> &Arc<RawObject> {
        &self.object
    }

    /// Returns it as a `K`. Whoever asks for the type that was asked for last shares one decode.
    pub(crate) fn decode<K: Kind>(&self) -> Result<Arc<K>, DecodeError> {
        // Held while decoding, so that two handlers on two threads do not decode twice.
        let mut decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = decoded.clone().and_then(|known| known.downcast::<K>().ok()) {
            return Ok(known);
        }
        let object = Arc::new(decode::<K>(&self.object)?);
        *decoded = Some(Arc::<K>::clone(&object));
        Ok(object)
    }
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Envelope").field(&self.object.metadata().key).finish()
    }
}

/// Decodes `object` as a `K`, whatever `apiVersion` and `kind` it carries.
///
/// Items of a typed LIST carry none, and metadata-only items carry those of `PartialObjectMetadata`; what the object is
/// has been decided by what was asked for.
pub(crate) fn decode<K: Kind>(object: &RawObject) -> Result<K, DecodeError> {
    let resource = ResourceType::of::<K>();
    let api_version = resource.api_version();
    let mut json = serde_json::Deserializer::from_slice(object.json());
    K::deserialize(Typed { inner: &mut json, api_version: &api_version, kind: &resource.kind })
        .map_err(|_| locate::<K>(object, resource))
}

/// Decodes once more, tracking the path: too slow for every read, and failures are rare.
fn locate<K: Kind>(object: &RawObject, resource: ResourceType) -> DecodeError {
    let api_version = resource.api_version();
    let mut json = serde_json::Deserializer::from_slice(object.json());
    let typed = Typed { inner: &mut json, api_version: &api_version, kind: &resource.kind };
    let (path, source) = match serde_path_to_error::deserialize::<_, K>(typed) {
        Err(error) => (error.path().to_string(), redact(error.into_inner())),
        Ok(_) => (".".to_owned(), serde_json::Error::custom("decoding gave two different answers for the same bytes")),
    };
    DecodeError { kind: resource.kind, key: object.metadata().key.clone(), path, source }
}

/// Takes strings of the object out of what serde or a type says: they stand between quotes or, for variants, backticks.
pub(crate) fn redact(error: serde_json::Error) -> serde_json::Error {
    let message = error.to_string();
    let quoted = (message.find('"'), message.rfind('"'));
    let variant = (message.find("unknown variant `"), message.rfind("`, expected "));
    let (start, end) = match (variant, quoted) {
        ((Some(start), Some(end)), _) => (start + "unknown variant `".len(), end),
        (_, (Some(start), Some(end))) if start < end => (start + 1, end),
        _ => return error,
    };
    serde_json::Error::custom(format!("{}…{}", &message[..start], &message[end..]))
}

/// A JSON object whose `apiVersion` and `kind` are those of the type it is decoded as.
struct Typed<'a, D> {
    inner: D,
    api_version: &'a str,
    kind: &'a str,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Typed<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let Self { inner, api_version, kind } = self;
        inner.deserialize_map(TypedVisitor { visitor, api_version, kind })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct TypedVisitor<'a, V> {
    visitor: V,
    api_version: &'a str,
    kind: &'a str,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for TypedVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let given = [Some((API_VERSION, self.api_version)), Some((KIND, self.kind))];
        self.visitor.visit_map(TypedMap { inner, given, value: None })
    }
}

const API_VERSION: &str = "apiVersion";
const KIND: &str = "kind";

/// Yields the given entries first, then those of `inner` that do not repeat them.
struct TypedMap<'a, A> {
    inner: A,
    given: [Option<(&'static str, &'a str)>; 2],
    value: Option<&'a str>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for TypedMap<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        if let Some((key, value)) = self.given.iter_mut().find_map(Option::take) {
            self.value = Some(value);
            return seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some);
        }
        while let Some(key) = self.inner.next_key::<std::borrow::Cow<'de, str>>()? {
            if key != API_VERSION && key != KIND {
                return seed.deserialize(CowStrDeserializer::new(key)).map(Some);
            }
            self.inner.next_value::<IgnoredAny>()?;
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        match self.value.take() {
            Some(value) => seed.deserialize(StrDeserializer::new(value)),
            None => self.inner.next_value_seed(seed),
        }
    }
}

#[cfg(test)]
mod tests;
