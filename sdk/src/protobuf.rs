//! The encoding underneath protobuf: tags, varints and lengths. What fields mean is known to those who read them.
use std::iter;

/// What everything that the API server writes as protobuf begins with; a `runtime.Unknown` follows.
pub(crate) const MAGIC: [u8; 4] = *b"k8s\0";

/// Why bytes are no protobuf, or none of what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    Truncated,
    Overlong,
    Foreign,
    NotBytes,
    NotANumber,
}

/// The fields of one message, in the order in which they stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// Numbers and booleans.
    Varint(u64),
    /// Text, bytes and messages.
    Bytes(&'a [u8]),
}

impl Malformed {
    /// Returns what is wrong, in words.
    pub(crate) fn problem(self) -> &'static str {
        match self {
            Self::Truncated => "a field ends before its value does",
            Self::Overlong => "a varint is longer than any number",
            Self::Foreign => "a field is encoded as nothing that Kubernetes uses",
            Self::NotBytes => "a number stands where something with a length does",
            Self::NotANumber => "something else stands where a number does",
        }
    }
}

impl<'a> Fields<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Returns the number and the value of the next field.
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, Malformed> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        // Anything above what u32 holds is no number of a field either.
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed::Foreign)?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed::Truncated)?;
                let (value, rest) = self.bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
                self.bytes = rest;
                Value::Bytes(value)
            }
            _ => return Err(Malformed::Foreign),
        };
        Ok(Some((number, value)))
    }

    /// Returns the fields up to the first that can not be read.
    pub(crate) fn readable(mut self) -> impl Iterator<Item = (u32, Value<'a>)> {
        iter::from_fn(move || self.next().ok().flatten()).fuse()
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let (value, taken) = varint(self.bytes)?.ok_or(Malformed::Truncated)?;
        self.bytes = &self.bytes[taken..];
        Ok(value)
    }
}

impl<'a> Value<'a> {
    /// Returns the bytes of what has a length.
    pub(crate) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Varint(_) => Err(Malformed::NotBytes),
        }
    }

    /// Returns a number.
    pub(crate) fn varint(self) -> Result<u64, Malformed> {
        match self {
            Value::Varint(value) => Ok(value),
            Value::Bytes(_) => Err(Malformed::NotANumber),
        }
    }
}

/// Reads a varint, and returns it with its length; `None` when more bytes are needed.
pub(crate) fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, Malformed> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        // Of the tenth byte one bit is left.
        if at == 9 && bits > 1 {
            return Err(Malformed::Overlong);
        }
        value |= bits << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((value, at + 1)));
        }
    }
    if bytes.len() >= 10 { Err(Malformed::Overlong) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads all fields, up to the first error.
    fn read(bytes: &[u8]) -> (Vec<(u32, Value<'_>)>, Option<Malformed>) {
        let (mut fields, mut found) = (Fields::of(bytes), Vec::new());
        loop {
            match fields.next() {
                Ok(Some(field)) => found.push(field),
                Ok(None) => return (found, None),
                Err(error) => return (found, Some(error)),
            }
        }
    }

    #[test]
    fn a_varint_is_whole_open_or_overlong() {
        let check = |bytes: &[u8], expected| assert_eq!(varint(bytes), expected, "{bytes:x?}");
        check(&[], Ok(None));
        check(&[0], Ok(Some((0, 1))));
        check(&[0xf8, 0x03, 9], Ok(Some((504, 2))));
        check(&[0x80; 9], Ok(None));
        let tenth = |last| [&[0xff; 9][..], &[last]].concat();
        check(&tenth(1), Ok(Some((u64::MAX, 10))));
        check(&tenth(2), Err(Malformed::Overlong));
        check(&tenth(0x81), Err(Malformed::Overlong));
        check(&[0xff; 40], Err(Malformed::Overlong));
    }

    #[test]
    fn fields_come_in_their_order_up_to_the_first_that_can_not_be_read() {
        let check = |bytes: &[u8], error| {
            let body = [&[1 << 3, 7, 2 << 3 | 2, 2, b'o', b'n'], bytes].concat();
            let known = vec![(1, Value::Varint(7)), (2, Value::Bytes(b"on"))];
            assert_eq!(read(&body), (known.clone(), error), "{bytes:x?}");
            // A number that stands behind it, as it would be found if reading went on, is not reached.
            assert_eq!(Fields::of(&body).readable().collect::<Vec<_>>(), known, "{bytes:x?}");
        };
        check(&[], None);
        check(&[4 << 3], Some(Malformed::Truncated));
        check(&[4 << 3 | 2, 9, 1], Some(Malformed::Truncated));
        check(&[4 << 3 | 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0], Some(Malformed::Truncated));
        check(&[0xff; 40], Some(Malformed::Overlong));
        check(&[4 << 3 | 1, 1 << 3, 7], Some(Malformed::Foreign));
        check(&[0x80, 0x80, 0x80, 0x80, 0x80, 1, 1 << 3, 7], Some(Malformed::Foreign));
    }

    #[test]
    fn a_value_is_what_it_was_written_as() {
        assert_eq!(Value::Varint(7).varint(), Ok(7));
        assert_eq!(Value::Bytes(b"on").bytes(), Ok(&b"on"[..]));
        assert_eq!(Value::Varint(7).bytes(), Err(Malformed::NotBytes));
        assert_eq!(Value::Bytes(b"on").varint(), Err(Malformed::NotANumber));
    }
}
