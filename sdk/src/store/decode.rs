//! Decoding of cached objects: the one place where bytes become a Rust type.
use std::any::{Any, TypeId};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::resource::{Kind, ObjectKey};
use crate::wire::{Metadata, RawObject, field_values};

use super::Store;
use super::packed::Packed;
use super::weight::Weighed;

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
    /// What is wrong with it. Values of the object are left out: the error may reach a log, and the object may be a secret.
    #[source]
    pub source: serde_json::Error,
}

/// One object on its way through indexes and handlers: unpacked and decoded at most once for all of them.
///
/// Small, because there are two for each event, made on one thread and often dropped on another: what few handlers ask for
/// lies in a box of its own.
pub(crate) struct Envelope {
    source: Source,
    /// Which state of its store it is, plus one; zero if it was not stored.
    stored: AtomicU64,
    /// What somebody looked at.
    opened: OnceLock<Box<Opened>>,
}

enum Source {
    Raw(Arc<RawObject>),
    /// Unpacked when somebody looks.
    Packed {
        packed: Packed,
        /// Apart from the other metadata: it is all that most handlers look at in an old state.
        key: OnceLock<ObjectKey>,
    },
}

#[derive(Default)]
struct Opened {
    /// Out of the packed object.
    metadata: OnceLock<Metadata>,
    /// Out of the packed object.
    object: OnceLock<Arc<RawObject>>,
    decoded: Mutex<Option<Arc<dyn Any + Send + Sync>>>,
}

impl Envelope {
    /// Wraps an object that nobody has decoded yet.
    pub(crate) fn new(object: Arc<RawObject>) -> Self {
        Self::from_source(Source::Raw(object))
    }

    /// Wraps an object out of a store that nobody has looked at yet.
    pub(crate) fn packed(packed: Packed) -> Self {
        Self::from_source(Source::Packed { packed, key: OnceLock::new() })
    }

    /// Takes its key from whoever has it already.
    pub(crate) fn with_key(self, known: &ObjectKey) -> Self {
        if let Source::Packed { key, .. } = &self.source {
            let _ = key.set(known.clone());
        }
        self
    }

    /// Returns the object as it came from the wire.
    pub(crate) fn object(&self) -> &Arc<RawObject> {
        match &self.source {
            Source::Raw(object) => object,
            Source::Packed { packed, .. } => self.opened().object.get_or_init(|| Arc::new(packed.view().object())),
        }
    }

    /// Returns its namespace and name, and looks at nothing else.
    pub(crate) fn key(&self) -> &ObjectKey {
        match &self.source {
            Source::Raw(object) => object.key(),
            Source::Packed { packed, key } => key.get_or_init(|| packed.view().key()),
        }
    }

    /// Returns its metadata as it travels and is stored.
    pub(crate) fn head(&self) -> &[u8] {
        match &self.source {
            Source::Raw(object) => object.head(),
            Source::Packed { packed, .. } => packed.view().record(),
        }
    }

    /// Returns its metadata, without unpacking the rest.
    pub(crate) fn metadata(&self) -> &Metadata {
        match &self.source {
            Source::Raw(object) => object.metadata(),
            Source::Packed { packed, .. } => self.opened().metadata.get_or_init(|| packed.view().metadata()),
        }
    }

    /// Returns the same object in as few bytes as can be had at no cost: for those who keep it for long. `store` is where
    /// it was stored, if it was.
    pub(crate) fn compact(self: &Arc<Self>, store: &Store) -> Arc<Self> {
        let source = match &self.source {
            // Nobody else can open it.
            Source::Packed { packed, .. }
                if Arc::strong_count(self) == 1 && self.opened.get().is_none() && !packed.shares =>
            {
                return Arc::clone(self);
            }
            Source::Packed { packed, key } => Source::Packed { packed: packed.to_own(), key: key.clone() },
            Source::Raw(object) => match self.as_stored(object, store) {
                // Shared where it was asked for already.
                Some(packed) => Source::Packed { packed, key: object.known_key() },
                None => Source::Raw(Arc::clone(object)),
            },
        };
        Arc::new(Self::from_source(source))
    }

