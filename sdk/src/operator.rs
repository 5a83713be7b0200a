//! One operator as a value: a declaration and the reconciler that is made when it runs.
use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::client::Client;
use crate::controller::{Controller, Filter, Predicate, Source, Watch};
use crate::declare::rbac::Declared;
use crate::declare::{Declaration, Mapping, Primary, Reference, Relation};
use crate::dependents::HasDependents;
use crate::dependents::render::{RenderError, render_json};
use crate::informer::SharedInformer;
use crate::informer::declared::DeclaredInformer;
use crate::informer::factory::InformerFactory;
use crate::reconcile::context::shared::Shared;
use crate::reconcile::dispatch;
use crate::reconcile::{ReconcileFn, Reconciler, Result};
use crate::resource::{Kind, ObjectKey, Scope};

/// What a reconciler can be made from, once there is a cluster.
#[derive(Clone, Debug)]
pub struct Setup {
    client: Client,
    informers: InformerFactory,
}

impl Setup {
    /// Makes a setup by hand, for operators that run without `kubewright::main`.
    pub fn new(client: Client, informers: InformerFactory) -> Self {
        Self { client, informers }
    }

    /// Returns a kube client with the operator's credentials.
    pub fn client(&self) -> kube::Client {
        self.client.kube()
    }

    /// Returns the factory whose informers start with the operator.
    pub fn informers(&self) -> &InformerFactory {
        &self.informers
    }
}

/// An operator: declared, not yet running. Made by the `operator` function of a type that derives `Operator`.
pub struct Operator {
    declared: Declared,
    make: Make,
    render: Option<RenderFn>,
    filters: Filters,
}

/// Which events count, of primaries and of relations by slot. One that is not there lets all through.
#[derive(Default)]
struct Filters {
    primaries: Option<Filter>,
    relations: Vec<(usize, Filter)>,
}

impl Filters {
    fn of_relation(&self, slot: usize) -> Option<Filter> {
        self.relations.iter().find(|(of, _)| *of == slot).map(|(_, filter)| Arc::clone(filter))
    }
}

/// Renders the desired children of a primary that is given as JSON.
type RenderFn = fn(serde_json::Value) -> Result<Vec<serde_json::Value>, RenderError>;

/// Makes the reconciler and the controller that calls it.
type Make = Box<dyn FnOnce(Setup, Filters) -> BoxFuture<'static, Result<(Controller, ReconcileFn)>> + Send>;

impl Operator {
    /// Joins the declaration of `P` and the way to make its reconciler.
    ///
    /// `make` is called when the operator runs, and not for the commands that only print what is declared.
    pub fn new<P, R, F, Fut>(make: F) -> Self
    where
        P: Primary,
        R: Reconciler<P>,
        F: FnOnce(Setup) -> Fut + Send + 'static,
        Fut: Future<Output = Result<R>> + Send + 'static,
    {
        let declaration = P::declaration();
        let declared = declaration.erase();
        let make = move |setup: Setup, filters: Filters| {
            async move {
                let reconciler = make(setup.clone()).await?;
                Ok(assemble(declaration, &setup, &filters, reconciler))
            }
            .boxed()
        };
        Self { declared, make: Box::new(make), render: None, filters: Filters::default() }
    }

    /// Lets only those events of primaries of kind `P` start a reconcile that `predicate` passes; the last one given counts.
    #[must_use]
    pub fn filter_primaries<P: Primary>(mut self, predicate: Predicate<P>) -> Self {
        self.filters.primaries = Some(predicate.erased());
        self
    }

    /// Lets only those events of a relation start a reconcile that `predicate` passes. `slot` is its position in the
    /// declaration, and `C` the kind there, or its metadata.
    #[must_use]
    pub fn filter_relation<C: Kind>(mut self, slot: usize, predicate: Predicate<C>) -> Self {
        self.filters.relations.retain(|(of, _)| *of != slot);
        self.filters.relations.push((slot, predicate.erased()));
        self
    }

    /// Lets `render` print the dependents of `P`, which is the primary of this operator.
    #[must_use]
    pub fn with_dependents<P: HasDependents>(mut self) -> Self {
        self.render = Some(render_json::<P>);
        self
    }

    /// Renders the desired children of a primary that is given as JSON, as [`dependents::render`](crate::dependents::render());
    /// `None` where there are no dependents.
    ///
    /// # Errors
    /// Where the document is not what the primary's type says, or a desired-state function fails.
    pub fn render(&self, document: serde_json::Value) -> Option<Result<Vec<serde_json::Value>, RenderError>> {
        self.render.map(|render| render(document))
    }

    /// Returns what it declares.
    pub fn declared(&self) -> &Declared {
        &self.declared
    }

    /// Makes its reconciler, and the controller that calls it: what `Manager::controller` takes.
    ///
    /// # Errors
    /// That of the function that makes the reconciler.
    pub async fn controller(self, setup: Setup) -> Result<(Controller, ReconcileFn)> {
        (self.make)(setup, self.filters).await
    }
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").field("declared", &self.declared).finish_non_exhaustive()
    }
}

fn assemble<P: Primary, R: Reconciler<P>>(
    declaration: Declaration<P>,
    setup: &Setup,
    filters: &Filters,
    reconciler: R,
) -> (Controller, ReconcileFn) {
    let shared = Arc::new(Shared::new(declaration, setup.client.clone(), &setup.informers));
    let declaration = shared.declaration();
    let writer = Arc::clone(shared.writer());
    let controller = Controller::new(declaration.name, declaration.concurrency).gate(writer);
    let primaries = Watch::primary(shared.primary());
    let primaries = filters.primaries.iter().cloned().fold(primaries, Watch::passing);
    let controller = controller.source(primaries);
    let controller = declaration.deadline.into_iter().fold(controller, Controller::deadline);
    let controller = declaration.resync.into_iter().fold(controller, Controller::resync);
    let related = declaration.relations.iter().zip(shared.relations()).enumerate();
    let controller = related.fold(controller, |controller, (slot, (relation, informer))| {
        let filter = filters.of_relation(slot);
        controller.source(source(relation, informer, filter, declaration, shared.primary()))
    });
    (controller, dispatch::dispatch(shared, reconciler))
}

fn source<P: Primary>(
    relation: &Relation<P>,
    informer: &Arc<SharedInformer>,
    filter: Option<Filter>,
    declaration: &Declaration<P>,
    primary: &DeclaredInformer<P>,
) -> Source {
    match &relation.mapping {
        Mapping::ControllerOwner => Source::owned(informer, filter, declaration.primary.clone()),
        Mapping::References(project) => {
            let (project, scope) = (*project, relation.resource.scope);
            let index = primary.add_index(move |object: &P| references(object, scope, project));
            Source::references(informer, filter, primary.shared(), index.slot)
        }
        Mapping::Function(map) => Source::mapped(informer, filter, Arc::clone(map)),
    }
}

/// Returns the keys of the objects that `object` names, in the namespace of `object` where it does not say.
fn references<P: Primary>(object: &P, scope: Scope, project: fn(&P, &mut dyn FnMut(Reference))) -> Vec<String> {
    let own = object.meta().namespace.as_deref().unwrap_or_default();
    let mut keys = Vec::new();
    project(object, &mut |reference| {
        let key = match scope {
            Scope::Cluster => ObjectKey::cluster(&reference.name),
            Scope::Namespaced => ObjectKey::namespaced(reference.namespace.as_deref().unwrap_or(own), &reference.name),
        };
        keys.push(key.as_str().to_owned());
    });
    keys
}
