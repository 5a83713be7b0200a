//! The cached objects that belong to one primary, as its context shows them.
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::apply::{Owner, PrimaryMemory, Writer};
use crate::informer::SharedInformer;
use crate::resource::{Kind, ObjectKey, ResourceType, Scope};
use crate::store::lister::{DecodeError, Lister};

use super::shared::Undecodable;

/// The children of one kind: as they are cached, and as this operator has just made them.
///
/// What [`Context::apply`](super::Context::apply) or [`create`](super::Context::create) was answered stands in for what the
/// cache shows until the cache has come as far: whoever applies a child and then asks whether all children are ready does
/// not get the answer for those before it. Whichever is newer is shown. A deletion is not anticipated: what was deleted
/// may well stay for a while, terminating, and is shown until the cache shows it gone. Of a primary with more than 1,024
/// children, the answers for those beyond are forgotten, and the cache alone speaks for them.
pub struct Owned<C> {
    lister: Lister<C>,
    written: Written,
    primary: Arc<Owner>,
    undecodable: Arc<Undecodable>,
}

/// What was written for a primary, and the informer that is going to show it.
#[derive(Clone)]
pub(super) struct Written {
    pub(super) writer: Arc<Writer>,
    pub(super) memory: Arc<PrimaryMemory>,
    pub(super) informer: Arc<SharedInformer>,
}

impl<C: Kind> Owned<C> {
    pub(super) fn new(
        lister: Lister<C>,
        written: Written,
        primary: &Arc<Owner>,
        undecodable: &Arc<Undecodable>,
    ) -> Self {
        Self { lister, written, primary: Arc::clone(primary), undecodable: Arc::clone(undecodable) }
    }

    /// Returns the children this primary controls, ordered by key, those included that this reconcile has just applied.
    /// Objects that do not decode are left out and logged; [`Owned::lister`] returns them as errors.
    pub fn owned(&self) -> Vec<Arc<C>> {
        let ahead = self.ahead();
        let mut children = self.cached();
        if !ahead.is_empty() {
            children.retain(|child| !ahead.contains_key(&ObjectKey::of(&**child)));
            children.extend(ahead.into_values());
            children.sort_by_cached_key(|child| ObjectKey::of(&**child));
        }
        children
    }

    /// Returns the child of that name, in the namespace of the primary, if this primary controls it. For a
    /// cluster-scoped primary: the first of its children of that name in any namespace.
    pub fn get(&self, name: &str) -> Option<Arc<C>> {
        let mut ahead = self.ahead();
        let mut keys = keys_of(&self.lister, &self.primary, name);
        keys.extend(ahead.keys().filter(|key| key.name() == name).cloned());
        keys.sort_unstable();
        let mine = |key: &ObjectKey| {
            let metadata = self.lister.metadata(key)?;
            let controller = metadata.controller()?;
            (controller.uid == self.primary.uid).then_some(())
        };
        let key = keys.into_iter().find(|key| ahead.contains_key(key) || mine(key).is_some())?;
        ahead.remove(&key).or_else(|| self.undecodable.readable(self.lister.get(&key)))
    }

    /// Returns the lister of everything cached, children of others included, and of nothing that is not cached yet.
    pub fn lister(&self) -> &Lister<C> {
        &self.lister
    }

    fn cached(&self) -> Vec<Arc<C>> {
        if let Ok(children) = self.lister.controlled_by(&self.primary.uid) {
            return children;
        }
        let keys = self.lister.keys_controlled_by(&self.primary.uid);
        keys.iter().filter_map(|key| self.undecodable.readable(self.lister.get(key))).collect()
    }

    /// The children of which this operator knows a newer state than the cache, by its own writes.
    fn ahead(&self) -> BTreeMap<ObjectKey, Arc<C>> {
        let Written { writer, memory, informer } = &self.written;
        let ahead = writer.ahead::<C>(memory, informer).into_iter().filter(|ahead| {
            // While a list is taken in, single objects are newer than the cache as a whole.
            let cached = self.lister.compact_metadata(&ahead.key);
            cached.is_none_or(|cached| cached.resource_version().compare(&ahead.version) == Some(Ordering::Less))
        });
        ahead.map(|ahead| (ahead.key, ahead.object)).collect()
    }
}

/// The keys that a child called `name` of `primary` can have.
pub(super) fn keys_of<C: Kind>(lister: &Lister<C>, primary: &Owner, name: &str) -> Vec<ObjectKey> {
    match key_of::<C>(primary, name) {
        Some(key) => vec![key],
        None => {
            let mut keys = lister.keys_controlled_by(&primary.uid);
            keys.retain(|key| key.name() == name);
            keys
        }
    }
}

/// The cached objects of a watched kind.
pub struct Watched<C> {
    lister: Lister<C>,
    primary: Arc<Owner>,
    undecodable: Arc<Undecodable>,
}

impl<C: Kind> Watched<C> {
    pub(super) fn new(lister: Lister<C>, primary: &Arc<Owner>, undecodable: &Arc<Undecodable>) -> Self {
        Self { lister, primary: Arc::clone(primary), undecodable: Arc::clone(undecodable) }
    }

    /// Returns the object of that name, in the namespace of the primary. A cluster-scoped primary has none: use
    /// [`Watched::lister`] with a whole key there. An object that does not decode counts as missing and is logged.
    pub fn get(&self, name: &str) -> Option<Arc<C>> {
        self.undecodable.readable(self.lister.get(&key_of::<C>(&self.primary, name)?))
    }

    /// Returns the lister of everything cached.
    pub fn lister(&self) -> &Lister<C> {
        &self.lister
    }
}

impl Undecodable {
    fn readable<C>(&self, read: Result<Option<Arc<C>>, DecodeError>) -> Option<Arc<C>> {
        read.unwrap_or_else(|error| {
            self.report(&error);
            None
        })
    }
}

/// The key of an object called `name` as seen from the primary; `None` where only a namespace could tell.
fn key_of<C: Kind>(primary: &Owner, name: &str) -> Option<ObjectKey> {
    match ResourceType::of::<C>().scope {
        Scope::Cluster => Some(ObjectKey::cluster(name)),
        Scope::Namespaced => primary.key.namespace().map(|namespace| ObjectKey::namespaced(namespace, name)),
    }
}

impl<C> std::fmt::Debug for Owned<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Owned").field("primary", &self.primary.key).finish_non_exhaustive()
    }
}

impl<C> std::fmt::Debug for Watched<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("primary", &self.primary.key).finish_non_exhaustive()
    }
}
