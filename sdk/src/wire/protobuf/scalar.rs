//! Values without fields of their own in JSON.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::fmt::temporal::DateTimePrinter;
use serde_json::value::RawValue;

use crate::protobuf::Fields;

use super::Unread;

const UNKNOWN: Unread = Unread::new("a field of a scalar is not known");
const TIME: Unread = Unread::new("a time is out of range");

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Writes text as a string of JSON. What is no UTF-8 is replaced byte by byte, as the API server does.
pub(super) fn write_text(text: &[u8], json: &mut Vec<u8>) {
    json.push(b'"');
    match std::str::from_utf8(text) {
        Ok(_) => escape(text, json),
        Err(_) => replace(text, json),
    }
    json.push(b'"');
}

fn replace(text: &[u8], json: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        escape(chunk.valid().as_bytes(), json);
        for _ in chunk.invalid() {
            json.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn escape(mut text: &[u8], json: &mut Vec<u8>) {
    while let Some(plain) = text.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')) {
        json.extend_from_slice(&text[..plain]);
        match text[plain] {
            b'"' => json.extend_from_slice(b"\\\""),
            b'\\' => json.extend_from_slice(b"\\\\"),
            b'\n' => json.extend_from_slice(b"\\n"),
            b'\r' => json.extend_from_slice(b"\\r"),
            b'\t' => json.extend_from_slice(b"\\t"),
            control => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                json.extend_from_slice(b"\\u00");
                json.extend([DIGITS[usize::from(control >> 4)], DIGITS[usize::from(control & 15)]]);
            }
        }
        text = &text[plain + 1..];
    }
    json.extend_from_slice(text);
}

/// Writes a number, whose sign is in the highest bit whatever its width.
pub(super) fn write_int(value: u64, json: &mut Vec<u8>) {
    json.extend_from_slice(itoa::Buffer::new().format(value.cast_signed()).as_bytes());
}

pub(super) fn write_base64(bytes: &[u8], json: &mut Vec<u8>) {
    json.push(b'"');
    json.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    json.push(b'"');
}

/// Writes seconds, 1, and what is below them, 2, which Go drops here. Nothing at all is the zero of Go's, which is null.
pub(super) fn write_time(bytes: &[u8], json: &mut Vec<u8>) -> Result<(), Unread> {
    write_instant(bytes, DateTimePrinter::new().precision(Some(0)), json)
}

/// Writes the same with microseconds.
pub(super) fn write_micro_time(bytes: &[u8], json: &mut Vec<u8>) -> Result<(), Unread> {
    write_instant(bytes, DateTimePrinter::new().precision(Some(6)), json)
}

fn write_instant(bytes: &[u8], printer: DateTimePrinter, json: &mut Vec<u8>) -> Result<(), Unread> {
    if bytes.is_empty() {
        json.extend_from_slice(b"null");
        return Ok(());
    }
    let [seconds, nanos] = numbers(bytes)?;
    let nanos = i32::try_from(nanos.cast_signed()).map_err(|_| TIME)?;
    let since = SignedDuration::from_secs(seconds.cast_signed()).checked_add(SignedDuration::from_nanos(nanos.into()));
    // Not a Timestamp, which ends a day before the last second of the year 9999: that is "never" to many.
    let instant = since.and_then(|since| EPOCH.checked_add(since).ok()).ok_or(TIME)?;
    json.push(b'"');
    // Writing to a Vec does not fail.
    let _ = printer.print_datetime(&instant, &mut *json);
    json.extend_from_slice(b"Z\"");
    Ok(())
}

/// Reads a message of two numbers.
fn numbers(bytes: &[u8]) -> Result<[u64; 2], Unread> {
    let (mut numbers, mut fields) = ([0; 2], Fields::of(bytes));
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => numbers[0] = value.varint()?,
            2 => numbers[1] = value.varint()?,
            _ => return Err(UNKNOWN),
        }
    }
    Ok(numbers)
}

/// Reads a message of one text.
fn text(bytes: &[u8]) -> Result<&[u8], Unread> {
    let (mut text, mut fields) = (&[][..], Fields::of(bytes));
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => text = value.bytes()?,
            _ => return Err(UNKNOWN),
        }
    }
    Ok(text)
}

/// Writes a quantity, which travels as the text that it is in JSON.
pub(super) fn write_quantity(bytes: &[u8], json: &mut Vec<u8>) -> Result<(), Unread> {
    let text = text(bytes)?;
    write_text(if text.is_empty() { b"0" } else { text }, json);
    Ok(())
}

/// Writes what its type, 1, says that it is: a number, 2, or text, 3.
pub(super) fn write_int_or_string(bytes: &[u8], json: &mut Vec<u8>) -> Result<(), Unread> {
    let (mut r#type, mut number, mut text) = (0, 0, &[][..]);
    let mut fields = Fields::of(bytes);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => r#type = value.varint()?,
            2 => number = value.varint()?,
            3 => text = value.bytes()?,
            _ => return Err(UNKNOWN),
        }
    }
    match r#type {
        0 => write_int(number, json),
        1 => write_text(text, json),
        _ => return Err(Unread::new("something is neither number nor text")),
    }
    Ok(())
}

/// Writes JSON that travels as text. Where there is none, it is null.
pub(super) fn write_raw(bytes: &[u8], json: &mut Vec<u8>) -> Result<(), Unread> {
    let text = text(bytes)?;
    if text.is_empty() {
        json.extend_from_slice(b"null");
        return Ok(());
    }
    // Whatever it is, it must not end what it stands in.
    let raw: &RawValue = serde_json::from_slice(text).map_err(|_| Unread::new("what should be JSON is not"))?;
    // Within strings there are none, and the lines of a watch end at the first.
    json.extend(raw.get().bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }));
    Ok(())
}

/// Writes the texts of a message that holds nothing else.
pub(super) fn write_strings(bytes: &[u8], json: &mut Vec<u8>) -> Result<(), Unread> {
    let mut fields = Fields::of(bytes);
    json.push(b'[');
    let mut first = true;
    while let Some((number, value)) = fields.next()? {
        if number != 1 {
            return Err(UNKNOWN);
        }
        if !std::mem::replace(&mut first, false) {
            json.push(b',');
        }
        write_text(value.bytes()?, json);
    }
    json.push(b']');
    Ok(())
}
