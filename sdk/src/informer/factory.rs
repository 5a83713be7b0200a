//! Shares informers: one watch per (kind, scope, selector, namespaces, view, storage), however many callers.
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::clock;
use crate::declare::{Narrow, View};
use crate::delta;
use crate::metrics::Snapshot;
use crate::reflector::{ApiListerWatcher, ListerWatcher, ReflectorStatus, Target};
use crate::resource::{Kind, ResourceType, Scope};
use crate::store::{self, Storage};

use super::options::InformerOptions;
use super::runner::stopped;
use super::shared::{Core, Targets};
use super::transform::Transform;
use super::{Informer, InformerStatus, SharedInformer};

pub(crate) mod source;

use source::{Reflected, Source};

/// Makes informers and owns their tasks. Cheap to clone; dropping the last clone stops everything.
///
/// It does not keep informers itself: one ends with the last that holds it, as [`Informer`] tells.
///
/// ```no_run
/// use std::time::Duration;
///
/// use kubewright::k8s_openapi::api::core::v1::Pod;
/// use kubewright::{Client, InformerFactory, ObjectKey};
///
/// async fn phase(name: &str) -> kubewright::Result<Option<String>> {
///     let factory = InformerFactory::new(Client::try_default().await?).in_namespace("shop");
///     let pods = factory.informer::<Pod>(); // asked for, and not running yet
///     factory.start();
///     factory.wait_for_cache_sync(Duration::from_secs(30)).await?;
///     let pod = pods.lister().get(&ObjectKey::namespaced("shop", name))?; // from memory: no request
///     Ok(pod.and_then(|pod| pod.status.clone()?.phase))
/// }
/// ```
#[derive(Clone)]
pub struct InformerFactory {
    owner: Arc<Owner>,
    namespaces: BTreeSet<String>,
}

impl InformerFactory {
    /// Makes an empty factory.
    pub fn new(client: Client) -> Self {
        Self::from_lister_watchers(move |target| ApiListerWatcher::new(client.clone(), target.clone()))
    }

    /// Makes an empty factory whose informers read what `make` returns for the target of each, instead of an API server:
    /// fixtures in tests, another kind of server, or an [`ApiListerWatcher`] with something in front of it.
    ///
    /// [`ListerWatcher`] has an example.
    pub fn from_lister_watchers<L: ListerWatcher>(make: impl Fn(&Target) -> L + Send + Sync + 'static) -> Self {
        Self::with_source(Reflected(make))
    }

    pub(crate) fn with_source(source: impl Source) -> Self {
        let owner = Owner { source: Box::new(source), informers: Mutex::default(), stop: watch::Sender::new(false) };
        Self { owner: Arc::new(owner), namespaces: BTreeSet::new() }
    }

    /// Limits the informers of namespaced kinds that this handle is asked for to one namespace.
    ///
    /// Cluster-scoped kinds are not limited. A relation that is narrowed to a namespace of its own keeps that one.
    #[must_use]
    pub fn in_namespace(self, namespace: &str) -> Self {
        self.in_namespaces([namespace])
    }

    /// Limits the informers of namespaced kinds that this handle is asked for to these namespaces, each watched on its own.
    /// Without any they are not limited.
    #[must_use]
    pub fn in_namespaces<N: Into<String>>(mut self, namespaces: impl IntoIterator<Item = N>) -> Self {
        self.namespaces = namespaces.into_iter().map(Into::into).filter(|name| !name.is_empty()).collect();
        self
    }

    /// Returns the informer of `K`, the same for every caller.
    pub fn informer<K: Kind>(&self) -> Informer<K> {
        self.informer_with(InformerOptions::default())
    }

    /// Returns the informer of `K` that `options` describe, the same for every caller that describes the same.
    pub fn informer_with<K: Kind>(&self, options: InformerOptions) -> Informer<K> {
        let handlers = options.handlers;
        Informer::new(self.describe(ResourceType::of::<K>(), options)).serving(handlers)
    }

    /// Returns the informer of a part of `K`, the same for every caller that asks for the same part.
    pub fn narrowed<K: Kind>(&self, narrow: &Narrow) -> Informer<K> {
        self.informer_with(narrow.into())
    }

    /// Returns the informer of a part of a kind without its type, the same for every caller that asks for the same part.
    pub(crate) fn shared(&self, resource: ResourceType, narrow: &Narrow) -> Arc<SharedInformer> {
        self.describe(resource, narrow.into())
    }

