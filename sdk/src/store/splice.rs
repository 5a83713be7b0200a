//! Cuts metadata that is stored in another form out of an object's JSON, and puts it back, byte for byte.
//!
//! Nothing here knows JSON: where the parts stand is known from the scan, and what is spelled in another way than the API
//! server does stays where it is.
use std::ops::Range;

use memchr::memchr;

use crate::wire::PARTS;

/// Precedes the number of a part. No JSON holds this byte: strings escape it.
const MARK: u8 = 1;

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

/// Appends `json` to `out` with a mark in the place of each part, which are given as they follow each other. Says whether there is any.
pub(super) fn cut(json: &[u8], marks: impl Iterator<Item = (Range<usize>, u8)>, out: &mut Vec<u8>) -> bool {
    let mut from = 0;
    for (place, part) in marks {
        out.extend_from_slice(&json[from..place.start]);
        out.extend([MARK, part + MARK]);
        from = place.end;
    }
    out.extend_from_slice(&json[from..]);
    from > 0
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
