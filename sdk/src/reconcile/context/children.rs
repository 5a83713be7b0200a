//! The cached children of one primary, by kind: what the graph of dependents looks at and deletes.
use std::sync::Arc;

use crate::apply::{Deletion, Owner};
use crate::declare::{OwnedBy, Primary};
use crate::resource::ObjectKey;
use crate::wire::RawObject;

use super::Context;
use crate::reconcile::error::Result;

impl<P: Primary> Context<P> {
    /// Returns the primary as its children refer to it.
    pub(crate) fn owner(&self) -> &Owner {
        &self.primary
    }

    /// Returns the name of the controller.
    pub(crate) fn controller(&self) -> &'static str {
        self.shared.declaration().name
    }

    /// Says whether the status of the primary has conditions.
    pub(crate) fn has_conditions(&self) -> bool {
        self.shared.writer().has_conditions()
    }

    /// Returns the keys of the cached children of kind `C` that this primary controls, each once, in order.
    pub(crate) fn children<C: OwnedBy<P>>(&self) -> Result<Vec<ObjectKey>> {
        let parts = self.parts::<C>()?;
        let mut keys: Vec<_> =
            parts.listers().flat_map(|lister| lister.keys_controlled_by(&self.primary.uid)).collect();
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    /// Returns a child as it is cached.
    pub(crate) fn child<C: OwnedBy<P>>(&self, key: &ObjectKey) -> Result<Option<Arc<RawObject>>> {
        Ok(self.parts::<C>()?.raw(key))
    }

    /// Deletes one child; one that is gone or going is deleted already.
    pub(crate) async fn delete_child<C: OwnedBy<P>>(&self, key: &ObjectKey, deletion: &Deletion) -> Result<()> {
        let cached = self.child::<C>(key)?;
        Ok(self.shared.writer().delete::<C>(&self.primary, key, cached, deletion).await?)
    }
}
