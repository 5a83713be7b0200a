//! Objects and what they hold, from protobuf to JSON.
use std::sync::Arc;

use crate::protobuf::{Fields, Value};

use super::scalar::{self, write_text};
use super::schema::{Field, Id, Presence, Schema, Shape, Type};
use super::{ManagedFields, Unread};

const UNKNOWN: Unread = Unread::new("a field is not known, or stands twice");
const UNSORTED: Unread = Unread::new("the keys of a map are not sorted");
const FOREIGN: Unread = Unread::new("an object is of another kind");

/// Writes objects of one kind.
#[derive(Debug)]
pub(super) struct ToJson {
    schema: Arc<Schema>,
    managed_fields: ManagedFields,
}

/// A field that was read.
type Found<'a> = Option<(u32, Value<'a>)>;

impl ToJson {
    pub(super) fn new(schema: Arc<Schema>, managed_fields: ManagedFields) -> Self {
        Self { schema, managed_fields }
    }

    /// Says whether lists of the kind say this of themselves.
    pub(super) fn is_list(&self, api_version: &[u8], kind: &[u8]) -> bool {
        api_version == self.schema.api_version.as_bytes()
            && kind.strip_suffix(b"List") == Some(self.schema.kind.as_bytes())
    }

    /// Begins a list.
    pub(super) fn begin_list(&self, json: &mut Vec<u8>) {
        json.push(b'{');
        write_type(self.schema.api_version.as_bytes(), format!("{}List", self.schema.kind).as_bytes(), json);
    }

    /// Writes the metadata of a list, and what stands between it and what follows.
    pub(super) fn list_metadata(&self, bytes: &[u8], json: &mut Vec<u8>) -> Result<(), Unread> {
        json.extend_from_slice(b"\"metadata\":");
        self.message(Id::LIST_META, bytes, json)?;
        json.push(b',');
        Ok(())
    }

    /// Writes an item of a list, which says nothing of its type, unless JSON has it say so.
    pub(super) fn item(&self, bytes: &[u8], json: &mut Vec<u8>) -> Result<(), Unread> {
        self.message(Id::OBJECT, bytes, json)
    }

    /// Writes an object that says what it is: of the kind, or a Status.
    pub(super) fn object(
        &self,
        api_version: &[u8],
        kind: &[u8],
        bytes: &[u8],
        json: &mut Vec<u8>,
    ) -> Result<(), Unread> {
        let id = if (api_version, kind) == (self.schema.api_version.as_bytes(), self.schema.kind.as_bytes()) {
            Id::OBJECT
        } else if (api_version, kind) == (b"v1", b"Status") {
            Id::STATUS
        } else {
            return Err(FOREIGN);
        };
        json.push(b'{');
        write_type(api_version, kind, json);
        self.members(id, bytes, json)?;
        close(json);
        Ok(())
    }

    fn message(&self, id: Id, bytes: &[u8], json: &mut Vec<u8>) -> Result<(), Unread> {
        json.push(b'{');
        if let Some((api_version, kind)) = self.schema.message(id).embedded {
            write_type(api_version.as_bytes(), kind.as_bytes(), json);
        }
        self.members(id, bytes, json)?;
        close(json);
        Ok(())
    }

    /// Writes the members of a message, each with a comma behind it.
    ///
    /// The API server writes fields by ascending number; what stands elsewhere is not looked for.
    fn members(&self, id: Id, bytes: &[u8], json: &mut Vec<u8>) -> Result<(), Unread> {
        let message = self.schema.message(id);
        let written = self.members_of(&message.fields, bytes, json);
        written.map_err(|unread| unread.within(message.name))
    }

    fn members_of(&self, known: &[Field], bytes: &[u8], json: &mut Vec<u8>) -> Result<(), Unread> {
        let mut fields = Fields::of(bytes);
        let mut found = fields.next()?;
        for field in known {
            found = match found {
                Some((number, value)) if number == field.number => self.present(field, value, &mut fields, json)?,
                _ => {
                    self.absent(field, json)?;
                    found
                }
            };
        }
        if found.is_some() { Err(UNKNOWN) } else { Ok(()) }
    }

