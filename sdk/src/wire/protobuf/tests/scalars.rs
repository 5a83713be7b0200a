//! What values without fields of their own are in JSON.
use super::super::scalar;
use super::*;

/// Runs `write` on `bytes`.
fn json_of(write: impl FnOnce(&[u8], &mut Vec<u8>) -> Result<(), Unread>, bytes: &[u8]) -> Result<String, Unread> {
    let mut json = Vec::new();
    write(bytes, &mut json)?;
    Ok(String::from_utf8(json).unwrap())
}

#[test]
fn text_is_escaped_as_json_asks() {
    for text in ["", "plain", "\"\\/", "\u{0}\u{8}\u{c}\n\r\t\u{1f}\u{7f}", "é漢\u{2028}😀", "a\"", "\\"] {
        let mut json = Vec::new();
        scalar::write_text(text.as_bytes(), &mut json);
        assert_eq!(serde_json::from_slice::<String>(&json).unwrap(), text);
    }
    let mut json = Vec::new();
    // A lone byte, and the first three of four.
    scalar::write_text(b"a\xffb\xf0\x9f\x98c", &mut json);
    assert_eq!(json, "\"a\u{fffd}b\u{fffd}\u{fffd}\u{fffd}c\"".as_bytes(), "what is no text is replaced");
}

#[test]
fn times_are_rfc_3339() {
    let time = |seconds, nanos| [number(1, seconds), number(2, nanos)].concat();
    let table = [
        (time(0, 0), "\"1970-01-01T00:00:00Z\"", "\"1970-01-01T00:00:00.000000Z\""),
        (time(1_767_225_600, 123_456_789), "\"2026-01-01T00:00:00Z\"", "\"2026-01-01T00:00:00.123456Z\""),
        (time(-1, 0), "\"1969-12-31T23:59:59Z\"", "\"1969-12-31T23:59:59.000000Z\""),
        (time(-62_135_596_799, 0), "\"0001-01-01T00:00:01Z\"", "\"0001-01-01T00:00:01.000000Z\""),
        (time(253_402_300_799, 999_999_999), "\"9999-12-31T23:59:59Z\"", "\"9999-12-31T23:59:59.999999Z\""),
        (Vec::new(), "null", "null"),
    ];
    for (bytes, seconds, micros) in table {
        assert_eq!(json_of(scalar::write_time, &bytes).unwrap(), seconds);
        assert_eq!(json_of(scalar::write_micro_time, &bytes).unwrap(), micros);
    }
    for bytes in [time(i64::MAX, 1_000_000_000), time(i64::MIN, -1), time(0, i64::MAX), field(3, "")] {
        json_of(scalar::write_time, &bytes).unwrap_err();
    }
}

#[test]
fn what_is_a_number_or_text_is_written_as_what_it_is() {
    let of = |r#type, value, text: &str| [number(1, r#type), number(2, value), field(3, text)].concat();
    let write = |bytes: &[u8]| json_of(scalar::write_int_or_string, bytes);
    assert_eq!(write(&of(0, -3, "")).unwrap(), "-3");
    assert_eq!(write(&of(1, 0, "25%")).unwrap(), "\"25%\"");
    assert_eq!(write(b"").unwrap(), "0");
    write(&of(2, 0, "")).unwrap_err();
}

#[test]
fn quantities_are_text_and_nothing_is_zero() {
    assert_eq!(json_of(scalar::write_quantity, &field(1, "100Mi")).unwrap(), "\"100Mi\"");
    assert_eq!(json_of(scalar::write_quantity, b"").unwrap(), "\"0\"");
}

#[test]
fn json_as_text_stays_within_what_it_stands_in() {
    let write = |text: &str| json_of(scalar::write_raw, &field(1, text));
    assert_eq!(write("{\"a\": [1,\n 2]}\n").unwrap(), "{\"a\": [1,  2]}");
    assert_eq!(json_of(scalar::write_raw, b"").unwrap(), "null");
    for text in ["{}, \"b\": 1", "{", "k8s\0", "{}{}", "]"] {
        write(text).unwrap_err();
    }
}

#[test]
fn texts_are_a_list() {
    let texts: Vec<u8> = iter::repeat_n(field(1, "a"), 2).flatten().collect();
    assert_eq!(json_of(scalar::write_strings, &texts).unwrap(), "[\"a\",\"a\"]");
    assert_eq!(json_of(scalar::write_strings, b"").unwrap(), "[]");
}
