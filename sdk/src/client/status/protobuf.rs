//! A `metav1.Status` in protobuf: so come the failures of requests that ask for protobuf first.
//!
//! It is read by its own few lines, without a schema: what a failure holds beside what matters is passed over, and the part
//! of it that can be read is better than none.
use super::{Cause, Details, Wire};

/// Reads what is wrapped as the API server wraps everything that it writes as protobuf (`runtime.Unknown`).
pub(super) fn read(body: &[u8]) -> Option<Wire> {
    let mut wire = Wire::default();
    for field in Fields(body.strip_prefix(b"k8s\0")?) {
        match field {
            (1, Value::Bytes(r#type)) => wire.kind = text_field(r#type, 2),
            (2, Value::Bytes(status)) => fill(&mut wire, status),
            _ => {}
        }
    }
    Some(wire)
}

fn fill(wire: &mut Wire, status: &[u8]) {
    for field in Fields(status) {
        match field {
            (3, Value::Bytes(message)) => wire.message = Some(text(message)),
            (4, Value::Bytes(reason)) => wire.reason = Some(text(reason)),
            (5, Value::Bytes(bytes)) => wire.details = Some(details(bytes)),
            (6, Value::Number(code)) => wire.code = u16::try_from(code).ok(),
            _ => {}
        }
    }
}

fn details(bytes: &[u8]) -> Details {
    let (mut causes, mut details) = (Vec::new(), Details::default());
    for field in Fields(bytes) {
        match field {
            (4, Value::Bytes(cause)) => causes.push(Cause { reason: text_field(cause, 1) }),
            (5, Value::Number(seconds)) => details.retry_after_seconds = i64::try_from(seconds).ok(),
            _ => {}
        }
    }
    Details { causes: Some(causes), ..details }
}

fn text_field(message: &[u8], wanted: u64) -> Option<String> {
    Fields(message).find_map(|field| match field {
        (number, Value::Bytes(bytes)) if number == wanted => Some(text(bytes)),
        _ => None,
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The fields of a message, up to the first that can not be read.
struct Fields<'a>(&'a [u8]);

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            // A Status holds no others.
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

impl Fields<'_> {
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}
