//! Named sets of keys by value, kept with every write.
use std::marker::PhantomData;

/// A handle to an index of one informer of `K`: there is no way to query an index that does not exist.
pub struct Index<K> {
    pub(crate) slot: usize,
    pub(crate) kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Index<K> {
    fn clone(&self) -> Self {
        Self { slot: self.slot, kind: PhantomData }
    }
}

impl<K> std::fmt::Debug for Index<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Index").field(&self.slot).finish()
    }
}
