//! What a reconcile may read and write: exactly what its operator declares.
//!
//! # Writes
//!
//! | method of [`Context`] | request | a lost race | what the next reconcile waits for | verbs of the role |
//! |---|---|---|---|---|
//! | [`apply`](Context::apply) of a child that is cached | server-side apply, or none where it would change nothing | none: the API server applies to what there is. Where nobody controlled the child, it must be the version that was cached: else a conflict | the version answered, in every cache that shows it | `patch` |
//! | `apply` of one that is not cached | server-side apply that only creates; where there is an object it is read, and then as above | an object that another controls: a transient error that names the owner. One that came and went: a conflict | as above | `patch`, `create`, `get` |
//! | [`create`](Context::create) | none where the child is cached, else server-side apply that only creates, and a read where there is an object | as above; that there is an object is an outcome, [`Creation::Exists`] | the version answered; nothing where it existed | `patch`, `create`, `get` |
//! | [`dry_run`](Context::dry_run) | as `apply`, never skipped, with `dryRun=All` | as `apply` | nothing | `patch`, `create`, `get` |
//! | [`delete`](Context::delete) | DELETE of the uid | another object under that name: a conflict. One that is gone is deleted | that the uid is gone or going | `delete` |
//! | [`delete_with`](Context::delete_with) | DELETE of the uid, of the version that was looked at, with a propagation policy | as above; a child that has changed since: a conflict | as above | `delete` |
//! | [`set_status`](Context::set_status), [`set_condition`](Context::set_condition) | server-side apply of the status by a field manager of their own, or none | a primary that is gone: a conflict | the version answered | `patch` of the status |
//! | the finalizer, by itself | merge patch of the version that was looked at | a conflict; removal looks again, three times | the version answered | `patch` of the primary |
//!
//! Conflicts are run again soon and quietly. Other refusals of the API server, 422 included, are transient and backed off:
//! what it refuses today may be accepted when a CRD, a quota or a webhook has changed. Errors that only a change of the
//! primary or of the operator can end are terminal. After an answer that did not come, or a 5xx, the next reconcile first
//! reads what became of it ([`ReadYourWrites`](crate::controller::ReadYourWrites)).
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::apply::{Deletion, Made, Owner, PrimaryMemory, Statement, Subject};
use crate::declare::{OwnedBy, Primary};
use crate::informer::declared::DeclaredLister;
use crate::resource::{Kind, ObjectKey};

use super::error::{Error, Result};

mod children;
mod creation;
mod parts;
mod related;
pub(crate) mod shared;

pub use creation::Creation;
pub use related::{Owned, Watched};

use related::{Written, keys_of};
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
    /// A child of another primary, of this operator too, is never taken over, whether a cache shows it or not. One that
    /// nobody controls is adopted.
    ///
    /// # Errors
    /// What the API server answered. Terminal for a child without a name, of another namespace, or outside of what
    /// `owns(..)` watches of its kind (by `labels` and `namespace`; field selectors are not judged): it would never be
    /// seen again. Transient while another object controls the child.
    pub async fn apply<C: OwnedBy<P>>(&self, child: C) -> Result<Arc<C>> {
        let parts = self.parts::<C>()?;
        parts.read(self.shared.writer().apply(&self.primary, &child, &parts).await?)
    }

    /// Creates a child unless there is an object of its name, which is left as it is: for what is made once, such as a
    /// generated password.
    ///
    /// What is filled in is as for [`Context::apply`]. A child that is cached whole costs no request.
    ///
    /// ```no_run
    /// # use kubewright::k8s_openapi::api::core::v1::Secret;
    /// # use kubewright::declare::{OwnedBy, Primary};
    /// # use kubewright::{Context, Result};
    /// # async fn password<P: Primary>(cx: Context<P>, generated: Secret) -> Result<()> where Secret: OwnedBy<P> {
    /// let password = cx.create(generated).await?.into_object();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Context::apply`].
    pub async fn create<C: OwnedBy<P>>(&self, child: C) -> Result<Creation<C>> {
        let parts = self.parts::<C>()?;
        Ok(match self.shared.writer().create(&self.primary, &child, &parts).await? {
            Made::Created(child) => Creation::Created(child),
            Made::Exists(child) => Creation::Exists(parts.read(child)?),
        })
    }

    /// Returns what the API server would make of a child that is applied: with what it fills in, and validated and
    /// admitted as if it were stored. Nothing is. Each call is a request.
    ///
    /// Admission webhooks with side effects refuse dry runs (`sideEffects`).
    ///
    /// # Errors
    /// As [`Context::apply`].
    pub async fn dry_run<C: OwnedBy<P>>(&self, child: C) -> Result<Arc<C>> {
        Ok(self.shared.writer().dry_run(&self.primary, &child, &self.parts::<C>()?).await?)
    }

    /// Deletes a child of this primary by name; one that does not exist, or is being deleted, is deleted already. What it
    /// owns itself goes afterwards, in the background.
    ///
    /// The name is looked up in the namespace of the primary, for a cluster-scoped primary among all its children. The
    /// object of the uid that is known is deleted, and no other that took its name.
    ///
    /// # Errors
    /// What the API server answered; refuses children of others.
    pub async fn delete<C: OwnedBy<P>>(&self, name: &str) -> Result<()> {
        self.delete_with::<C>(name, Deletion::default()).await
    }

    /// Deletes a child as [`Context::delete`] does, and as `deletion` says: what becomes of what it owns, and which state of
    /// it may go.
    ///
    /// ```no_run
    /// # use kubewright::k8s_openapi::api::batch::v1::Job;
    /// # use kubewright::declare::{OwnedBy, Primary};
    /// # use kubewright::reconcile::{Deletion, Owned};
    /// # use kubewright::{Context, Result};
    /// # fn has_failed(job: &Job) -> bool { true }
    /// # async fn sweep<P: Primary>(cx: Context<P>, jobs: Owned<Job>) -> Result<()> where Job: OwnedBy<P> {
    /// if let Some(job) = jobs.get("import").filter(|job| has_failed(job)) {
    ///     // Not if it has come through meanwhile.
    ///     cx.delete_with::<Job>("import", Deletion::foreground().if_unchanged(&*job)).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Context::delete`]; a conflict where the child is no longer as it was seen.
    pub async fn delete_with<C: OwnedBy<P>>(&self, name: &str, deletion: Deletion) -> Result<()> {
        let parts = self.parts::<C>()?;
        let keys: BTreeSet<_> = parts.listers().flat_map(|lister| keys_of(lister, &self.primary, name)).collect();
        for key in keys {
            let cached = parts.raw(&key);
            self.shared.writer().delete::<C>(&self.primary, &key, cached, &deletion).await?;
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
        let written = Written {
            writer: Arc::clone(self.shared.writer()),
            memory: Arc::clone(&self.memory),
            informer: Arc::clone(&self.shared.relations()[slot]),
        };
        Owned::new(self.shared.lister(slot), written, &self.primary, self.shared.undecodable())
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
