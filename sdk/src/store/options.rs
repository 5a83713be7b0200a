//! How one informer keeps its objects, and how much memory that may take.

/// In which form a store keeps its objects.
///
/// Every form answers every read; they differ in what a read costs and in what the objects take. Prefer the first: what
/// is read over and over is decoded in each of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Storage {
    /// Packed; what is read often is kept decoded besides, within 8 MiB. A pod takes a few hundred bytes.
    #[default]
    Packed,
    /// Packed, and every object that has been read is kept decoded besides until it changes, without a bound: for
    /// callers who scan whole objects all the time. A pod that has been read takes about 27 KiB; one that nobody reads
    /// costs what it costs packed.
    Decoded,
    /// Nothing but `apiVersion`, `kind` and `metadata`, packed. What a server sends besides is dropped on arrival.
    Metadata,
}

/// How many bytes a store may take, by its own gauge ([`MemoryUsage`](super::lister::MemoryUsage)).
///
/// A store that comes to its budget gives up decoded objects first, down to none. Where its packed objects alone take
/// more, it keeps them nevertheless: a cache with holes would be a lie that a reconciler acts upon. It says so instead, in
/// the log, in `MemoryUsage::over_budget` and in the status of its informer, until it fits again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Budget {
    /// As many as it takes.
    #[default]
    Unlimited,
    /// At most so many bytes.
    Bytes(usize),
}

impl Budget {
    /// Returns the bound, which is the largest number where there is none.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Unlimited => usize::MAX,
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Reads a bound as [`Budget::bytes`] gives it.
    pub(super) fn of(bytes: usize) -> Self {
        if bytes == usize::MAX { Self::Unlimited } else { Self::Bytes(bytes) }
    }
}

/// What a store is made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Options {
    /// The form of its objects.
    pub storage: Storage,
    /// How much it may take.
    pub budget: Budget,
}

impl Options {
    /// Returns how many bytes of decoded objects a store may keep that takes `packed` bytes without them.
    pub(super) fn hot_bound(&self, packed: usize) -> usize {
        let bound = match self.storage {
            Storage::Packed | Storage::Metadata => super::hot::MAX_BYTES,
            Storage::Decoded => usize::MAX,
        };
        match self.budget {
            Budget::Unlimited => bound,
            Budget::Bytes(budget) => bound.min(budget.saturating_sub(packed)),
        }
    }

    /// Says whether so many bytes are too many.
    pub(super) fn exceeds(&self, packed: usize) -> bool {
        matches!(self.budget, Budget::Bytes(budget) if packed > budget)
    }
}
