//! Things of one size by number, in chunks: growing moves nothing, and leaves no holes for an allocator to keep.
//!
//! One vector would be copied many times over on its way to some MB, and what it left behind each time was a quarter of
//! what a store of 50,000 objects took.
use std::ops::{Index, IndexMut};

/// How many things a chunk holds, as a power of two: some 48 KiB of entries.
const BITS: u32 = 10;
const CHUNK: usize = 1 << BITS;

/// A dense list of things.
pub(super) struct Slab<T> {
    /// All but the last are full, and none is empty.
    chunks: Vec<Vec<T>>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(super) fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    pub(super) fn push(&mut self, thing: T) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => {
                if last.len() == last.capacity() {
                    // The first chunk grows with a small store.
                    last.reserve_exact((last.len() / 2).clamp(1, CHUNK - last.len()));
                }
                last.push(thing);
            }
            last => {
                let room = if last.is_some() { CHUNK } else { 16 };
                let mut chunk = Vec::with_capacity(room);
                chunk.push(thing);
                self.chunks.push(chunk);
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.chunks.get(at >> BITS)?.get(at % CHUNK)
    }

    /// Takes a thing out and puts the last one in its place.
    ///
    /// # Panics
    /// When there is none at that number.
    pub(super) fn swap_remove(&mut self, at: usize) -> T {
        // As documented: a slab with that number has a last chunk, and no chunk is empty.
        let last = self.chunks.last_mut().and_then(Vec::pop).expect("there is one at that number");
        if self.chunks.last().is_some_and(Vec::is_empty) {
            self.chunks.pop();
        }
        // What is left of a large store is as small as if it had never been large.
        if let [only] = &mut *self.chunks
            && only.len() < only.capacity() / 4
        {
            only.shrink_to(only.len() * 2);
        }
        if at == self.len() { last } else { std::mem::replace(&mut self[at], last) }
    }

    /// Returns how many bytes it takes.
    pub(super) fn memory(&self) -> usize {
        let things: usize = self.chunks.iter().map(Vec::capacity).sum();
        things * size_of::<T>() + self.chunks.capacity() * size_of::<Vec<T>>()
    }
}

impl<T> Index<usize> for Slab<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        &self.chunks[at >> BITS][at % CHUNK]
    }
}

impl<T> IndexMut<usize> for Slab<T> {
    fn index_mut(&mut self, at: usize) -> &mut T {
        &mut self.chunks[at >> BITS][at % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn it_holds_what_a_vector_would_hold(steps in prop::collection::vec((any::<bool>(), 1..1500_usize), 1..12)) {
            let (mut slab, mut vector, mut next) = (Slab::default(), Vec::new(), 0);
            for (push, count) in steps {
                for step in 0..count {
                    if push {
                        slab.push(next);
                        vector.push(next);
                        next += 1;
                    } else if !vector.is_empty() {
                        let at = step * 7 % vector.len();
                        prop_assert_eq!(slab.swap_remove(at), vector.swap_remove(at));
                    }
                }
                prop_assert_eq!(slab.len(), vector.len());
                prop_assert!((0..vector.len() + 2).all(|at| slab.get(at) == vector.get(at)));
                let chunks = vector.len().div_ceil(CHUNK);
                prop_assert!(slab.memory() <= chunks * CHUNK * 4 + chunks.next_power_of_two().max(4) * 4 * size_of::<Vec<i32>>());
            }
        }
    }

    #[test]
    fn few_things_take_little() {
        let mut slab = Slab::default();
        (0..10).for_each(|number| slab.push(number));
        assert!(slab.memory() <= 16 * 4 + 4 * size_of::<Vec<i32>>(), "{}", slab.memory());
    }
}
