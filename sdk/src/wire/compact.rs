//! How numbers, bytes and uids stand in a head, a record and a difference.
use super::text::TextRef;

/// What is left to read of a record. Records come from this process only: reading past the end gives nothing.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    #[inline]
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }

    #[inline]
    pub(crate) fn number(&mut self) -> u64 {
        // Nearly all are lengths of words.
        match self.0.split_first() {
            Some((&byte, rest)) if byte < 0x80 => {
                self.0 = rest;
                u64::from(byte)
            }
            _ => self.long_number(),
        }
    }

    fn long_number(&mut self) -> u64 {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte();
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        number
    }

    #[inline]
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = self.number();
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    pub(crate) fn text(&mut self) -> &'a str {
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }

    /// Reads a uid behind a byte that says of which form it is.
    pub(crate) fn uid(&mut self) -> TextRef<'a> {
        match self.byte() {
            0 => TextRef::Other(self.text()),
            _ => TextRef::Uuid(self.take(16).try_into().unwrap_or_default()),
        }
    }

    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// Appends bytes behind their number.
pub(crate) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a number, seven bits a byte, the lowest first.
pub(crate) fn write_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