    fn describe(&self, resource: ResourceType, options: InformerOptions) -> Arc<SharedInformer> {
        let targets = self.targets(resource, &options);
        // A server that does not know of metadata sends whole objects.
        let storage = if targets.whole.metadata_only { Storage::Metadata } else { options.storage };
        let identity = Identity { targets, storage, transform: options.transform };
        let mut informers = self.owner.informers();
        // Whoever else holds it may let go of it at any time, but not of the one that is returned.
        let known = informers.all.iter().filter(|known| known.identity == identity);
        let known = known.filter_map(|known| known.informer.upgrade()).next();
        let informer = known.unwrap_or_else(|| {
            let store = store::Options { storage, budget: options.budget };
            informers.all.retain(|known| known.informer.strong_count() > 0);
            let informer = SharedInformer::numbered(informers.free_number(&identity), identity.targets.clone(), store);
            informers.all.push(Known { identity, informer: Arc::downgrade(&informer), started: false });
            informer
        });
        drop(informers);
        informer.require(options.presence);
        informer.limit(options.budget);
        informer
    }

    /// Starts every informer that was asked for and is not running yet. Call again for later ones.
    ///
    /// After [`InformerFactory::shutdown`] nothing starts any more.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(&self) {
        let Owner { source, stop, .. } = &*self.owner;
        let mut informers = self.owner.informers();
        let Informers { all, tasks } = &mut *informers;
        if *stop.borrow() {
            tracing::warn!("informers are not started: their factory has been shut down");
            return;
        }
        while tasks.try_join_next().is_some() {}
        for known in all.iter_mut().filter(|known| !known.started) {
            let Some(informer) = known.informer.upgrade() else { continue };
            known.started = true;
            open(&**source, &known.identity, &informer, stop, tasks);
        }
    }

    /// Waits until every started informer holds its first whole list; returns the moment the last one does.
    ///
    /// An informer that nobody holds any more is not waited for.
    ///
    /// # Errors
    /// [`SyncError`] names each kind, and what of it, that is late after `timeout` and why.
    pub async fn wait_for_cache_sync(&self, timeout: Duration) -> Result<(), SyncError> {
        let waiting = self.owner.started();
        let settled = async {
            for informer in &waiting {
                // Cannot fail: what is waited for holds the sender.
                let _ = informer.status.subscribe().wait_for(|status| status.synced || status.stopped).await;
            }
        };
        let mut stop = self.owner.stop.subscribe();
        let (why, ended) = tokio::select! {
            biased;
            () = stopped(&mut stop) => ("the informers were shut down".to_owned(), true),
            () = settled => (String::new(), false),
            () = clock::sleep(timeout) => (format!("no whole list within {timeout:?}"), false),
        };
        let late: Vec<_> = waiting.iter().filter_map(|informer| late(informer, &why, ended)).collect();
        if late.is_empty() { Ok(()) } else { Err(SyncError { late }) }
    }

    /// What every informer is doing now, in the order in which they were asked for first. Where one holds several
    /// namespaces, its target names them all, separated by commas.
    pub fn status(&self) -> Vec<(Target, InformerStatus)> {
        let informers = self.owner.all();
        informers.iter().map(|informer| (informer.target().clone(), informer.status().borrow().clone())).collect()
    }

    /// What every reflector of every informer that has been started tells of itself: lists, watches, how far it is behind.
    pub fn reflectors(&self) -> Vec<(Target, ReflectorStatus)> {
        self.owner.all().iter().flat_map(|informer| informer.reflectors()).collect()
    }

    /// Adds what every informer and its reflectors show now to `snapshot`: counters and gauges labelled with the kind, as
    /// logs and readiness name it. There are as many series as watches, times a constant.
    ///
    /// Of informers that watch the same, as those of other storage or transforms do, all but the first have a label
    /// `informer` besides, with a number.
    pub fn collect(&self, snapshot: &mut Snapshot) {
        self.owner.all().iter().for_each(|informer| informer.collect(snapshot));
    }

    /// Stops every informer and waits for their tasks to end, and for handlers to return from the call they are in.
    ///
    /// Whoever cannot wait for a handler that is stuck drops the future: that aborts the rest.
    pub async fn shutdown(&self) {
        self.owner.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut self.owner.informers().tasks);
        while tasks.join_next().await.is_some() {}
    }

    fn targets(&self, resource: ResourceType, options: &InformerOptions) -> Targets {
        let namespaces = match resource.scope {
            Scope::Namespaced if options.namespaces.is_empty() => self.namespaces.clone(),
            Scope::Namespaced => options.namespaces.clone(),
            Scope::Cluster => BTreeSet::new(),
        };
        let all = Target {
            resource,
            namespace: None,
            labels: options.labels.clone(),
            fields: options.fields.clone(),
            metadata_only: options.view == View::Metadata,
            managed_fields: options.managed_fields,
        };
        if namespaces.is_empty() {
            return all.into();
        }
        let of = |namespace: String| Target { namespace: Some(namespace), ..all.clone() };
        let joined = namespaces.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        Targets { whole: of(joined), each: namespaces.into_iter().map(of).collect() }
    }
}

