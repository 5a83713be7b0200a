//! One reflector, one store and its handlers.
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::reflector::Failure;
use crate::resource::{Kind, ResourceVersion};
use crate::store::index::{Index, Projection};
use crate::store::lister::Lister;

pub mod declared;

pub(crate) mod event;

pub mod factory;

pub mod handler;

pub mod options;

mod presence;

mod resync;

mod runner;

mod shared;

pub mod transform;

pub use event::Event;
pub(crate) use event::RawEvent;
use handler::delivery;
use handler::{HandlerOptions, Progress, Registration, ResourceEventHandler};
pub(crate) use shared::SharedInformer;

/// A shared, typed cache of one kind with its handlers. Cheap to clone; all clones share one watch.
///
/// It runs from the factory's next start until the last that holds it is gone: informers, their listers and registrations
/// of handlers. Then its watch ends, its handlers are dropped and its memory is given back; asking the factory again makes a new one,
/// which is to be started like any other. A handler that holds an informer or a lister itself keeps it only as
/// long as it is registered.
pub struct Informer<K> {
    shared: Arc<SharedInformer>,
    /// For handlers that say nothing else.
    handlers: HandlerOptions,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Informer<K> {
    pub(crate) fn new(shared: Arc<SharedInformer>) -> Self {
        Self { shared, handlers: HandlerOptions::default(), kind: PhantomData }
    }

    /// Serves handlers that say nothing else as `options` say.
    fn serving(self, options: HandlerOptions) -> Self {
        Self { handlers: options, ..self }
    }

    /// Returns the typed read view.
    pub fn lister(&self) -> Lister<K> {
        let keeps: Arc<SharedInformer> = Arc::clone(&self.shared);
        Lister::new(Arc::clone(self.shared.store())).keeping(keeps)
    }

    /// Adds an index: `project` returns the values of one object. Works before and after start.
    ///
    /// The argument of `project` says what is decoded for it on every change of an object: the kind itself, once for all
    /// indexes and handlers that want it, or a type of your own that names only the fields the index needs, at a fraction of
    /// the cost.
    ///
    /// ```
    /// use kubewright::{Index, Informer, k8s_openapi::api::core::v1::Pod};
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct OnNode {
    ///     spec: Spec,
    /// }
    /// #[derive(Deserialize)]
    /// #[serde(rename_all = "camelCase")]
    /// struct Spec {
    ///     node_name: Option<String>,
    /// }
    ///
    /// fn by_node(pods: &Informer<Pod>) -> Index<Pod> {
    ///     pods.add_index(|pod: &OnNode| pod.spec.node_name.clone())
    /// }
    /// ```
    ///
    /// An object that does not decode, or that `project` panics on, has no values here, and is reported once. After start
    /// this fills the index before it returns, on the calling thread: add indexes before start where there are many objects.
    pub fn add_index<P, V, F>(&self, project: F) -> Index<K>
    where
        P: DeserializeOwned + Send + Sync + 'static,
        F: Fn(&P) -> V + Send + Sync + 'static,
        V: IntoIterator<Item = String>,
    {
        self.add_projection(move |object: &P, out| project(object).into_iter().for_each(|value| out(&value)))
    }

    /// Adds an index over the values of a label, which selectors on that label use from then on. Decodes nothing.
    pub fn add_label_index(&self, label: &str) -> Index<K> {
        self.index(self.shared.store().add_index(Projection::Label(label.into())))
    }

    /// Adds an index over the scalars at a path such as `spec.nodeName`, which field selectors on it use from then on.
    /// Decodes nothing else.
    ///
    /// Lists on the way are entered. An object without a value is found under the empty text, as the API server's field
    /// selectors have it.
    pub fn add_field_index(&self, path: &str) -> Index<K> {
        self.index(self.shared.store().add_index(Projection::Field(path.into())))
    }

    /// Adds an index: `project` calls its second argument once for each value of one object.
    pub(crate) fn add_projection<P, F>(&self, project: F) -> Index<K>
    where
        P: DeserializeOwned + Send + Sync + 'static,
        F: Fn(&P, &mut dyn FnMut(&str)) + Send + Sync + 'static,
    {
        let slot = self.shared.store().add_index(Projection::new(move |envelope, out| {
            project(&*envelope.decode_part::<K, P>()?, out);
            Ok(())
        }));
        self.index(slot)
    }

    /// Adds a handler; it sees every stored object first, then every change. Dropping the registration removes it.
    ///
    /// Nothing is called before the factory has started the informer. After it has stopped the handler is dropped at once,
    /// which is logged, and which [`Registration::has_ended`] tells.
    pub fn add_event_handler<H: ResourceEventHandler<K>>(&self, handler: H) -> Registration {
        self.add_event_handler_with(handler, HandlerOptions::default())
    }

    /// Adds a handler as [`Informer::add_event_handler`] does, served as `options` say.
    pub fn add_event_handler_with<H: ResourceEventHandler<K>>(
        &self,
        handler: H,
        options: HandlerOptions,
    ) -> Registration {
        let progress = Arc::<Progress>::default();
        let start = delivery::buffered(handler, Arc::clone(&progress), self.shared.store());
        self.shared.register(options.or(self.handlers), progress, start)
    }

    /// What the informer has and what keeps it from having more, as it changes.
    pub fn status(&self) -> watch::Receiver<InformerStatus> {
        self.shared.status()
    }

    /// Says whether the informer has been stopped. Once it is, it stays so: what is cached can still be read and does not
    /// change any more, and handlers that are added are dropped at once.
    pub fn is_stopped(&self) -> bool {
        self.shared.status().borrow().stopped
    }

    /// Returns the type-erased informer underneath.
    pub(crate) fn shared(&self) -> &Arc<SharedInformer> {
        &self.shared
    }

    fn index(&self, slot: usize) -> Index<K> {
        Index::new(Arc::clone(self.shared.store()), slot)
    }
}

impl<K> Clone for Informer<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), handlers: self.handlers, kind: PhantomData }
    }
}

