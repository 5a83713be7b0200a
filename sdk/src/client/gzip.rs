//! Unpacks bodies that the API server compressed, as they arrive: gzip, in as many members as it likes.
//!
//! kube's own layer reads the first member and takes it for the whole (tower-rs/tower-http#737), while Kubernetes 1.37
//! makes a member of every flush, and a gzip body may always have several (RFC 1952, section 2.2).
use std::io::Write;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures_util::FutureExt;
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
    let body = Body { packed: Some(packed), gunzip, fault: None, corrupt };
    let pieces = stream::try_unfold(body, async |mut body| Ok(body.next_piece().await?.map(|piece| (piece, body))));
    pieces.boxed()
}

/// A body on its way.
struct Body<F> {
    /// `None` once it has ended.
    packed: Option<Chunks>,
    gunzip: Gunzip,
    /// What went wrong behind what is unpacked.
    fault: Option<Error>,
    corrupt: F,
}

impl<F: Fn(&'static str) -> Error> Body<F> {
    /// Returns what has arrived, up to about [`PIECE`]. The API server sends a few KiB at a time: if each made a piece of
    /// its own, many objects would lie across two.
    async fn next_piece(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(packed) = &mut self.packed
            && self.fault.is_none()
        {
            if let Err(problem) = self.gunzip.fill() {
                self.fault = Some((self.corrupt)(problem));
                break;
            }
            if self.gunzip.is_full() {
                break;
            }
            let chunk = match packed.next().now_or_never() {
                Some(chunk) => chunk,
                None if self.gunzip.is_empty() => packed.next().await,
                None => break,
            };
            match chunk {
                Some(Ok(chunk)) => self.gunzip.push(chunk),
                Some(Err(error)) => self.fault = Some(error),
                None => {
                    self.packed = None;
                    self.fault = self.gunzip.finish().err().map(&self.corrupt);
                }
            }
        }
        let piece = self.gunzip.take().map_err(&self.corrupt)?;
        if piece.is_none() { self.fault.take().map_or(Ok(None), Err) } else { Ok(piece) }
    }
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
    /// Takes the next chunk. The one before must have been unpacked.
    fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.packed.is_empty(), "the last chunk was not unpacked");
        self.packed = chunk;
    }

    /// Unpacks until there is a piece, or nothing more to unpack.
    fn fill(&mut self) -> Result<(), &'static str> {
        while !self.packed.is_empty() && !self.is_full() {
            // Unpacks 32 KiB at most.
            let taken = self.decoder.write(&self.packed).map_err(|_| "it is no gzip, or damaged")?;
            let _ = self.packed.split_to(taken);
            self.taken += taken as u64;
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.decoder.get_ref().len() >= PIECE
    }

    fn is_empty(&self) -> bool {
        self.decoder.get_ref().is_empty()
    }

    /// Returns what is unpacked.
    fn take(&mut self) -> Result<Option<Bytes>, &'static str> {
        let piece = std::mem::take(self.decoder.get_mut());
        self.made += piece.len() as u64;
        if self.made > self.free && self.made / self.taken.max(1) > MOST {
            return Err("it becomes larger than any list would");
        }
        Ok((!piece.is_empty()).then(|| Bytes::from(piece)))
    }

    /// Ends the body.
    fn finish(&mut self) -> Result<(), &'static str> {
        // Nothing at all is an empty body, whatever its head said.
        if self.taken > 0 {
            self.decoder.try_finish().map_err(|_| "it ends before the gzip does")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
