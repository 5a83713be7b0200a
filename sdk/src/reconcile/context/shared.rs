//! What all reconciles of one operator share: its declaration, its caches and its writer.
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use kube::core::{Selector, SelectorExt as _};

use crate::apply::{self, Views, Writer};
use crate::client::Client;
use crate::declare::crd::StatusSchema;
use crate::declare::{Declaration, Narrow, OwnedBy, Primary, Role};
use crate::informer::declared::{DeclaredInformer, DeclaredLister};
use crate::informer::factory::InformerFactory;
use crate::informer::{Informer, SharedInformer};
use crate::resource::{Kind, ObjectKey, ResourceType};
use crate::store::lister::{DecodeError, Lister};
use crate::store::selector::parse_labels;

/// One operator at run time.
pub(crate) struct Shared<P> {
    declaration: Declaration<P>,
    primary: DeclaredInformer<P>,
    primaries: DeclaredLister<P>,
    /// The informer of each relation, by slot.
    relations: Vec<Arc<SharedInformer>>,
    /// The label selector of each relation, by slot.
    selectors: Vec<Option<Selector>>,
    /// The number of each relation's view, by slot.
    views: Vec<usize>,
    writer: Arc<Writer>,
    undecodable: Arc<Undecodable>,
}

impl<P: Primary> Shared<P> {
    /// Joins what `declaration` needs at run time. Asks the factory for every informer and starts none.
    pub(crate) fn new(declaration: Declaration<P>, client: Client, informers: &InformerFactory) -> Self {
        // The schema decides what a status can hold; without a status the CRD need not even be made.
        let schema = match declaration.status {
            true => StatusSchema::of(&(declaration.crd)(), &declaration.primary.version),
            false => StatusSchema::default(),
        };
        let primary = DeclaredInformer::new(informers);
        let relations = declaration.relations.iter();
        let relations: Vec<_> = relations.map(|it| informers.shared(it.resource.clone(), &it.narrow)).collect();
        let views = Views::new(std::iter::once(primary.shared()).chain(&relations));
        let numbers = relations.iter().filter_map(|informer| views.number(informer)).collect();
        let writer = Writer::new(client, declaration.name, &declaration.primary, schema).shown_by(views);
        Self {
            writer: Arc::new(writer),
            primaries: primary.declared_lister(),
            primary,
            relations,
            selectors: declaration.relations.iter().map(|it| selector(&it.narrow)).collect(),
            views: numbers,
            undecodable: Arc::default(),
            declaration,
        }
    }

    /// Returns the informer of the primaries.
    pub(crate) fn primary(&self) -> &DeclaredInformer<P> {
        &self.primary
    }

    /// Returns the informers of the relations, by slot.
    pub(crate) fn relations(&self) -> &[Arc<SharedInformer>] {
        &self.relations
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
    pub(crate) fn writer(&self) -> &Arc<Writer> {
        &self.writer
    }

    /// Returns the record of objects that do not decode.
    pub(crate) fn undecodable(&self) -> &Arc<Undecodable> {
        &self.undecodable
    }

    /// Refuses a child that none of the caches of its kind would show: each reconcile would find it missing and apply it again.
    pub(crate) fn refuse_unseen<C: OwnedBy<P>>(&self, child: &C) -> Result<(), apply::Error> {
        let resource = ResourceType::of::<C>();
        let relations = self.declaration.relations.iter().zip(&self.selectors);
        let owned = relations.filter(|(relation, _)| relation.role == Role::Owns && relation.resource == resource);
        let labels = child.meta().labels.clone().unwrap_or_default();
        let mut missed = Vec::new();
        for (relation, selector) in owned {
            match selector {
                Some(selector) if !selector.matches(&labels) => missed.extend(relation.narrow.labels.as_deref()),
                _ => return Ok(()),
            }
        }
        if missed.is_empty() {
            return Ok(());
        }
        let name = child.meta().name.clone().unwrap_or_default();
        Err(apply::Error::OutsideSelector { kind: resource.kind, name, labels: missed.join("` or `") })
    }

    /// Returns the number of the view of the relation at `slot`.
    pub(crate) fn view(&self, slot: usize) -> usize {
        self.views[slot]
    }

    /// Returns the lister of the relation at `slot`, which holds objects of kind `C`.
    pub(crate) fn lister<C: Kind>(&self, slot: usize) -> Lister<C> {
        let informer = &self.relations[slot];
        debug_assert_eq!(
            informer.target().resource,
            ResourceType::of::<C>(),
            "generated code names the slot of its kind"
        );
        Informer::new(Arc::clone(informer)).lister()
    }
}

/// A selector that cannot be read here is the API server's to judge.
fn selector(narrow: &Narrow) -> Option<Selector> {
    narrow.labels.as_deref().filter(|labels| !labels.is_empty()).and_then(|labels| parse_labels(labels).ok())
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
