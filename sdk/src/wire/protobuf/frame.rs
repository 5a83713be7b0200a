//! What stands around objects: `runtime.Unknown`, lists, and the length-delimited events of a watch.
use crate::protobuf::{Fields, MAGIC, varint};

use super::message::ToJson;
use super::scalar::write_text;
use super::{Error, MAX_HEAD_BYTES, MAX_OBJECT_BYTES, Unread, too_large};

const NOT_PROTOBUF: Unread = Unread::new("it does not begin as protobuf of Kubernetes does");
const UNKNOWN: Unread = Unread::new("a field is not known");
const TWICE: Unread = Unread::new("a field stands twice");
const ENCODED: Unread = Unread::new("an object is encoded once more");

/// How a body is framed.
#[derive(Debug)]
pub(super) enum Frame {
    List(ListFrame),
    Watch,
}

impl Frame {
    /// Reads one part from the start of `bytes`, and returns how long it is; `None` when more bytes are needed.
    pub(super) fn read(&mut self, bytes: &[u8], to_json: &ToJson, json: &mut Vec<u8>) -> Result<Option<usize>, Error> {
        match self {
            Frame::List(list) => list.read(bytes, to_json, json),
            Frame::Watch => event(bytes, to_json, json),
        }
    }
}

/// A list: its type, its metadata, then its items.
#[derive(Debug, Default)]
pub(super) struct ListFrame {
    place: Place,
    /// Whether its type has been read. What does not say any is what was asked for.
    typed: bool,
    /// Whether its items have begun.
    begun: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Magic,
    /// Among the fields of `runtime.Unknown`.
    Envelope,
    /// In the list, of which so many bytes are left.
    List(u64),
    /// Behind the list.
    End,
}

impl ListFrame {
    fn read(&mut self, bytes: &[u8], to_json: &ToJson, json: &mut Vec<u8>) -> Result<Option<usize>, Error> {
        match self.place {
            Place::Magic => {
                let Some(magic) = bytes.first_chunk() else { return Ok(None) };
                if *magic != MAGIC {
                    return Err(NOT_PROTOBUF.into());
                }
                self.place = Place::Envelope;
                Ok(Some(MAGIC.len()))
            }
            Place::Envelope | Place::End => self.envelope(bytes, to_json, json),
            Place::List(0) => {
                self.end(json);
                Ok(Some(0))
            }
            Place::List(left) => self.field(left, bytes, to_json, json),
        }
    }

    /// Reads a field of `runtime.Unknown`; of the one that is the list, only where it begins.
    fn envelope(&mut self, bytes: &[u8], to_json: &ToJson, json: &mut Vec<u8>) -> Result<Option<usize>, Error> {
        let Some(field) = Field::begin(bytes)? else { return Ok(None) };
        if field.number == 2 {
            if self.place == Place::End {
                return Err(TWICE.into());
            }
            // Without a type of its own it is what was asked for.
            self.place = Place::List(field.length);
            to_json.begin_list(json);
            return Ok(Some(field.at));
        }
        let Some(value) = field.value(bytes, MAX_HEAD_BYTES)? else { return Ok(None) };
        match field.number {
            1 if self.place == Place::Envelope && !self.typed => {
                let r#type = TypeMeta::read(value)?;
                if !to_json.is_list(r#type.api_version, r#type.kind) {
                    return Err(Error::NotAList);
                }
                self.typed = true;
            }
            3 if !value.is_empty() => return Err(ENCODED.into()),
            3 | 4 => {}
            _ => return Err(UNKNOWN.into()),
        }
        Ok(Some(field.at + value.len()))
    }

    /// Reads a field of the list.
    fn field(&mut self, left: u64, bytes: &[u8], to_json: &ToJson, json: &mut Vec<u8>) -> Result<Option<usize>, Error> {
        let Some(field) = Field::begin(bytes)? else { return Ok(None) };
        let limit = if field.number == 2 { MAX_OBJECT_BYTES } else { MAX_HEAD_BYTES };
        let Some(rest) = left.checked_sub(field.length.saturating_add(field.at as u64)) else {
            return Err(Unread::new("an item is longer than its list").into());
        };
        let Some(value) = field.value(bytes, limit)? else { return Ok(None) };
        match field.number {
            1 if !self.begun => to_json.list_metadata(value, json)?,
            2 => {
                json.extend_from_slice(if self.begun { b"," } else { ITEMS });
                self.begun = true;
                to_json.item(value, json)?;
            }
            _ => return Err(UNKNOWN.into()),
        }
        self.place = Place::List(rest);
        Ok(Some(field.at + value.len()))
    }

