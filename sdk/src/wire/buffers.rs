//! Memory for objects on their way from the wire, or out of a store, to whoever keeps them.
//!
//! An object of some KB that one thread allocates and another one frees costs an allocator about as much as reading it. So
//! objects that arrive together share buffers, which are used again once nobody holds anything of them.
use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Bytes of a buffer. Whoever holds one object holds the buffer, too, so it is small: half a dozen pods.
const BUFFER: usize = 32 * 1024;

/// Larger objects get memory of their own.
const LARGEST: usize = BUFFER / 4;

/// Most buffers that are remembered, to be used again: as much as may be on its way to a store at once.
const KEPT: usize = 32;

/// Shared buffers of one reflector or of one writer, or none.
#[derive(Default)]
pub(crate) struct Buffers {
    /// The one that is being filled is the last.
    buffers: VecDeque<BytesMut>,
    exact: bool,
    pub(super) scratch: Vec<u8>,
}

impl Buffers {
    /// Gives each object memory of its own.
    pub(crate) fn exact() -> Self {
        Self { exact: true, ..Self::default() }
    }

    /// Returns these pieces, one behind the other.
    pub(super) fn join(&mut self, pieces: [&[u8]; 4]) -> Bytes {
        let size = pieces.iter().map(|piece| piece.len()).sum();
        if self.exact || size > LARGEST {
            return Bytes::from(pieces.concat());
        }
        let buffer = self.with_room(size);
        pieces.into_iter().for_each(|piece| buffer.extend_from_slice(piece));
        buffer.split().freeze()
    }

    /// Returns what `write` appends.
    pub(crate) fn keep(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        write(&mut scratch);
        let kept = self.join([&scratch, &[], &[], &[]]);
        if scratch.capacity() <= BUFFER {
            self.scratch = scratch;
        }
        kept
    }

    /// Forgets all buffers: a list is over, and what comes next is less.
    pub(crate) fn clear(&mut self) {
        self.buffers.clear();
    }

    fn with_room(&mut self, size: usize) -> &mut BytesMut {
        if self.buffers.back().is_none_or(|buffer| buffer.capacity() < size) {
            let next = self.reclaim().unwrap_or_else(|| BytesMut::with_capacity(BUFFER));
            self.buffers.push_back(next);
        }
        // One was pushed if there was none.
        let last = self.buffers.len() - 1;
        &mut self.buffers[last]
    }

    /// Takes the oldest buffer if nobody holds anything of it. A second one in that state is more than is needed.
    fn reclaim(&mut self) -> Option<BytesMut> {
        let free = self.take_free();
        if free.is_some() || self.buffers.len() >= KEPT {
            let _ = self.take_free();
        }
        if self.buffers.len() >= KEPT {
            self.buffers.pop_front();
        }
        free
    }

    fn take_free(&mut self) -> Option<BytesMut> {
        self.buffers.front_mut()?.try_reclaim(BUFFER).then(|| self.buffers.pop_front()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(size: usize) -> Vec<u8> {
        vec![b'x'; size]
    }

    #[test]
    fn a_buffer_that_nobody_holds_is_used_again() {
        let mut buffers = Buffers::default();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let bytes = buffers.join([&object(1000), b"a", b"b", b""]);
            assert_eq!((bytes.len(), &bytes[1000..]), (1002, &b"ab"[..]));
            seen.insert(bytes.as_ptr() as usize);
        }
        assert!(seen.len() <= 2 * BUFFER / 1000, "{}", seen.len());
        assert!(buffers.buffers.len() <= 2);
    }

    #[test]
    fn what_is_written_is_kept_and_a_large_one_leaves_no_memory_behind() {
        let mut buffers = Buffers::default();
        let mut keep = |size: usize| {
            let kept = buffers.keep(|out| out.extend_from_slice(&object(size)));
            (kept == object(size), buffers.scratch.capacity())
        };
        assert_eq!(keep(BUFFER), (true, BUFFER));
        assert_eq!(keep(BUFFER + 1), (true, 0));
        assert!(keep(10).0 && keep(5).0);
    }

    #[test]
    fn the_buffers_that_are_remembered_are_bounded_and_shrink_when_they_are_free() {
        let mut buffers = Buffers::default();
        let held: Vec<Bytes> = (0..40 * KEPT).map(|_| buffers.join([&object(1000), b"", b"", b""])).collect();
        assert_eq!(buffers.buffers.len(), KEPT, "more than that were needed");
        assert!(held.iter().all(|bytes| bytes.iter().all(|byte| *byte == b'x')));
        drop(held);
        (0..40 * KEPT).for_each(|_| _ = buffers.join([&object(1000), b"", b"", b""]));
        assert!(buffers.buffers.len() <= 2, "{}", buffers.buffers.len());
    }

    #[test]
    fn what_is_large_or_kept_for_long_shares_nothing() {
        let mut buffers = Buffers::default();
        assert!(buffers.join([&object(LARGEST + 1), b"", b"", b""]).is_unique());
        assert!(Buffers::exact().join([&object(10), b"", b"", b""]).is_unique());
        let (first, second) = (buffers.join([&object(10), b"", b"", b""]), buffers.join([&object(10), b"", b"", b""]));
        assert!(!first.is_unique() && !second.is_unique());
    }
}
