//! The informer and lister of a primary kind with its declared indexes: what the derive's newtypes stand on.
use std::ops::Deref;
use std::sync::Arc;

use crate::declare::Primary;
use crate::store::index::Index;
use crate::store::lister::{DecodeError, Lister};

use super::Informer;
use super::factory::InformerFactory;

/// A primary kind with a lister of its own. Implemented by `#[derive(Operator)]`.
pub trait DeclaredKind: Primary {
    /// The lister with a method for each declared index.
    type Lister;

    /// Gives the lister its methods.
    const LISTER: fn(DeclaredLister<Self>) -> Self::Lister;
}

/// The informer of a primary kind, its declared indexes included.
#[derive(Clone, Debug)]
pub struct DeclaredInformer<P> {
    informer: Informer<P>,
    indexes: Arc<[Index<P>]>,
}

impl<P: Primary> DeclaredInformer<P> {
    /// Returns the informer of `P` with the indexes of its declaration, each added once however often this is called.
    pub fn new(factory: &InformerFactory) -> Self {
        let informer = factory.informer::<P>();
        let slots = informer.shared().declared_slots::<P>(|| {
            let indexes = P::declaration().indexes.into_iter();
            indexes.map(|index| informer.add_projection(index.project).slot).collect()
        });
        let indexes = slots.iter().map(|&slot| informer.index(slot)).collect();
        Self { informer, indexes }
    }

    /// Returns the read view with the declared indexes.
    pub fn declared_lister(&self) -> DeclaredLister<P> {
        DeclaredLister { lister: self.informer.lister(), indexes: Arc::clone(&self.indexes) }
    }
}

impl<P: DeclaredKind> DeclaredInformer<P> {
    /// Returns the read view, with a method for each declared index.
    pub fn lister(&self) -> P::Lister {
        P::LISTER(self.declared_lister())
    }
}

impl<P> Deref for DeclaredInformer<P> {
    type Target = Informer<P>;
    fn deref(&self) -> &Informer<P> {
        &self.informer
    }
}

/// The lister of a primary kind, its declared indexes included.
#[derive(Clone, Debug)]
pub struct DeclaredLister<P> {
    lister: Lister<P>,
    indexes: Arc<[Index<P>]>,
}

impl<P: Primary> DeclaredLister<P> {
    /// Queries the declared index at `slot`. Generated code calls it; users call the method the index is named after.
    ///
    /// # Errors
    /// As [`Lister::list`].
    ///
    /// # Panics
    /// When `P` declares fewer indexes: generated code counts the same declaration.
    #[doc(hidden)]
    pub fn by_slot(&self, slot: usize, value: &str) -> Result<Vec<Arc<P>>, DecodeError> {
        self.lister.by(&self.indexes[slot], value)
    }
}

impl<P> Deref for DeclaredLister<P> {
    type Target = Lister<P>;
    fn deref(&self) -> &Lister<P> {
        &self.lister
    }
}
