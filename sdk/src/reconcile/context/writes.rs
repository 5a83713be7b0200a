//! Writes of children beyond the apply: create-only, deletion on conditions, and what would happen.
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::apply::Deletion;
use crate::declare::{OwnedBy, Primary};

use super::super::error::Result;
use super::Context;

impl<P: Primary> Context<P> {
    /// Creates a child unless it exists, and never changes one that does: for what is made once, such as a generated
    /// password. Returns the child as it is then. One that is cached costs no request.
    ///
    /// Namespace, owner reference and field manager are filled in as by [`Context::apply`].
    ///
    /// # Errors
    /// As [`Context::apply`]; refuses children of others.
    pub async fn create<C: OwnedBy<P>>(&self, child: C) -> Result<Arc<C>> {
        self.shared.refuse_unseen(&child)?;
        if let Some(name) = &child.meta().name
            && let Some(cached) =
                self.declared::<C>()?.iter().find_map(|(lister, _)| self.owned_view(lister.clone()).get(name))
        {
            return Ok(cached);
        }
        Ok(self.shared.writer().create(&self.primary, &child).await?)
    }

    /// Returns what the API server would make of a child that is applied: defaulted, validated and admitted, with a server-side
    /// dry run. Nothing is stored, and nothing is skipped: each call is a request.
    ///
    /// # Errors
    /// As [`Context::apply`].
    pub async fn dry_run<C: OwnedBy<P>>(&self, child: C) -> Result<Arc<C>> {
        Ok(self.shared.writer().dry_run(&self.primary, &child).await?)
    }

    /// As [`Context::delete`], on conditions: what becomes of the child's own children, and which version of it may go.
    ///
    /// # Errors
    /// What the API server answered, a conflict where the child has changed; refuses children of others.
    pub async fn delete_with<C: OwnedBy<P>>(&self, name: &str, deletion: Deletion) -> Result<()> {
        let parts = self.declared::<C>()?;
        let keys: BTreeSet<_> =
            parts.iter().flat_map(|(lister, _)| self.owned_view(lister.clone()).keys_of(name)).collect();
        for key in keys {
            let cached = parts.iter().find_map(|(lister, _)| lister.raw(&key));
            self.shared.writer().delete_with::<C>(&self.primary, &key, cached, &deletion).await?;
        }
        Ok(())
    }
}
