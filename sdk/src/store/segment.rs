//! Memory of one size that is filled from its beginning and goes back whole.
use std::ops::{Deref, DerefMut};

use memmap2::{MmapMut, MmapOptions};

/// From this size on memory is mapped and not allocated: an allocator may keep what it is given back, or has to, because
/// small things came to lie behind it.
const MAPPED: usize = 64 * 1024;

/// What was added to it, as bytes.
#[derive(Default)]
pub(super) struct Segment {
    memory: Memory,
    used: usize,
}

#[derive(Default)]
enum Memory {
    #[default]
    None,
    Allocated(Box<[u8]>),
    Mapped(MmapMut),
}

impl Segment {
    /// Makes one with room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        let mapped = if bytes < MAPPED { None } else { map(bytes) };
        let memory = mapped.map_or_else(|| Memory::Allocated(vec![0; bytes].into()), Memory::Mapped);
        Self { memory, used: 0 }
    }

    pub(super) fn capacity(&self) -> usize {
        match &self.memory {
            Memory::None => 0,
            Memory::Allocated(bytes) => bytes.len(),
            Memory::Mapped(bytes) => bytes.len(),
        }
    }

    /// Forgets what was added.
    pub(super) fn clear(&mut self) {
        self.used = 0;
    }

    /// Adds bytes, for which there must be room.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let end = self.used + bytes.len();
        self.all()[..end][end - bytes.len()..].copy_from_slice(bytes);
        self.used = end;
    }

    fn all(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::None => &mut [],
            Memory::Allocated(bytes) => bytes,
            Memory::Mapped(bytes) => bytes,
        }
    }
}

/// Maps memory whose pages are there already: it will be filled, and the system gives all of them at once for a fraction of
/// what it costs to ask for each.
fn map(bytes: usize) -> Option<MmapMut> {
    MmapOptions::new().len(bytes).populate().map_anon().ok()
}

impl Deref for Segment {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.memory {
            Memory::None => &[],
            Memory::Allocated(bytes) => &bytes[..self.used],
            Memory::Mapped(bytes) => &bytes[..self.used],
        }
    }
}

impl DerefMut for Segment {
    fn deref_mut(&mut self) -> &mut [u8] {
        let used = self.used;
        &mut self.all()[..used]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_there_in_memory_of_either_kind() {
        for size in [0, 1, MAPPED - 1, MAPPED, 3 * MAPPED + 1] {
            let mut segment = Segment::with_capacity(size);
            assert_eq!((segment.len(), segment.capacity()), (0, size));
            let bytes: Vec<u8> = (0..size).map(|at| at as u8).collect();
            bytes.chunks(1000).for_each(|bytes| segment.push(bytes));
            assert!(*segment == *bytes, "{size}");
            segment.iter_mut().for_each(|byte| *byte = 7);
            assert!(segment.iter().all(|byte| *byte == 7), "{size}");
            segment.clear();
            segment.push(&bytes);
            assert!(*segment == *bytes, "{size}");
        }
    }
}
