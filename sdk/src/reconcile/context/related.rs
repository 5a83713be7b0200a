//! The cached objects that belong to one primary, as its context shows them.
use std::sync::Arc;

use crate::apply::{Owner, PrimaryMemory, Writer};
use crate::informer::SharedInformer;
use crate::resource::{Kind, ObjectKey, ResourceType, Scope};
use crate::store::lister::{DecodeError, Lister};

use super::shared::Undecodable;

/// The children of one kind: as they are cached, and where the cache is behind what this operator wrote, as that was
/// answered.
pub struct Owned<C> {
    lister: Lister<C>,
    written: Option<Written>,
    primary: Arc<Owner>,
    undecodable: Arc<Undecodable>,
}

/// What was written for a primary and one informer may not show yet.
#[derive(Clone)]
pub(super) struct Written {
    pub(super) writer: Arc<Writer>,
    pub(super) memory: Arc<PrimaryMemory>,
    pub(super) informer: Arc<SharedInformer>,
}

impl<C: Kind> Owned<C> {
    pub(super) fn new(lister: Lister<C>, primary: &Arc<Owner>, undecodable: &Arc<Undecodable>) -> Self {
        Self { lister, written: None, primary: Arc::clone(primary), undecodable: Arc::clone(undecodable) }
    }

    /// Shows what was written, too.
    pub(super) fn including(self, written: Written) -> Self {
        Self { written: Some(written), ..self }
    }

    /// Returns the children this primary controls, ordered by key, those included that this reconcile has just applied. A
    /// child that it deleted is there until the event of that. Objects that do not decode are left out and logged;
    /// [`Owned::lister`] returns them as errors.
    pub fn owned(&self) -> Vec<Arc<C>> {
        let ahead = self.ahead();
        let mut children = self.cached();
        if !ahead.is_empty() {
            children.retain(|child| ahead.iter().all(|ahead| ObjectKey::of(&**ahead) != ObjectKey::of(&**child)));
            children.extend(ahead);
            children.sort_by_cached_key(|child| ObjectKey::of(&**child));
        }
        children
    }

    fn ahead(&self) -> Vec<Arc<C>> {
        let ahead = self.written.as_ref().map(|written| written.writer.ahead(&written.memory, &written.informer));
        ahead.unwrap_or_default()
    }

    fn cached(&self) -> Vec<Arc<C>> {
        if let Ok(children) = self.lister.controlled_by(&self.primary.uid) {
            return children;
        }
        let keys = self.lister.keys_controlled_by(&self.primary.uid);
        keys.iter().filter_map(|key| self.undecodable.readable(self.lister.get(key))).collect()
    }

    /// Returns the child of that name, in the namespace of the primary, if this primary controls it. For a
    /// cluster-scoped primary: the first of its children of that name in any namespace.
    pub fn get(&self, name: &str) -> Option<Arc<C>> {
        let wanted = key_of::<C>(&self.primary, name);
        let is_wanted = |child: &Arc<C>| {
            let key = ObjectKey::of(&**child);
            wanted.as_ref().map_or(key.name() == name, |wanted| key == *wanted)
        };
        if let Some(child) = self.ahead().into_iter().find(is_wanted) {
            return Some(child);
        }
        let mine = |key: &ObjectKey| {
            let metadata = self.lister.metadata(key)?;
            let controller = metadata.controller()?;
            (controller.uid == self.primary.uid).then_some(())
        };
        let key = self.keys_of(name).into_iter().find(|key| mine(key).is_some())?;
        self.undecodable.readable(self.lister.get(&key))
    }

    /// Returns the lister of everything cached, children of others included, and nothing else.
    pub fn lister(&self) -> &Lister<C> {
        &self.lister
    }

    /// The keys that a child called `name` can have.
    pub(super) fn keys_of(&self, name: &str) -> Vec<ObjectKey> {
        match key_of::<C>(&self.primary, name) {
            Some(key) => vec![key],
            None => {
                let mut keys = self.lister.keys_controlled_by(&self.primary.uid);
                keys.retain(|key| key.name() == name);
                keys
            }
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
