//! What all reconciles of one operator share: its declaration, its caches and its writer.
use std::any::Any;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::apply::Writer;
use crate::client::Client;
use crate::declare::crd::StatusSchema;
use crate::declare::{Declaration, Primary};
use crate::informer::declared::{DeclaredInformer, DeclaredLister};
use crate::informer::factory::InformerFactory;
use crate::resource::{Kind, ObjectKey};
use crate::store::lister::{DecodeError, Lister};

/// One operator at run time.
pub(crate) struct Shared<P> {
    declaration: Declaration<P>,
    informers: InformerFactory,
    primaries: DeclaredLister<P>,
    /// A `Lister<C>` for each relation, made when a reconcile first asks: only there `C` is known.
    listers: Vec<OnceLock<Box<dyn Any + Send + Sync>>>,
    writer: Writer,
    undecodable: Arc<Undecodable>,
}

impl<P: Primary> Shared<P> {
    /// Joins what `declaration` needs at run time. Starts nothing.
    pub(crate) fn new(declaration: Declaration<P>, client: Client, informers: &InformerFactory) -> Self {
        // The schema decides what a status can hold; without a status the CRD need not even be made.
        let schema = match declaration.status {
            true => StatusSchema::of(&(declaration.crd)(), &declaration.primary.version),
            false => StatusSchema::default(),
        };
        Self {
            writer: Writer::new(client, declaration.name, &declaration.primary, schema),
            primaries: DeclaredInformer::new(informers).declared_lister(),
            informers: informers.clone(),
            listers: declaration.relations.iter().map(|_| OnceLock::new()).collect(),
            undecodable: Arc::default(),
            declaration,
        }
    }

    /// Returns what the operator declares.
    pub(crate) fn declaration(&self) -> &Declaration<P> {
        &self.declaration
    }

    /// Returns the cached primaries.
    pub(crate) fn primaries(&self) -> &DeclaredLister<P> {
        &self.primaries
    }

    /// Returns the writer.
    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Returns the record of objects that do not decode.
    pub(crate) fn undecodable(&self) -> &Arc<Undecodable> {
        &self.undecodable
    }

    /// Returns the lister of the relation at `slot`. The factory shares informers, so it reads the very cache whose
    /// events wake this operator.
    pub(crate) fn lister<C: Kind>(&self, slot: usize) -> Lister<C> {
        let make = || self.informers.narrowed::<C>(&self.declaration.relations[slot].narrow).lister();
        let lister = self.listers[slot].get_or_init(|| Box::new(make()));
        lister.downcast_ref::<Lister<C>>().cloned().unwrap_or_else(make)
    }
}

/// How many undecodable objects are remembered, so that each is logged once. Beyond it the record starts anew: some are
/// logged twice, memory stays bounded.
const MAX_REPORTED: usize = 1024;

/// The objects that were already reported as undecodable.
#[derive(Debug, Default)]
pub(crate) struct Undecodable {
    reported: Mutex<HashSet<(String, ObjectKey)>>,
}

impl Undecodable {
    /// Logs it the first time.
    pub(crate) fn report(&self, error: &DecodeError) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.len() >= MAX_REPORTED {
            reported.clear();
        }
        if reported.insert((error.kind.clone(), error.key.clone())) {
            let cause: &dyn std::error::Error = &error.source;
            tracing::warn!(kind = error.kind, object = %error.key, error = cause, "{error}: left out");
        }
    }
}
