//! Unpacks bodies that the API server compressed, as they arrive: gzip, in as many members as it likes.
//!
//! kube's own layer reads the first member and takes it for the whole (tower-rs/tower-http#737), while Kubernetes 1.37
//! makes a member of every flush, and a gzip body may always have several (RFC 1952, section 2.2).
use std::io::Write;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures_util::stream::{self, StreamExt};

use super::{Chunks, Error};

/// About how many bytes are unpacked before they are handed on: enough for a dozen objects, and all that a chunk can make
/// us hold, however well it is packed.
const PIECE: usize = 64 * 1024;

/// So many bytes may come out however little went in: a list of small objects that are all alike.
pub(super) const FREE: u64 = 64 * 1024 * 1024;

/// Beyond that, most bytes that one byte may become. Each object has a uid, a version and times of its own, so real lists
/// stay below 50; gzip can reach 1,032.
const MOST: u64 = 200;

/// Unpacks `packed`, of which so many bytes are `free`, as [`FREE`] is; `corrupt` makes an error of what is wrong with it.
///
/// Whoever reads gets what came before the fault first. Nothing comes after it.
pub(super) fn unpack(packed: Chunks, free: u64, corrupt: impl Fn(&'static str) -> Error + Send + 'static) -> Chunks {
    let gunzip = Gunzip { decoder: MultiGzDecoder::new(Vec::new()), packed: Bytes::new(), taken: 0, made: 0, free };
    let unpacked = stream::try_unfold((packed, Some(gunzip), corrupt), async |(mut packed, gunzip, corrupt)| {
        let Some(mut gunzip) = gunzip else { return Ok(None) };
        loop {
            if let Some(piece) = gunzip.next_piece().map_err(&corrupt)? {
                return Ok(Some((piece, (packed, Some(gunzip), corrupt))));
            }
            match packed.next().await {
                Some(chunk) => gunzip.push(chunk?),
                None => {
                    let last = gunzip.finish().map_err(&corrupt)?;
                    return Ok(Some((last, (packed, None, corrupt))));
                }
            }
        }
    });
    unpacked.boxed()
}

/// What is being unpacked.
struct Gunzip {
    decoder: MultiGzDecoder<Vec<u8>>,
    /// What was not unpacked yet.
    packed: Bytes,
    taken: u64,
    made: u64,
    free: u64,
}

impl Gunzip {
    /// Takes the next chunk. Every piece of the one before must have been taken.
    fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.packed.is_empty(), "pieces of the last chunk were not taken");
        self.packed = chunk;
    }

    /// Returns the next bytes; `None` when more is needed.
    fn next_piece(&mut self) -> Result<Option<Bytes>, &'static str> {
        while !self.packed.is_empty() && self.decoder.get_ref().len() < PIECE {
            // Unpacks 32 KiB at most.
            let taken = self.decoder.write(&self.packed).map_err(|_| "it is no gzip, or damaged")?;
            let _ = self.packed.split_to(taken);
            self.taken += taken as u64;
        }
        let piece = std::mem::take(self.decoder.get_mut());
        self.made += piece.len() as u64;
        if self.made > self.free && self.made / self.taken.max(1) > MOST {
            return Err("it becomes larger than any list would");
        }
        Ok((!piece.is_empty()).then(|| Bytes::from(piece)))
    }

    /// Ends the body and returns what was left.
    fn finish(&mut self) -> Result<Bytes, &'static str> {
        // Nothing at all is an empty body, whatever its head said.
        if self.taken > 0 {
            self.decoder.try_finish().map_err(|_| "it ends before the gzip does")?;
        }
        Ok(Bytes::from(std::mem::take(self.decoder.get_mut())))
    }
}

#[cfg(test)]
mod tests;
