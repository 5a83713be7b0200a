//! Protobuf bodies of built-in kinds, and of the metadata of any kind, as the JSON that the rest of the wire layer reads.
//!
//! An API server writes a list of pods as protobuf in a third of the processor time that it needs for JSON, and a watch
//! that begins with what exists in a quarter: there it passes over the text of every object twice. So what is asked for is
//! protobuf, where the kind is known, and its JSON is written here, object by object as they arrive.
//!
//! Nothing is dropped in silence: what the schema does not know is an error, and whoever asked asks for JSON then.
use std::sync::Arc;

use bytes::Bytes;

use crate::protobuf::Malformed;

use super::{Error, MAX_OBJECT_BYTES, ManagedFields};

mod frame;

mod message;

mod scalar;

mod schema;

#[cfg(test)]
mod tests;

pub(crate) use schema::Schema;

use frame::{Frame, ListFrame};
use message::ToJson;

/// Largest part of a list outside its items that is kept: its type, and metadata with its continue token.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Largest buffer for what is not whole that is kept when something larger was taken.
const KEPT: usize = 256 * 1024;

/// Writes the JSON of a protobuf body as it arrives: at most one object and one chunk are in memory.
#[derive(Debug)]
pub(crate) struct Transcoder {
    to_json: ToJson,
    frame: Frame,
    /// What arrived and is not whole yet.
    carry: Vec<u8>,
}

/// What came of a chunk.
#[derive(Debug)]
pub(crate) struct Transcoded {
    /// The JSON of everything in it that is whole.
    pub(crate) json: Bytes,
    /// Why nothing comes after it, if so.
    pub(crate) error: Option<Error>,
}

/// Why protobuf can not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unread {
    problem: &'static str,
    /// The message that it stands in, where that is known.
    within: Option<&'static str>,
}

impl Transcoder {
    /// Reads one list of the kind.
    ///
    /// A body that ends early is no error here: so does the JSON, and who reads that says so.
    pub(crate) fn list(schema: Arc<Schema>, managed_fields: ManagedFields) -> Self {
        Self::new(schema, managed_fields, Frame::List(ListFrame::default()))
    }

    /// Reads the events of a watch, and writes a line for each.
    pub(crate) fn watch(schema: Arc<Schema>, managed_fields: ManagedFields) -> Self {
        Self::new(schema, managed_fields, Frame::Watch)
    }

    fn new(schema: Arc<Schema>, managed_fields: ManagedFields, frame: Frame) -> Self {
        Self { to_json: ToJson::new(schema, managed_fields), frame, carry: Vec::new() }
    }

    /// Takes the next chunk. Nothing more may be pushed after an error.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Transcoded {
        self.carry.extend_from_slice(chunk);
        // JSON without managedFields is about as long as protobuf with them.
        let (mut json, mut at) = (Vec::with_capacity(self.carry.len()), 0);
        let error = loop {
            let whole = json.len();
            match self.frame.read(&self.carry[at..], &self.to_json, &mut json) {
                Ok(Some(taken)) => at += taken,
                Ok(None) => break None,
                Err(error) => {
                    json.truncate(whole);
                    break Some(error);
                }
            }
        };
        self.carry.drain(..at);
        self.carry.shrink_to(KEPT);
        Transcoded { json: Bytes::from(json), error }
    }
}

impl Unread {
    const fn new(problem: &'static str) -> Self {
        Self { problem, within: None }
    }

    /// Names the message, unless one that it holds was named.
    fn within(self, message: &'static str) -> Self {
        Self { within: self.within.or(Some(message)), ..self }
    }
}

impl From<Malformed> for Unread {
    fn from(malformed: Malformed) -> Self {
        Self::new(malformed.problem())
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Unread::from(malformed).into()
    }
}

impl From<Unread> for Error {
    fn from(unread: Unread) -> Self {
        Self::Protobuf { problem: unread.problem, within: unread.within.unwrap_or("the framing") }
    }
}

/// Returns what to say of something that is longer than `limit`.
const fn too_large(limit: usize) -> Error {
    Error::TooLarge { limit }
}
