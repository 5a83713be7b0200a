//! Writes of children.
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::apply::{Deletion, Made};
use crate::declare::{OwnedBy, Primary};

use super::related::keys_of;
use super::{Context, Creation};
use crate::reconcile::error::Result;

impl<P: Primary> Context<P> {
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
}