    fn end(&mut self, json: &mut Vec<u8>) {
        if !self.begun {
            json.extend_from_slice(ITEMS);
        }
        json.extend_from_slice(b"]}");
        self.place = Place::End;
    }
}

/// What stands before the items of a list, whose type and metadata were written.
const ITEMS: &[u8] = b"\"items\":[";

/// Reads one event of a watch: four bytes of length, a type, and an object in an envelope.
fn event(bytes: &[u8], to_json: &ToJson, json: &mut Vec<u8>) -> Result<Option<usize>, Error> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    // What does not fit is too large as well.
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if length > MAX_OBJECT_BYTES {
        return Err(too_large(MAX_OBJECT_BYTES));
    }
    let Some(frame) = rest.get(..length) else { return Ok(None) };
    let (mut r#type, mut object) = (None, None);
    let mut fields = Fields::of(frame);
    while let Some((number, value)) = fields.next()? {
        let place = match number {
            1 => &mut r#type,
            2 => &mut object,
            _ => return Err(UNKNOWN.into()),
        };
        once(place, value.bytes()?)?;
    }
    json.extend_from_slice(b"{\"type\":");
    write_text(r#type.unwrap_or_default(), json);
    json.extend_from_slice(b",\"object\":");
    let (r#type, object) = envelope(extension(object.unwrap_or_default())?)?;
    to_json.object(r#type.api_version, r#type.kind, object, json)?;
    json.extend_from_slice(b"}\n");
    Ok(Some(4 + length))
}

/// Opens a `runtime.RawExtension`.
fn extension(bytes: &[u8]) -> Result<&[u8], Unread> {
    let mut fields = Fields::of(bytes);
    let mut raw = None;
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => once(&mut raw, value.bytes()?)?,
            _ => return Err(UNKNOWN),
        }
    }
    Ok(raw.unwrap_or_default())
}

/// Opens a `runtime.Unknown`, and returns what it says that it holds, and what it holds.
fn envelope(bytes: &[u8]) -> Result<(TypeMeta<'_>, &[u8]), Unread> {
    let mut fields = Fields::of(bytes.strip_prefix(&MAGIC).ok_or(NOT_PROTOBUF)?);
    let (mut r#type, mut raw) = (None, None);
    while let Some((number, value)) = fields.next()? {
        let value = value.bytes()?;
        match number {
            1 => once(&mut r#type, TypeMeta::read(value)?)?,
            2 => once(&mut raw, value)?,
            3 if !value.is_empty() => return Err(ENCODED),
            3 | 4 => {}
            _ => return Err(UNKNOWN),
        }
    }
    Ok((r#type.unwrap_or_default(), raw.unwrap_or_default()))
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Unread> {
    match place.replace(value) {
        Some(_) => Err(TWICE),
        None => Ok(()),
    }
}

/// `runtime.TypeMeta`.
#[derive(Clone, Copy, Default)]
struct TypeMeta<'a> {
    api_version: &'a [u8],
    kind: &'a [u8],
}

impl<'a> TypeMeta<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Unread> {
        let (mut r#type, mut fields) = (Self::default(), Fields::of(bytes));
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => r#type.api_version = value.bytes()?,
                2 => r#type.kind = value.bytes()?,
                _ => return Err(UNKNOWN),
            }
        }
        Ok(r#type)
    }
}

/// The head of a field that has a length, before all of it has arrived.
struct Field {
    number: u64,
    /// Where its value begins.
    at: usize,
    length: u64,
}

impl Field {
    fn begin(bytes: &[u8]) -> Result<Option<Self>, Unread> {
        let Some((tag, tag_length)) = varint(bytes)? else { return Ok(None) };
        if tag & 7 != 2 {
            return Err(UNKNOWN);
        }
        let Some((length, length_length)) = varint(&bytes[tag_length..])? else { return Ok(None) };
        Ok(Some(Self { number: tag >> 3, at: tag_length + length_length, length }))
    }

    /// Returns its value once it is whole.
    fn value<'a>(&self, bytes: &'a [u8], limit: usize) -> Result<Option<&'a [u8]>, Error> {
        match usize::try_from(self.length) {
            Ok(length) if length <= limit => Ok(bytes[self.at..].get(..length)),
            _ => Err(too_large(limit)),
        }
    }
}
