//! What a reconcile may read and write: exactly what its operator declares.
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::apply::{Applied, Owner, PrimaryMemory, Statement, Subject};
use crate::declare::{OwnedBy, Primary, Role, View};
use crate::informer::declared::DeclaredLister;
use crate::resource::{Kind, ObjectKey, ResourceType};
use crate::store::decode::decode;
use crate::store::lister::Lister;

use super::error::{Error, Result};

mod related;
pub(crate) mod shared;
mod writes;

pub use related::{Owned, Watched};

use related::Written;
use shared::Shared;

/// The number of the view of the primaries: the first that a writer is told of.
const PRIMARIES: usize = 0;

/// The reads and writes of one reconcile of one `P`. Cheap to clone.
pub struct Context<P> {
    shared: Arc<Shared<P>>,
    primary: Arc<Owner>,
    generation: Option<i64>,
    /// What this reconcile reads is noted there.
    memory: Arc<PrimaryMemory>,
}

impl<P: Primary> Context<P> {
    /// Makes the context of one reconcile of `object`.
    pub(crate) fn new(shared: &Arc<Shared<P>>, object: &P) -> Self {
        let meta = object.meta();
        let primary = Owner {
            resource: shared.declaration().primary.clone(),
            key: ObjectKey::of(object),
            uid: meta.uid.as_deref().unwrap_or_default().into(),
        };
        let memory = shared.writer().begin(&primary.key);
        Self { shared: Arc::clone(shared), primary: Arc::new(primary), generation: meta.generation, memory }
    }

    /// Returns the key that is reconciled.
    pub fn key(&self) -> &ObjectKey {
        &self.primary.key
    }

    /// Returns the uid of the object that is reconciled: what tells two lives of one key apart.
    pub fn uid(&self) -> &str {
        &self.primary.uid
    }

    /// Returns the generation that is reconciled.
    pub fn generation(&self) -> Option<i64> {
        self.generation
    }

    /// Returns a kube client with the operator's credentials, for what no context covers: the role that `rbac` prints
    /// knows nothing of its requests.
    pub fn client(&self) -> kube::Client {
        self.shared.writer().client().kube()
    }

    /// Applies a child by server-side apply, skipped when nothing would change. Returns the live child.
    ///
    /// Fills in the namespace (that of the primary), the owner reference and the field manager, and takes over fields
    /// that others set. Fields left out of `child` are given up: the API server removes or resets them. `status`,
    /// nulls and what only the API server sets are not sent.
    ///
    /// Skipped when the answer to the last apply of the same child, or the cached child itself, proves that nothing would
    /// change; other writers' changes to fields of their own are no change.
    ///
    /// # Errors
    /// What the API server answered. Terminal for a child without a name, of another namespace, or with labels that
    /// `owns(.., labels = ..)` does not select; transient while
    /// another object controls the child.
    pub async fn apply<C: OwnedBy<P>>(&self, child: C) -> Result<Arc<C>> {
        let parts = self.declared::<C>()?;
        self.shared.refuse_unseen(&child)?;
        let cached = |key: &ObjectKey| parts.iter().find_map(|(lister, view)| Some((lister.raw(key)?, *view)));
        Ok(match self.shared.writer().apply(&self.primary, &child, parts[0].1, cached).await? {
            Applied::Answer(child) => child,
            Applied::Cached(object) => {
                let key = &object.metadata().key;
                match parts.iter().find_map(|(lister, _)| lister.get(key).transpose()) {
                    Some(child) => child?,
                    // It vanished between the two looks; what was seen is as true as any later answer.
                    None => Arc::new(decode(&object)?),
                }
            }
        })
    }

    /// Deletes a child of this primary by name; one that does not exist, or is being deleted, is deleted already.
    ///
    /// The name is looked up in the namespace of the primary, for a cluster-scoped primary among all its children.
    ///
    /// # Errors
    /// What the API server answered; refuses children of others.
    pub async fn delete<C: OwnedBy<P>>(&self, name: &str) -> Result<()> {
        let parts = self.declared::<C>()?;
        let keys: BTreeSet<_> =
            parts.iter().flat_map(|(lister, _)| self.owned_view(lister.clone()).keys_of(name)).collect();
        for key in keys {
            let cached = parts.iter().find_map(|(lister, _)| lister.raw(&key));
            self.shared.writer().delete::<C>(&self.primary, &key, cached).await?;
        }
        Ok(())
    }

