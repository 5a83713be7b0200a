//! Splits the body of a watch into lines as it arrives.
use bytes::Bytes;

use super::{Error, MAX_OBJECT_BYTES};

/// Finds lines across chunks. Lines within one chunk are not copied; the carry never exceeds [`MAX_OBJECT_BYTES`].
#[derive(Debug, Default)]
pub(crate) struct LineSplitter {
    chunk: Bytes,
    carry: Vec<u8>,
}

impl LineSplitter {
    /// Takes the next chunk. Every line of the one before must have been taken.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "lines of the last chunk were not taken");
        self.chunk = chunk;
    }

    /// Returns the next line that is not empty, without its end; `None` when more bytes are needed.
    pub(crate) fn next_line(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(end) = memchr::memchr(b'\n', &self.chunk) {
            let part = self.chunk.split_to(end + 1).slice(..end);
            let line = if self.carry.is_empty() { part } else { self.complete(&part)? };
            if !line.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
        }
        let rest = std::mem::take(&mut self.chunk);
        self.extend(&rest)?;
        Ok(None)
    }

    /// Returns what stands after the last line end: an event whose end was cut off, or one that needs none.
    pub(crate) fn finish(self) -> Option<Bytes> {
        (!self.carry.trim_ascii().is_empty()).then(|| Bytes::from(self.carry))
    }

    fn complete(&mut self, part: &[u8]) -> Result<Bytes, Error> {
        self.extend(part)?;
        Ok(Bytes::from(std::mem::take(&mut self.carry)))
    }

    fn extend(&mut self, part: &[u8]) -> Result<(), Error> {
        if self.carry.len() + part.len() > MAX_OBJECT_BYTES {
            self.carry = Vec::new();
            return Err(Error::TooLarge { limit: MAX_OBJECT_BYTES });
        }
        self.carry.extend_from_slice(part);
        Ok(())
    }
}