/// Runs an informer and what feeds it, until it is to end.
fn open(
    source: &dyn Source,
    identity: &Identity,
    informer: &SharedInformer,
    stop: &watch::Sender<bool>,
    tasks: &mut JoinSet<()>,
) {
    let (mut sender, receiver) = delta::channel();
    if let Some(transform) = identity.transform.clone() {
        sender = sender.transforming(Arc::new(move |object| transform.apply(object)));
    }
    let opened = identity.targets.each.iter().enumerate();
    let opened: Vec<_> = opened.map(|(part, target)| source.open(target, sender.of_part(part))).collect();
    let statuses = opened.iter().map(|opened| opened.status.clone()).collect();
    let Some(run) = informer.run(receiver, statuses, stop.subscribe()) else { return };
    tasks.spawn(run);
    for opened in opened {
        let end = informer.end(stop.subscribe());
        tasks.spawn(async move {
            tokio::select! {
                () = end => {}
                () = opened.run => {}
            }
        });
    }
}

/// Says why the informer is late, if it is. One that has stopped alone is waited for by nobody.
fn late(informer: &Core, why: &str, all_ended: bool) -> Option<String> {
    let status = informer.status.borrow();
    let why = status.failure.as_ref().or(status.missing.as_ref()).map_or(why, |failure| &failure.message);
    let is_late = !status.synced && (all_ended || !status.stopped);
    is_late.then(|| format!("{}: {why}", informer.awaited()))
}

/// Some caches did not sync in time.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.late.join("; "))]
pub struct SyncError {
    /// One sentence for each late informer: the kind, with the namespaces that are missing and the selectors where it is
    /// narrowed to some, and why, with what to do.
    pub late: Vec<String>,
}

/// What all clones of a factory share.
struct Owner {
    source: Box<dyn Source>,
    informers: Mutex<Informers>,
    /// Turns true once and for ever.
    stop: watch::Sender<bool>,
}

#[derive(Default)]
struct Informers {
    /// In the order in which they were asked for; one for each identity.
    all: Vec<Known>,
    tasks: JoinSet<()>,
}

impl Informers {
    /// Returns a number that no informer has which watches any of the same: no two may show under one name.
    fn free_number(&self, identity: &Identity) -> usize {
        let alike = self.all.iter().filter(|known| known.identity.targets.overlap(&identity.targets));
        let taken: BTreeSet<_> = alike.filter_map(|known| Some(known.informer.upgrade()?.number())).collect();
        // As many as are taken cannot take one number more.
        (1..).find(|number| !taken.contains(number)).unwrap_or_default()
    }
}

struct Known {
    identity: Identity,
    informer: Weak<SharedInformer>,
    started: bool,
}

/// What callers must agree upon to share an informer.
#[derive(PartialEq)]
struct Identity {
    targets: Targets,
    storage: Storage,
    transform: Option<Transform>,
}

impl Owner {
    fn informers(&self) -> MutexGuard<'_, Informers> {
        self.informers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns those that somebody holds.
    fn all(&self) -> Vec<Arc<SharedInformer>> {
        self.informers().all.iter().filter_map(|known| known.informer.upgrade()).collect()
    }

    /// Returns those that were started, without holding them.
    fn started(&self) -> Vec<Arc<Core>> {
        let informers = self.informers();
        let started = informers.all.iter().filter(|known| known.started);
        started.filter_map(|known| Some(Arc::clone(known.informer.upgrade()?.core()))).collect()
    }
}

impl std::fmt::Debug for InformerFactory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let targets: Vec<_> = self.owner.all().iter().map(|informer| informer.target().clone()).collect();
        f.debug_struct("InformerFactory").field("namespaces", &self.namespaces).field("targets", &targets).finish()
    }
}

#[cfg(test)]
mod tests;
