//! What is remembered of the writes for each primary, and forgotten with it.
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde_json::Value;

use crate::resource::{Kind, ObjectKey, ResourceVersion};

use super::echo::Echoes;
use super::fingerprint::Fingerprint;
use super::own::OwnWrites;
use super::status::StatusMemory;

/// How many children of one primary are remembered. Beyond it the one written or checked longest ago is forgotten: a
/// reconciler that invents a new name each time must not grow memory, and a forgotten child costs a comparison.
pub(crate) const MAX_CHILDREN: usize = 1024;

/// The memory of one controller.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    primaries: Mutex<HashMap<ObjectKey, Arc<PrimaryMemory>>>,
}

impl Memory {
    /// Returns the memory of one primary.
    pub(crate) fn of(&self, key: &ObjectKey) -> Arc<PrimaryMemory> {
        let mut primaries = self.primaries.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(primaries.entry(key.clone()).or_default())
    }

    /// Returns the memory of one primary, if there is any.
    pub(crate) fn find(&self, key: &ObjectKey) -> Option<Arc<PrimaryMemory>> {
        self.primaries.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Says whether another life of the primary was remembered under this key, and forgets it.
    pub(crate) fn is_reborn(&self, key: &ObjectKey, uid: &str) -> bool {
        let mut primaries = self.primaries.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh =
            || Arc::new(PrimaryMemory { uid: OnceLock::from(Box::<str>::from(uid)), ..PrimaryMemory::default() });
        let memory = primaries.entry(key.clone()).or_insert_with(fresh);
        let reborn = **memory.uid.get_or_init(|| uid.into()) != *uid;
        if reborn {
            *memory = fresh();
        }
        reborn
    }

    /// Drops what is remembered of a primary that is gone.
    pub(crate) fn forget(&self, key: &ObjectKey) {
        self.primaries.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// The memory of one primary.
#[derive(Debug, Default)]
pub(crate) struct PrimaryMemory {
    /// Which life of the primary this is about.
    uid: OnceLock<Box<str>>,
    pub(crate) children: Mutex<Children>,
    /// Held across the request: two writes of one status must not build on the same predecessor.
    pub(crate) status: tokio::sync::Mutex<StatusMemory>,
    pub(crate) finalizer: Mutex<Option<FinalizerMemory>>,
    /// Writes that caches do not show yet.
    pub(crate) own: Mutex<OwnWrites>,
    /// Writes whose events are no news.
    pub(crate) echoes: Mutex<Echoes<Foreign>>,
    /// The views that the present reconcile, or else the last one, has read; a bit for each.
    read: AtomicU64,
}

/// What is to be done about an event that is no echo.
pub(crate) struct Foreign(Box<dyn FnOnce() + Send>);

impl Foreign {
    pub(crate) fn new(act: impl FnOnce() + Send + 'static) -> Self {
        Self(Box::new(act))
    }

    pub(crate) fn act(self) {
        (self.0)();
    }
}

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Foreign")
    }
}

impl PrimaryMemory {
    /// Notes that a reconcile begins, which has read nothing yet.
    pub(crate) fn begin(&self) {
        self.read.store(0, Ordering::SeqCst);
    }

    /// Notes that the reconcile is about to read a view. Views without a bit of their own share the last.
    pub(crate) fn note_read(&self, view: usize) {
        self.read.fetch_or(bit(view), Ordering::SeqCst);
    }

