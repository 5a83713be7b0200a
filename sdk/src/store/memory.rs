//! What a store takes, by part.
use crate::metrics::{Metric, Snapshot};

/// How many objects a cache holds.
const OBJECTS: Metric = Metric { name: "kubewright_cache_objects", help: "Objects held by a cache." };

/// What they take.
const BYTES: Metric = Metric { name: "kubewright_cache_bytes", help: "Bytes of memory that a cache takes, by part." };

/// Whether that is too much.
const OVER_BUDGET: Metric =
    Metric { name: "kubewright_cache_over_budget", help: "1 while a cache takes more than its budget." };

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
    /// Decoded objects that are read often. Measured on some of each type, which tells to within a fifth what all take;
    /// more is told of types with flattened fields, and less of those that keep boxes.
    pub hot: usize,
    /// Whether all but the decoded objects take more than the [`Budget`](super::Budget).
    pub over_budget: bool,
}

impl MemoryUsage {
    /// Returns the sum of all parts in bytes.
    pub fn total(&self) -> usize {
        self.parts().iter().map(|(_, bytes)| bytes).sum()
    }

    /// Adds the gauges of one cache, which `labels` tell from others.
    pub fn record(&self, snapshot: &mut Snapshot, labels: &[(&str, &str)]) {
        snapshot.gauge(OBJECTS, labels, self.objects as f64);
        for (part, bytes) in self.parts() {
            snapshot.gauge(BYTES, &[labels, &[("part", part)]].concat(), bytes as f64);
        }
        snapshot.gauge(OVER_BUDGET, labels, f64::from(u8::from(self.over_budget)));
    }

    fn parts(&self) -> [(&'static str, usize); 6] {
        let Self { records, table, indexes, names, packing, hot, .. } = *self;
        [
            ("records", records),
            ("table", table),
            ("indexes", indexes),
            ("names", names),
            ("packing", packing),
            ("hot", hot),
        ]
    }
}
