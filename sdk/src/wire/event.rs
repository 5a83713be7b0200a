//! One line of a watch: `{"type": .., "object": ..}` in either order.
use super::models::Models;
use super::object::Scanned;
use super::scan::Scanner;
use super::{Error, MAX_OBJECT_BYTES};

/// What a watch says about an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventType {
    /// It exists: it was created, or the watch began with what exists.
    Added,
    /// It changed.
    Modified,
    /// It is gone, or no longer selected; the object is its last state.
    Deleted,
    /// Nothing changed up to the version of the object, which has nothing else.
    Bookmark,
    /// The watch ends; the object is a Status.
    Error,
    /// A type that no API server is known to send.
    Unknown,
}

/// One event of a watch.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    /// What it says.
    pub(crate) r#type: EventType,
    /// About what.
    pub(crate) object: Scanned<'a>,
}

impl<'a> Event<'a> {
    /// Parses one line.
    pub(crate) fn parse(line: &'a [u8], models: &mut Models) -> Result<Self, Error> {
        if line.len() > MAX_OBJECT_BYTES {
            return Err(Error::TooLarge { limit: MAX_OBJECT_BYTES });
        }
        let mut scanner = Scanner::new(line);
        let (mut r#type, mut object) = (None, None);
        scanner.members(|scanner, _, name| {
            match &*name {
                b"type" if r#type.is_none() => r#type = Some(EventType::of(&scanner.text()?)),
                b"object" if object.is_none() => object = Some(Scanned::scan(scanner, models)?),
                b"type" | b"object" => {
                    return Err(Error::Malformed { problem: "a member of the event stands twice", at: scanner.at() });
                }
                _ => {
                    scanner.skip()?;
                }
            }
            Ok(())
        })?;
        scanner.end()?;
        match (r#type, object) {
            (Some(r#type), Some(object)) => Ok(Self { r#type, object }),
            (None, _) => Err(Error::Malformed { problem: "an event has no `type`", at: 0 }),
            (_, None) => Err(Error::Malformed { problem: "an event has no `object`", at: 0 }),
        }
    }
}

impl EventType {
    fn of(name: &[u8]) -> Self {
        match name {
            b"ADDED" => Self::Added,
            b"MODIFIED" => Self::Modified,
            b"DELETED" => Self::Deleted,
            b"BOOKMARK" => Self::Bookmark,
            b"ERROR" => Self::Error,
            _ => Self::Unknown,
        }
    }
}