    /// Writes a field of which `value` is the first value, and returns what follows it.
    fn present<'a>(
        &self,
        field: &Field,
        value: Value<'a>,
        fields: &mut Fields<'a>,
        json: &mut Vec<u8>,
    ) -> Result<Found<'a>, Unread> {
        if field.is_managed_fields && self.managed_fields == ManagedFields::Drop {
            return rest_of(field, fields, |_| Ok(()));
        }
        match field.shape {
            Shape::One => {
                if let (Type::Message(id), "") = (field.r#type, field.name) {
                    self.members(id, value.bytes()?, json)?;
                } else if field.presence != Presence::Filled || !is_zero(value) {
                    self.member(field, value, json)?;
                }
                Ok(fields.next()?)
            }
            Shape::List => {
                write_name(field, json);
                json.push(b'[');
                self.value(field.r#type, value, json)?;
                let found = rest_of(field, fields, |value| {
                    json.push(b',');
                    self.value(field.r#type, value, json)
                })?;
                json.extend_from_slice(b"],");
                Ok(found)
            }
            Shape::Map => {
                write_name(field, json);
                json.push(b'{');
                let mut last = self.entry(field.r#type, value, None, json)?;
                let found = rest_of(field, fields, |value| {
                    last = self.entry(field.r#type, value, Some(last), json)?;
                    Ok(())
                })?;
                close(json);
                json.push(b',');
                Ok(found)
            }
        }
    }

    fn member(&self, field: &Field, value: Value<'_>, json: &mut Vec<u8>) -> Result<(), Unread> {
        write_name(field, json);
        self.value(field.r#type, value, json)?;
        json.push(b',');
        Ok(())
    }

    /// Writes what stands for a field without a value.
    fn absent(&self, field: &Field, json: &mut Vec<u8>) -> Result<(), Unread> {
        match (field.presence, field.shape, field.r#type) {
            (Presence::Present | Presence::Filled, ..) => {}
            (Presence::Always, Shape::One, Type::Message(id)) if field.name.is_empty() => {
                self.members(id, &[], json)?
            }
            (Presence::OrNull, ..) | (_, Shape::List | Shape::Map, _) | (.., Type::Bytes | Type::Strings) => {
                write_name(field, json);
                json.extend_from_slice(b"null,");
            }
            _ => self.member(field, zero(field.r#type), json)?,
        }
        Ok(())
    }

    /// Writes an entry of a map, and returns its key.
    fn entry<'a>(
        &self,
        r#type: Type,
        value: Value<'a>,
        last: Option<&[u8]>,
        json: &mut Vec<u8>,
    ) -> Result<&'a [u8], Unread> {
        let mut fields = Fields::of(value.bytes()?);
        let (mut key, mut found) = (&[][..], fields.next()?);
        if let Some((1, value)) = found {
            (key, found) = (value.bytes()?, fields.next()?);
        }
        if last.is_some_and(|last| last >= key) {
            return Err(UNSORTED);
        }
        write_text(key, json);
        json.push(b':');
        match found {
            Some((2, value)) => self.value(r#type, value, json)?,
            Some(_) => return Err(UNKNOWN),
            None => self.value(r#type, zero(r#type), json)?,
        }
        json.push(b',');
        if fields.next()?.is_some() { Err(UNKNOWN) } else { Ok(key) }
    }

    fn value(&self, r#type: Type, value: Value<'_>, json: &mut Vec<u8>) -> Result<(), Unread> {
        match r#type {
            Type::Message(id) => self.message(id, value.bytes()?, json),
            Type::String => {
                write_text(value.bytes()?, json);
                Ok(())
            }
            Type::Int => {
                scalar::write_int(value.varint()?, json);
                Ok(())
            }
            Type::Bool => {
                json.extend_from_slice(if value.varint()? == 0 { b"false" } else { b"true" });
                Ok(())
            }
            Type::Bytes => {
                scalar::write_base64(value.bytes()?, json);
                Ok(())
            }
            Type::Time => scalar::write_time(value.bytes()?, json),
            Type::MicroTime => scalar::write_micro_time(value.bytes()?, json),
            Type::Quantity => scalar::write_quantity(value.bytes()?, json),
            Type::IntOrString => scalar::write_int_or_string(value.bytes()?, json),
            Type::Raw => scalar::write_raw(value.bytes()?, json),
            Type::Strings => scalar::write_strings(value.bytes()?, json),
        }
    }
}

/// Calls `visit` for each further value of `field`, and returns what follows them.
fn rest_of<'a>(
    field: &Field,
    fields: &mut Fields<'a>,
    mut visit: impl FnMut(Value<'a>) -> Result<(), Unread>,
) -> Result<Found<'a>, Unread> {
    loop {
        match fields.next()? {
            Some((number, value)) if number == field.number => visit(value)?,
            found => return Ok(found),
        }
    }
}

fn is_zero(value: Value<'_>) -> bool {
    matches!(value, Value::Varint(0) | Value::Bytes([]))
}

/// Returns what an absent value stands for.
fn zero(r#type: Type) -> Value<'static> {
    match r#type {
        Type::Bool | Type::Int => Value::Varint(0),
        _ => Value::Bytes(&[]),
    }
}

/// Writes what an object is, with a comma behind it.
fn write_type(api_version: &[u8], kind: &[u8], json: &mut Vec<u8>) {
    json.extend_from_slice(b"\"kind\":");
    write_text(kind, json);
    json.extend_from_slice(b",\"apiVersion\":");
    write_text(api_version, json);
    json.push(b',');
}

/// Names of fields hold nothing that JSON escapes.
fn write_name(field: &Field, json: &mut Vec<u8>) {
    json.push(b'"');
    json.extend_from_slice(field.name.as_bytes());
    json.extend_from_slice(b"\":");
}

/// Ends an object whose members each have a comma behind them.
fn close(json: &mut Vec<u8>) {
    match json.last_mut() {
        Some(comma @ b',') => *comma = b'}',
        _ => json.push(b'}'),
    }
}