    /// Sets one condition of the status, with observedGeneration; skipped when nothing would change.
    ///
    /// `lastTransitionTime` moves only when `status` does. Conditions of other types stay, whoever set them.
    ///
    /// # Errors
    /// What the API server answered; terminal where the status has no `conditions`.
    pub async fn set_condition(
        &self,
        kind: &str,
        status: impl Into<ConditionStatus>,
        reason: &str,
        message: &str,
    ) -> Result<()> {
        let status = status.into().as_str();
        let statement = Statement { kind, status, reason, message, generation: self.generation };
        self.shared.writer().set_condition(&self.subject(), &statement).await?;
        Ok(())
    }

    /// Sets the status, all but its conditions, which belong to [`Context::set_condition`].
    ///
    /// Fields that are null or left out are given up. `observedGeneration` is filled in where the status has it.
    /// Skipped when nothing would change.
    ///
    /// # Errors
    /// What the API server answered; terminal where there is no status subresource.
    pub async fn set_status(&self, status: P::Status) -> Result<()>
    where
        P: kube::core::object::HasStatus,
        P::Status: serde::Serialize,
    {
        let status = serde_json::to_value(status).map_err(|error| Error::from(error).terminal())?;
        self.shared.writer().set_status(&self.subject(), status).await?;
        Ok(())
    }

    /// Returns the read view of all cached primaries. Generated code wraps it.
    #[doc(hidden)]
    pub fn primaries(&self) -> DeclaredLister<P> {
        self.memory.note_read(PRIMARIES);
        self.shared.primaries().clone()
    }

    /// Returns the children of kind `C` declared at `slot`. Generated code calls it.
    ///
    /// # Panics
    /// When the operator declares nothing at `slot`.
    #[doc(hidden)]
    pub fn owned<C: Kind>(&self, slot: usize) -> Owned<C> {
        self.memory.note_read(self.shared.view(slot));
        self.owned_view(self.shared.lister(slot)).including(Written {
            writer: Arc::clone(self.shared.writer()),
            memory: Arc::clone(&self.memory),
            informer: Arc::clone(&self.shared.relations()[slot]),
        })
    }

    /// Returns the watched objects of kind `C` declared at `slot`. Generated code calls it.
    ///
    /// # Panics
    /// When the operator declares nothing at `slot`.
    #[doc(hidden)]
    pub fn watched<C: Kind>(&self, slot: usize) -> Watched<C> {
        self.memory.note_read(self.shared.view(slot));
        Watched::new(self.shared.lister(slot), &self.primary, self.shared.undecodable())
    }

    fn owned_view<C: Kind>(&self, lister: Lister<C>) -> Owned<C> {
        Owned::new(lister, &self.primary, self.shared.undecodable())
    }

    /// The parts of kind `C` that are owned, at least one: a kind may be declared several times, each narrowed.
    fn declared<C: OwnedBy<P>>(&self) -> Result<Vec<(Lister<C>, View)>> {
        let resource = ResourceType::of::<C>();
        let relations = self.shared.declaration().relations.iter().enumerate();
        let owned = relations.filter(|(_, relation)| relation.role == Role::Owns && relation.resource == resource);
        let parts: Vec<_> = owned.map(|(slot, relation)| (self.shared.lister(slot), relation.narrow.view)).collect();
        if parts.is_empty() {
            let message = format!("{} does not declare owns({})", self.primary.resource.kind, resource.kind);
            return Err(Error::new(message).terminal());
        }
        Ok(parts)
    }

    fn subject(&self) -> Subject<'_> {
        let cached = self.shared.primaries().raw(&self.primary.key);
        // A newer life of the same key says nothing about this one.
        let cached = cached.filter(|cached| cached.metadata().uid == self.primary.uid);
        Subject { primary: &self.primary, generation: self.generation, cached }
    }
}

/// The three states of a condition. `bool` converts into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    /// `"True"`.
    True,
    /// `"False"`.
    False,
    /// `"Unknown"`.
    Unknown,
}

impl ConditionStatus {
    /// Returns it as the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for ConditionStatus {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

impl<P> Clone for Context<P> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            primary: Arc::clone(&self.primary),
            generation: self.generation,
            memory: Arc::clone(&self.memory),
        }
    }
}

impl<P> std::fmt::Debug for Context<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Context").field(&self.primary).finish()
    }
}
