//! Cuts metadata that is stored in another form out of an object's JSON, and puts it back, byte for byte.
//!
//! Nothing here knows JSON: a text that stands in the object is replaced by a mark, and a mark by that text. The API
//! server's own spelling is found; in any other spelling less is cut.
use std::ops::Range;

use memchr::memchr;

/// Precedes the number of a part. No JSON holds this byte: strings escape it.
const MARK: u8 = 1;

/// How much of the metadata is looked at for parts: the values stand before or behind annotations, which may be large.
const REACH: usize = 16 * 1024;

/// How many parts there are: name, namespace, uid, version, labels, uid and name of the controller, generateName.
const PARTS: usize = 8;

/// The texts of one object that its record holds anyway.
#[derive(Default)]
pub(super) struct Parts {
    bytes: Vec<u8>,
    ends: [usize; PARTS],
    count: usize,
}

impl Parts {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// Adds the next part: one that `write` leaves empty is no part, and keeps its number.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends[self.count] = self.bytes.len();
        self.count += 1;
    }

    fn get(&self, number: usize) -> &[u8] {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        if number < self.count { &self.bytes[start..self.ends[number]] } else { &[] }
    }
}

/// Appends `json` to `out` with each part that is found `within` replaced by its mark. False, and nothing appended, for
/// bytes in which a mark could not be told from content.
pub(super) fn cut(json: &[u8], within: Range<usize>, parts: &Parts, out: &mut Vec<u8>) -> bool {
    if memchr(MARK, json).is_some() {
        return false;
    }
    let reach = within.start..within.end.min(within.start + REACH);
    let mut found = find(&json[reach], parts);
    found.sort_unstable();
    let mut from = 0;
    for (start, number) in found.into_iter().filter(|(start, _)| *start != usize::MAX) {
        let start = within.start + start;
        if start >= from {
            out.extend_from_slice(&json[from..start]);
            out.extend([MARK, number as u8 + MARK]);
            from = start + parts.get(number).len();
        }
    }
    out.extend_from_slice(&json[from..]);
    true
}

/// Returns where each part stands first, with its number. A searcher for each would take longer to make than to use:
/// all parts begin with a quote, and few quotes stand before the last of them.
fn find(near: &[u8], parts: &Parts) -> [(usize, usize); PARTS] {
    let mut found = std::array::from_fn(|number| (usize::MAX, number));
    let mut wanted: [bool; PARTS] = std::array::from_fn(|number| parts.get(number).len() > 2);
    let mut left = wanted.iter().filter(|wanted| **wanted).count();
    for at in memchr::memchr_iter(b'"', near) {
        if left == 0 {
            break;
        }
        // Every part begins with one of these letters behind its quote.
        let Some(b'n' | b'u' | b'r' | b'l' | b'g') = near.get(at + 1) else { continue };
        for number in 0..PARTS {
            if wanted[number] && near[at..].starts_with(parts.get(number)) {
                (found[number].0, wanted[number]) = (at, false);
                left -= 1;
            }
        }
    }
    found
}

/// Appends `text`, with each mark replaced by its part, to `out`. Without any part it has no marks.
pub(super) fn splice(mut text: &[u8], parts: &Parts, out: &mut Vec<u8>) {
    if parts.count == 0 {
        return out.extend_from_slice(text);
    }
    out.reserve_exact(text.len() + parts.bytes.len());
    while let Some(at) = memchr(MARK, text) {
        out.extend_from_slice(&text[..at]);
        let number = text.get(at + 1).map_or(PARTS, |&number| usize::from(number.wrapping_sub(MARK)));
        out.extend_from_slice(parts.get(number));
        text = text.get(at + 2..).unwrap_or_default();
    }
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(texts: &[String]) -> Parts {
        let mut parts = Parts::default();
        texts.iter().for_each(|text| parts.push(|out| out.extend_from_slice(text.as_bytes())));
        parts
    }

    proptest! {
        #[test]
        fn what_was_cut_comes_back(texts in prop::collection::vec("\"[nua]{0,3}\"?", 0..=PARTS), json in "[nua\"{}]{0,60}", start in 0..9usize) {
            let (parts, mut text, mut back) = (parts(&texts), Vec::new(), Vec::new());
            prop_assert!(cut(json.as_bytes(), start.min(json.len())..json.len(), &parts, &mut text));
            splice(&text, &parts, &mut back);
            prop_assert_eq!(back, json.as_bytes());
        }
    }

    #[test]
    fn what_is_found_is_cut_and_marks_in_the_bytes_are_not_misread() {
        let parts = parts(&["\"name\":\"one\"".into(), String::new(), "\"uid\":\"u\"".into()]);
        let (mut text, json) = (Vec::new(), br#"{"metadata":{"name":"one","uid":"u"}}"#);
        assert!(cut(json, 0..json.len(), &parts, &mut text));
        assert_eq!(text, b"{\"metadata\":{\x01\x01,\x01\x03}}");
        assert!(!cut(b"\"\x01\"", 0..3, &parts, &mut text));
    }
}