    /// Returns it as a `K`. Whoever asks for the type that was asked for last shares one decode.
    pub(crate) fn decode<K: Kind>(&self) -> Result<Arc<K>, DecodeError> {
        // Held while decoding, so that two handlers on two threads do not decode twice.
        let mut decoded = self.opened().decoded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = decoded.clone().and_then(|known| known.downcast::<K>().ok()) {
            return Ok(known);
        }
        let object = self.with_json(|json| decode_json::<K>(json, || self.key().clone()))?;
        let object = Arc::new(object);
        *decoded = Some(Arc::<K>::clone(&object));
        Ok(object)
    }

    /// Returns it as a `P`: its kind, of which there is one decode for all, or any part of that, of which nothing else is
    /// decoded.
    pub(crate) fn decode_part<K: Kind, P: DeserializeOwned + Any + Send + Sync>(&self) -> Result<Arc<P>, DecodeError> {
        if TypeId::of::<K>() == TypeId::of::<P>() {
            let whole: Arc<dyn Any + Send + Sync> = self.decode::<K>()?;
            if let Ok(whole) = whole.downcast::<P>() {
                return Ok(whole);
            }
        }
        let key = || self.key().clone();
        self.with_json(|json| decode_as(json, &K::api_version(&()), &K::kind(&()), key)).map(Arc::new)
    }

    /// Lends its JSON to `read`; it is not kept unpacked for that.
    pub(super) fn with_json<T>(&self, read: impl FnOnce(&[u8]) -> T) -> T {
        match &self.source {
            Source::Packed { packed, .. } if self.unpacked().is_none() => packed.view().with_json(read),
            _ => read(self.object().json()),
        }
    }

    /// Says whether it waits packed.
    #[cfg(test)]
    pub(crate) fn is_packed(&self) -> bool {
        matches!(self.source, Source::Packed { .. })
    }

    /// Calls `visit` for each scalar at `path`; see [`field_values`].
    pub(super) fn field_values(&self, path: &str, visit: &mut dyn FnMut(&str)) {
        match &self.source {
            Source::Raw(object) => object.field_values(path, visit),
            Source::Packed { .. } => self.with_json(|json| field_values(json, path, visit)),
        }
    }

    /// Says that this object is stored now.
    pub(super) fn set_stored(&self, stamp: u32) {
        self.stored.store(u64::from(stamp) + 1, Relaxed);
    }

    fn as_stored(&self, object: &RawObject, store: &Store) -> Option<Packed> {
        let stamp = self.stored.load(Relaxed).checked_sub(1)?;
        store.copy_of(object.key_text()).filter(|stored| u64::from(stored.stamp) == stamp)
    }

    fn opened(&self) -> &Opened {
        self.opened.get_or_init(Box::default)
    }

    fn unpacked(&self) -> Option<&Arc<RawObject>> {
        self.opened.get().and_then(|opened| opened.object.get())
    }

    fn from_source(source: Source) -> Self {
        Self { source, stored: AtomicU64::new(0), opened: OnceLock::new() }
    }
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Envelope").field(self.key()).finish()
    }
}

/// Decodes `object` as a `K`, whatever `apiVersion` and `kind` it carries.
///
/// Items of a typed LIST carry none, and metadata-only items carry those of `PartialObjectMetadata`; what the object is
/// has been decided by what was asked for.
pub(crate) fn decode<K: Kind>(object: &RawObject) -> Result<K, DecodeError> {
    decode_json(object.json(), || object.key().clone())
}

/// Decodes the JSON of an object as [`decode`] does; the key is for the error.
pub(super) fn decode_json<K: Kind>(json: &[u8], key: impl FnOnce() -> ObjectKey) -> Result<K, DecodeError> {
    decode_as(json, &K::api_version(&()), &K::kind(&()), key)
}

