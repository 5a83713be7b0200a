//! Splits the body of a watch into lines as it arrives.
use std::ops::Range;

use bytes::Bytes;

use super::{Error, MAX_OBJECT_BYTES};

/// Largest buffer for lines across chunks that is kept when such a line was taken.
const KEPT: usize = 64 * 1024;

/// Finds lines across chunks. Lines within one chunk are not copied; the carry never exceeds [`MAX_OBJECT_BYTES`].
#[derive(Debug, Default)]
pub(crate) struct LineSplitter {
    chunk: Bytes,
    /// Where the next line of the chunk begins.
    at: usize,
    /// What came before the chunk of the line that is being read, or the line that was returned last.
    carry: Vec<u8>,
    /// Whether the carry is a line that was returned.
    taken: bool,
}

impl LineSplitter {
    /// Takes the next chunk. Every line of the one before must have been taken.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "lines of the last chunk were not taken");
        (self.chunk, self.at) = (chunk, 0);
    }

    /// Returns the next line that is not empty, without its end; `None` when more bytes are needed.
    pub(crate) fn next_line(&mut self) -> Result<Option<&[u8]>, Error> {
        loop {
            self.forget_taken();
            let Some(length) = memchr::memchr(b'\n', &self.chunk[self.at..]) else { break };
            let place = self.at..self.at + length;
            self.at += length + 1;
            self.taken = !self.carry.is_empty();
            if self.taken {
                self.extend(place.clone())?;
            }
            if !self.line(place.clone()).trim_ascii().is_empty() {
                return Ok(Some(self.line(place)));
            }
        }
        self.extend(self.at..self.chunk.len())?;
        (self.chunk, self.at) = (Bytes::new(), 0);
        Ok(None)
    }

    /// Returns what stands after the last line end: an event whose end was cut off, or one that needs none.
    pub(crate) fn finish(mut self) -> Option<Vec<u8>> {
        self.forget_taken();
        (!self.carry.trim_ascii().is_empty()).then_some(self.carry)
    }

    fn line(&self, place: Range<usize>) -> &[u8] {
        if self.taken { &self.carry } else { &self.chunk[place] }
    }

    fn forget_taken(&mut self) {
        if std::mem::take(&mut self.taken) {
            self.carry.clear();
            self.carry.shrink_to(KEPT);
        }
    }

    /// Adds a part of the chunk to the carry.
    fn extend(&mut self, part: Range<usize>) -> Result<(), Error> {
        if self.carry.len() + part.len() > MAX_OBJECT_BYTES {
            self.carry = Vec::new();
            return Err(Error::TooLarge { limit: MAX_OBJECT_BYTES });
        }
        self.carry.extend_from_slice(&self.chunk[part]);
        Ok(())
    }
}
