//! What a reconcile may read and write: exactly what its operator declares.
use std::marker::PhantomData;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::declare::{OwnedBy, Primary};
use crate::informer::declared::DeclaredLister;
use crate::resource::{Kind, ObjectKey};
use crate::store::lister::Lister;

use super::error::{Error, Result};

/// The reads and writes of one reconcile of one `P`. Cheap to clone.
pub struct Context<P> {
    kind: PhantomData<fn() -> P>,
}

impl<P: Primary> Context<P> {
    /// Returns the key that is reconciled.
    pub fn key(&self) -> &ObjectKey {
        panic!("skeleton")
    }

    /// Applies a child by server-side apply, skipped when nothing would change. Returns the live child.
    ///
    /// Fills in namespace (that of the primary), owner reference and field manager.
    ///
    /// # Errors
    /// What the API server answered.
    pub async fn apply<C: OwnedBy<P>>(&self, child: C) -> Result<Arc<C>> {
        let _ = child;
        panic!("skeleton")
    }

    /// Deletes a child of this primary by name; one that does not exist is deleted already.
    ///
    /// # Errors
    /// What the API server answered; refuses children of others.
    pub async fn delete<C: OwnedBy<P>>(&self, name: &str) -> Result<()> {
        let _ = name;
        panic!("skeleton")
    }

    /// Sets one condition of the status, with observedGeneration; skipped when nothing would change.
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
        let _ = (kind, status.into(), reason, message);
        panic!("skeleton")
    }

    /// Sets the status, all but its conditions, which belong to [`Context::set_condition`].
    ///
    /// # Errors
    /// What the API server answered.
    pub async fn set_status(&self, status: P::Status) -> Result<()>
    where
        P: kube::core::object::HasStatus,
        P::Status: serde::Serialize,
    {
        let _ = status;
        panic!("skeleton")
    }

    /// Returns the read view of all cached primaries. Generated code wraps it.
    #[doc(hidden)]
    pub fn primaries(&self) -> DeclaredLister<P> {
        panic!("skeleton")
    }

    /// Returns the children of kind `C` declared at `slot`. Generated code calls it.
    #[doc(hidden)]
    pub fn owned<C: Kind>(&self, slot: usize) -> Owned<C> {
        let _ = slot;
        panic!("skeleton")
    }

    /// Returns the watched objects of kind `C` declared at `slot`. Generated code calls it.
    #[doc(hidden)]
    pub fn watched<C: Kind>(&self, slot: usize) -> Watched<C> {
        let _ = slot;
        panic!("skeleton")
    }
}

/// The cached children of one kind.
pub struct Owned<C> {
    kind: PhantomData<fn() -> C>,
}

impl<C: Kind> Owned<C> {
    /// Returns the children this primary controls. Objects that do not decode are left out and reported.
    pub fn owned(&self) -> Vec<Arc<C>> {
        panic!("skeleton")
    }

    /// Returns the child of that name, in the namespace of the primary, if this primary controls it.
    pub fn get(&self, name: &str) -> Option<Arc<C>> {
        let _ = name;
        panic!("skeleton")
    }

    /// Returns the lister of everything cached, children of others included.
    pub fn lister(&self) -> &Lister<C> {
        panic!("skeleton")
    }
}

/// The cached objects of a watched kind.
pub struct Watched<C> {
    kind: PhantomData<fn() -> C>,
}

impl<C: Kind> Watched<C> {
    /// Returns the object of that name, in the namespace of the primary.
    pub fn get(&self, name: &str) -> Option<Arc<C>> {
        let _ = name;
        panic!("skeleton")
    }

    /// Returns the lister of everything cached.
    pub fn lister(&self) -> &Lister<C> {
        panic!("skeleton")
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

impl From<bool> for ConditionStatus {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

impl<P> Clone for Context<P> {
    fn clone(&self) -> Self {
        Self { kind: PhantomData }
    }
}

impl<P> std::fmt::Debug for Context<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Context")
    }
}

#[allow(dead_code)]
fn skeleton(_: Condition, _: Error) {}

impl<C> std::fmt::Debug for Owned<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Owned")
    }
}

impl<C> std::fmt::Debug for Watched<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watched")
    }
}