    /// Says whether the reconcile has read a view.
    pub(crate) fn has_read(&self, view: usize) -> bool {
        self.read.load(Ordering::SeqCst) & bit(view) != 0
    }
}

fn bit(view: usize) -> u64 {
    1 << view.min(63)
}

/// What was done to the finalizer, until the cache shows it.
#[derive(Clone, Debug)]
pub(crate) struct FinalizerMemory {
    pub(crate) uid: Box<str>,
    pub(crate) done: FinalizerWrite,
}

/// A write of the finalizer.
#[derive(Clone, Debug)]
pub(crate) enum FinalizerWrite {
    /// It was there as of this version.
    Added(ResourceVersion),
    /// It is gone for good.
    Removed,
}

/// A child's type and key.
pub(crate) type ChildId = (TypeId, ObjectKey);

/// What is remembered of the children of one primary, up to [`MAX_CHILDREN`].
#[derive(Debug, Default)]
pub(crate) struct Children {
    entries: HashMap<ChildId, Child>,
    clock: u64,
}

/// A child as the API server answered, whatever its type.
pub(crate) trait Answer: Any + fmt::Debug + Send + Sync {
    /// Returns it as JSON.
    fn json(&self) -> Option<Value>;
}

impl<C: Kind> Answer for C {
    fn json(&self) -> Option<Value> {
        serde_json::to_value(self).ok()
    }
}

/// What is remembered of one child.
#[derive(Clone, Debug, Default)]
pub(crate) struct Child {
    pub(crate) fingerprint: Option<Fingerprint>,
    /// The answer, as long as the cache can not give it.
    pub(crate) answer: Option<Arc<dyn Answer>>,
    /// The views that are certain to show it.
    pub(crate) shown: Vec<usize>,
    pub(super) used: u64,
}

impl Child {
    /// Returns the answer, if it is kept.
    pub(crate) fn answer_as<C: Kind>(&self) -> Option<Arc<C>> {
        let answer: Arc<dyn Any + Send + Sync> = self.answer.clone()?;
        answer.downcast().ok()
    }
}

impl Children {
    /// Returns what is remembered of a child; nothing, if nothing is.
    pub(crate) fn get(&self, id: &ChildId) -> Child {
        self.entries.get(id).cloned().unwrap_or_default()
    }

    /// Remembers a child.
    pub(crate) fn put(&mut self, id: ChildId, mut child: Child) {
        self.clock += 1;
        child.used = self.clock;
        if self.entries.len() >= MAX_CHILDREN && !self.entries.contains_key(&id) {
            let oldest = self.entries.iter().min_by_key(|(_, child)| child.used).map(|(id, _)| id.clone());
            oldest.and_then(|id| self.entries.remove(&id));
        }
        self.entries.insert(id, child);
    }

    /// Returns the children whose answer is kept, with the version that was answered or seen since.
    pub(crate) fn answered(&self) -> impl Iterator<Item = (&ObjectKey, &Child, &ResourceVersion, &Arc<dyn Answer>)> {
        let entries = self.entries.iter();
        entries.filter_map(|((_, key), child)| {
            Some((key, child, child.fingerprint.as_ref()?.version(), child.answer.as_ref()?))
        })
    }

    /// Forgets a child.
    pub(crate) fn remove(&mut self, id: &ChildId) {
        self.entries.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_unused_longest_goes_when_the_memory_is_full() {
        let id = |index: usize| (TypeId::of::<()>(), ObjectKey::cluster(&index.to_string()));
        let mut children = Children::default();
        for index in 0..MAX_CHILDREN {
            children.put(id(index), Child::default());
        }
        children.put(id(0), Child::default());
        children.put(id(MAX_CHILDREN), Child::default());
        assert_eq!(children.entries.len(), MAX_CHILDREN);
        assert!(children.entries.contains_key(&id(0)) && !children.entries.contains_key(&id(1)));
    }

    #[test]
    fn a_forgotten_primary_leaves_nothing() {
        let memory = Memory::default();
        let key = ObjectKey::cluster("a");
        let held = memory.of(&key);
        assert!(Arc::ptr_eq(&held, &memory.of(&key)));
        memory.forget(&key);
        assert!(memory.primaries.lock().unwrap().is_empty());
    }

    #[test]
    fn another_life_under_the_same_key_starts_with_an_empty_memory() {
        let memory = Memory::default();
        let key = ObjectKey::cluster("a");
        let first = memory.of(&key);
        assert!(!memory.is_reborn(&key, "u"));
        assert!(!memory.is_reborn(&key, "u"));
        assert!(Arc::ptr_eq(&first, &memory.of(&key)));
        assert!(memory.is_reborn(&key, "v"));
        assert!(!Arc::ptr_eq(&first, &memory.of(&key)));
        assert!(!memory.is_reborn(&key, "v"));
    }
}