impl<K> std::fmt::Debug for Informer<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Informer").field(&self.shared).finish()
    }
}

/// What one informer has and what keeps it from having more. Read through [`tokio::sync::watch`].
#[derive(Clone, Debug, Default)]
pub struct InformerStatus {
    /// Whether the store has applied a whole list, of each namespace if there are several, and every inline handler was
    /// called for it. Once true it stays so.
    pub synced: bool,
    /// The version up to which the server's changes are in the store and inline handlers were called for them; of several
    /// namespaces, the earliest.
    pub version: ResourceVersion,
    /// The version of each namespace if there are several, in the order of their names.
    pub versions: Vec<ResourceVersion>,
    /// What is failing now; `None` once a list or watch works again.
    pub failure: Option<Arc<Failure>>,
    /// That the API server does not know the kind, where [`Presence`](options::Presence) says that this is no failure.
    pub missing: Option<Arc<Failure>>,
    /// How many objects are stored. Nobody who waits for a change of the status is woken for this alone.
    pub objects: usize,
    /// Whether they take more than the informer's [`Budget`](crate::store::Budget). Nothing is left out for that.
    pub over_budget: bool,
    /// How many events were merged into waiting ones of slow handlers, over all handlers since the start.
    pub merged: u64,
    /// Whether the informer has been stopped: nothing changes any more. Once true it stays so.
    pub stopped: bool,
}

impl InformerStatus {
    /// Says whether whoever waits for a change has to hear of the one between both.
    fn is_news_after(&self, other: &Self) -> bool {
        // A first list changes how many objects there are with every batch.
        let Self { synced, version, versions, failure, missing, objects: _, over_budget, merged, stopped } = self;
        let failing = |failure: &Option<Arc<Failure>>| failure.as_ref().map(Arc::as_ptr);
        (failing(failure), failing(missing)) != (failing(&other.failure), failing(&other.missing))
            || (*synced, version, versions) != (other.synced, &other.version, &other.versions)
            || (*over_budget, *merged, *stopped) != (other.over_budget, other.merged, other.stopped)
    }
}

#[cfg(test)]
mod tests;
