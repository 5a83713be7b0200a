//! What a store takes, by part.

/// Bytes of memory that a cache takes, by part: what it has allocated, not what it uses of that.
///
/// Counted where the cache allocates, so it leaves out what the allocator keeps for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUsage {
    /// How many objects are stored.
    pub objects: usize,
    /// Packed objects with their names and what else metadata has of its own.
    pub records: usize,
    /// The entries and the table over them.
    pub table: usize,
    /// Values of indexes, and the chains of those that were added.
    pub indexes: usize,
    /// Words that objects share, such as labels.
    pub names: usize,
    /// Dictionaries, and contexts for packing and unpacking.
    pub packing: usize,
    /// Decoded objects that are read often, by estimate.
    pub hot: usize,
}

impl MemoryUsage {
    /// Returns the sum of all parts in bytes.
    pub fn total(&self) -> usize {
        self.records + self.table + self.indexes + self.names + self.packing + self.hot
    }
}

/// Returns what an allocation of so many bytes takes: common allocators keep a word beside it and round up.
pub(super) fn allocated(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16).max(32)
}
