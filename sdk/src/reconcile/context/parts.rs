//! The caches of one owned kind: a kind may be declared several times, each narrowed.
use std::sync::Arc;

use crate::apply::{Applied, Caches, Labels, Selected, selects};
use crate::declare::{OwnedBy, Primary, Role, View};
use crate::informer::SharedInformer;
use crate::reconcile::error::{Error, Result};
use crate::resource::{Kind, ObjectKey, ResourceType};
use crate::store::decode::decode;
use crate::store::lister::Lister;
use crate::wire::RawObject;

use super::Context;

/// The caches of one owned kind, at least one.
pub(super) struct Parts<C>(Vec<Part<C>>);

struct Part<C> {
    lister: Lister<C>,
    informer: Arc<SharedInformer>,
    view: View,
}

impl<P: Primary> Context<P> {
    /// Returns the caches of kind `C`.
    pub(super) fn parts<C: OwnedBy<P>>(&self) -> Result<Parts<C>> {
        let resource = ResourceType::of::<C>();
        let relations = self.shared.declaration().relations.iter().enumerate();
        let owned = relations.filter(|(_, relation)| relation.role == Role::Owns && relation.resource == resource);
        let part = |slot: usize, view| {
            let informer = Arc::clone(&self.shared.relations()[slot]);
            Part { lister: self.shared.lister(slot), informer, view }
        };
        let parts: Vec<_> = owned.map(|(slot, relation)| part(slot, relation.narrow.view)).collect();
        if parts.is_empty() {
            let message = format!("{} does not declare owns({})", self.primary.resource.kind, resource.kind);
            return Err(Error::new(message).terminal());
        }
        Ok(Parts(parts))
    }
}

impl<C: Kind> Parts<C> {
    pub(super) fn listers(&self) -> impl Iterator<Item = &Lister<C>> {
        self.0.iter().map(|part| &part.lister)
    }

    /// Returns a child as it is cached.
    pub(super) fn raw(&self, key: &ObjectKey) -> Option<Arc<RawObject>> {
        self.listers().find_map(|lister| lister.raw(key))
    }

    /// Returns a child that was applied, decoded.
    pub(super) fn read(&self, applied: Applied<C>) -> Result<Arc<C>> {
        let object = match applied {
            Applied::Answer(child) => return Ok(child),
            Applied::Cached(object) => object,
        };
        let key = &object.metadata().key;
        Ok(match self.listers().find_map(|lister| lister.get(key).transpose()) {
            Some(child) => child?,
            // It vanished between the two looks; what was seen is as true as any later answer.
            None => Arc::new(decode(&object)?),
        })
    }
}

impl<C: Kind> Caches for Parts<C> {
    fn find(&self, key: &ObjectKey) -> Option<(Arc<RawObject>, View)> {
        self.0.iter().find_map(|part| Some((part.lister.raw(key)?, part.view)))
    }

    fn view(&self) -> View {
        self.0[0].view
    }

    fn missed(&self, key: &ObjectKey, labels: &Labels) -> Option<String> {
        let mut watched = Vec::new();
        for target in self.0.iter().flat_map(|part| part.informer.targets()) {
            watched.push(match selects(target, key, labels) {
                Selected::Yes | Selected::Perhaps => return None,
                Selected::Elsewhere(namespace) => format!("namespace {namespace}"),
                Selected::Unlabelled(requirements) => format!("labels `{requirements}`"),
            });
        }
        Some(watched.join(" and "))
    }
}
