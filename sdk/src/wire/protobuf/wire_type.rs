//! The encoding underneath: tags, varints and lengths.
use super::Unread;

const TRUNCATED: Unread = Unread::new("a field ends before its value does");
const OVERLONG: Unread = Unread::new("a varint is longer than any number");
const FOREIGN: Unread = Unread::new("a field is encoded as nothing that Kubernetes uses");

/// The fields of one message, in the order in which they stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Numbers and booleans.
    Varint(u64),
    /// Text, bytes and messages.
    Bytes(&'a [u8]),
}

impl<'a> Fields<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Returns the number and the value of the next field.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, Unread> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        // Anything above what u32 holds is no number of a field either.
        let number = u32::try_from(tag >> 3).map_err(|_| FOREIGN)?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| TRUNCATED)?;
                let (value, rest) = self.bytes.split_at_checked(length).ok_or(TRUNCATED)?;
                self.bytes = rest;
                Value::Bytes(value)
            }
            _ => return Err(FOREIGN),
        };
        Ok(Some((number, value)))
    }

    fn varint(&mut self) -> Result<u64, Unread> {
        let (value, taken) = varint(self.bytes)?.ok_or(TRUNCATED)?;
        self.bytes = &self.bytes[taken..];
        Ok(value)
    }
}

impl<'a> Value<'a> {
    /// Returns the bytes of what has a length.
    pub(super) fn bytes(self) -> Result<&'a [u8], Unread> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Varint(_) => Err(Unread::new("a number stands where something with a length does")),
        }
    }

    /// Returns a number.
    pub(super) fn varint(self) -> Result<u64, Unread> {
        match self {
            Value::Varint(value) => Ok(value),
            Value::Bytes(_) => Err(Unread::new("something else stands where a number does")),
        }
    }
}

/// Reads a varint, and returns it with its length; `None` when more bytes are needed.
pub(super) fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, Unread> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        // Of the tenth byte one bit is left.
        if at == 9 && bits > 1 {
            return Err(OVERLONG);
        }
        value |= bits << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((value, at + 1)));
        }
    }
    if bytes.len() >= 10 { Err(OVERLONG) } else { Ok(None) }
}