/// Decodes the JSON of an object of a kind as a `T`, which may be any part of it.
pub(super) fn decode_as<T: DeserializeOwned>(
    json: &[u8],
    api_version: &str,
    kind: &str,
    key: impl FnOnce() -> ObjectKey,
) -> Result<T, DecodeError> {
    // Of bytes, serde_json would check each string by itself, which takes a seventh of the time.
    let whole = std::str::from_utf8(json).ok().and_then(|text| {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        T::deserialize(Typed { inner: &mut deserializer, api_version, kind }).ok()
    });
    whole.map_or_else(
        || {
            examine(json, api_version, kind).map(|(object, _)| object).map_err(|error| {
                let path = error.path().to_string();
                DecodeError { kind: kind.to_owned(), key: key(), path, source: redact(error.into_inner()) }
            })
        },
        Ok,
    )
}

/// Returns about how many bytes an object takes outside of itself once it is decoded; nothing if it does not decode.
pub(super) fn weigh_as<T: DeserializeOwned>(json: &[u8], api_version: &str, kind: &str) -> usize {
    examine::<T>(json, api_version, kind).map_or(0, |(_, heap)| heap)
}

/// Decodes with an eye on where it is and on what the object takes: too slow for every read. One function for both, as
/// the code of a type that is decoded in another way is as large as that of the type.
fn examine<T: DeserializeOwned>(
    json: &[u8],
    api_version: &str,
    kind: &str,
) -> Result<(T, usize), serde_path_to_error::Error<serde_json::Error>> {
    let (mut json, heap) = (serde_json::Deserializer::from_slice(json), Cell::new(0));
    let typed = Typed { inner: &mut json, api_version, kind };
    let object = serde_path_to_error::deserialize(Weighed::new(typed, &heap))?;
    Ok((object, heap.get()))
}

/// Takes what the object holds out of what serde says of it. Names of fields stay: they are what is to be corrected.
///
/// What a type says in words of its own is left out altogether, as nobody knows what it quotes.
pub(crate) fn redact(error: serde_json::Error) -> serde_json::Error {
    const OF_SHAPE: [&str; 5] = [
        "missing field `",
        "duplicate field `",
        "unknown field `",
        "invalid length ",
        "data did not match any variant",
    ];
    const OF_VALUES: [&str; 2] = ["invalid type: ", "invalid value: "];
    let message = error.to_string();
    if !error.is_data() || OF_SHAPE.iter().any(|shape| message.starts_with(shape)) {
        return error;
    }
    let value = OF_VALUES.iter().find_map(|value| message.strip_prefix(value));
    let told = if message.starts_with("unknown variant `") {
        between(&message, '`')
    } else if let Some(value) = value {
        // Strings stand between quotes, and numbers between backticks; a map or a sequence is not shown at all.
        between(&message, if value.starts_with("string ") { '"' } else { '`' }).or(Some(message))
    } else {
        None
    };
    serde_json::Error::custom(told.unwrap_or_else(|| "its type refuses the value".to_owned()))
}

/// Leaves out what stands between the first quote and the last before what is expected.
fn between(text: &str, quote: char) -> Option<String> {
    let (from, to) = (text.find(quote)? + 1, text.rfind(&format!("{quote}, expected "))?);
    (from <= to).then(|| format!("{}…{}", &text[..from], &text[to..]))
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
        let mut seed = seed;
        loop {
            match self.inner.next_key_seed(Foreign(seed))? {
                None => return Ok(None),
                Some(Ok(key)) => return Ok(Some(key)),
                Some(Err(unused)) => seed = unused,
            }
            self.inner.next_value::<IgnoredAny>()?;
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        match self.value.take() {
            Some(value) => seed.deserialize(StrDeserializer::new(value)),
            None => self.inner.next_value_seed(seed),
        }
    }
}

/// Reads a key by its seed, unless it is a given one: then the seed comes back.
struct Foreign<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Foreign<S> {
    type Value = Result<S::Value, S>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Foreign<S> {
    type Value = Result<S::Value, S>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Self::Value, E> {
        match key {
            API_VERSION | KIND => Ok(Err(self.0)),
            _ => self.0.deserialize(StrDeserializer::new(key)).map(Ok),
        }
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, key: &'de str) -> Result<Self::Value, E> {
        match key {
            API_VERSION | KIND => Ok(Err(self.0)),
            _ => self.0.deserialize(BorrowedStrDeserializer::new(key)).map(Ok),
        }
    }
}

#[cfg(test)]
mod tests;
