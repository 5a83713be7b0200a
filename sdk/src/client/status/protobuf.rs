//! A `metav1.Status` in protobuf: so come the failures of requests that ask for protobuf first.
//!
//! It is read without a schema: what a failure holds beside what matters is passed over, and the part of it that can be read
//! is better than none.
use crate::protobuf::{Fields, MAGIC, Value};

use super::{Cause, Details, Wire};

/// Reads what is wrapped as the API server wraps everything that it writes as protobuf (`runtime.Unknown`).
pub(super) fn read(body: &[u8]) -> Option<Wire> {
    let mut wire = Wire::default();
    for field in Fields::of(body.strip_prefix(&MAGIC)?).readable() {
        match field {
            (1, Value::Bytes(r#type)) => wire.kind = text_field(r#type, 2),
            (2, Value::Bytes(status)) => fill(&mut wire, status),
            _ => {}
        }
    }
    Some(wire)
}

fn fill(wire: &mut Wire, status: &[u8]) {
    for field in Fields::of(status).readable() {
        match field {
            (3, Value::Bytes(message)) => wire.message = Some(text(message)),
            (4, Value::Bytes(reason)) => wire.reason = Some(text(reason)),
            (5, Value::Bytes(bytes)) => wire.details = Some(details(bytes)),
            (6, Value::Varint(code)) => wire.code = u16::try_from(code).ok(),
            _ => {}
        }
    }
}

fn details(bytes: &[u8]) -> Details {
    let (mut causes, mut details) = (Vec::new(), Details::default());
    for field in Fields::of(bytes).readable() {
        match field {
            (4, Value::Bytes(cause)) => causes.push(Cause { reason: text_field(cause, 1) }),
            (5, Value::Varint(seconds)) => details.retry_after_seconds = i64::try_from(seconds).ok(),
            _ => {}
        }
    }
    Details { causes: Some(causes), ..details }
}

fn text_field(message: &[u8], wanted: u32) -> Option<String> {
    Fields::of(message).readable().find_map(|field| match field {
        (number, Value::Bytes(bytes)) if number == wanted => Some(text(bytes)),
        _ => None,
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
