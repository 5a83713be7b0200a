//! Shares informers: one watch per (kind, scope, selector, view), however many callers.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::clock;
use crate::declare::{Narrow, View};
use crate::delta;
use crate::metrics::Snapshot;
use crate::reflector::{ReflectorStatus, Target};
use crate::resource::{Kind, ResourceType, Scope};

use super::runner::stopped;
use super::{Informer, InformerStatus, SharedInformer};

pub(crate) mod source;

use source::{ApiSource, Source};

/// Makes informers and owns their tasks. Cheap to clone; dropping the last clone stops everything.
#[derive(Clone)]
pub struct InformerFactory {
    owner: Arc<Owner>,
    namespace: Option<String>,
}

impl InformerFactory {
    /// Makes an empty factory.
    pub fn new(client: Client) -> Self {
        Self::with_source(ApiSource::new(client))
    }

    pub(crate) fn with_source(source: impl Source) -> Self {
        let owner = Owner { source: Box::new(source), informers: Mutex::default(), stop: watch::Sender::new(false) };
        Self { owner: Arc::new(owner), namespace: None }
    }

    /// Limits the informers of namespaced kinds that this handle is asked for to one namespace.
    ///
    /// Cluster-scoped kinds are not limited. A relation that is narrowed to a namespace of its own keeps that one.
    #[must_use]
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        self.namespace = given(Some(namespace));
        self
    }

    /// Returns the informer of `K`, the same for every caller.
    pub fn informer<K: Kind>(&self) -> Informer<K> {
        self.narrowed(&Narrow::default())
    }

    /// Returns the informer of a part of `K`, the same for every caller that asks for the same part.
    pub fn narrowed<K: Kind>(&self, narrow: &Narrow) -> Informer<K> {
        Informer::new(self.shared(ResourceType::of::<K>(), narrow))
    }

    /// Returns the informer of a part of a kind without its type, the same for every caller that asks for the same part.
    pub(crate) fn shared(&self, resource: ResourceType, narrow: &Narrow) -> Arc<SharedInformer> {
        let target = self.target(resource, narrow);
        let mut informers = self.owner.informers();
        let known = informers.all.iter().find(|known| *known.target() == target);
        known.cloned().unwrap_or_else(|| {
            let shared = SharedInformer::new(target);
            informers.all.push(Arc::clone(&shared));
            shared
        })
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
        let Informers { all, started, tasks } = &mut *informers;
        if *stop.borrow() {
            tracing::warn!("informers are not started: their factory has been shut down");
            return;
        }
        for informer in &all[*started..] {
            let (sender, receiver) = delta::channel();
            let opened = source.open(informer.target(), sender);
            let Some(run) = informer.run(receiver, opened.status, stop.subscribe()) else { continue };
            tasks.spawn(run);
            let mut stop = stop.subscribe();
            tasks.spawn(async move {
                tokio::select! {
                    () = stopped(&mut stop) => {}
                    () = opened.run => {}
                }
            });
        }
        *started = all.len();
    }

    /// Waits until every started informer holds its first whole list; returns the moment the last one does.
    ///
    /// # Errors
    /// [`SyncError`] names each kind that is late after `timeout` and why.
    pub async fn wait_for_cache_sync(&self, timeout: Duration) -> Result<(), SyncError> {
        let waiting = self.owner.started();
        let all_synced = async {
            for informer in &waiting {
                // Fails only without a sender, which the factory keeps alive.
                let _ = informer.status().wait_for(|status| status.synced).await;
            }
        };
        let mut stop = self.owner.stop.subscribe();
        let why = tokio::select! {
            biased;
            () = all_synced => return Ok(()),
            () = stopped(&mut stop) => "the informers were shut down".to_owned(),
            () = clock::sleep(timeout) => format!("no whole list within {timeout:?}"),
        };
        let late = waiting.iter().filter_map(|informer| late(informer, &why));
        Err(SyncError { late: late.collect() })
    }

    /// What every informer is doing now, in the order in which they were asked for first.
    pub fn status(&self) -> Vec<(Target, InformerStatus)> {
        let informers = self.owner.informers();
        informers.all.iter().map(|informer| (informer.target().clone(), informer.status().borrow().clone())).collect()
    }

    /// What the reflector of every informer that has been started tells of itself: lists, watches, how far it is behind.
    pub fn reflectors(&self) -> Vec<(Target, ReflectorStatus)> {
        let started = self.owner.started();
        started.iter().filter_map(|informer| Some((informer.target().clone(), informer.reflector()?))).collect()
    }

    /// Adds what every informer and its reflector show now to `snapshot`: counters and gauges labelled with the kind, as
    /// logs and readiness name it. There are as many series as informers, times a constant.
    pub fn collect(&self, snapshot: &mut Snapshot) {
        let informers = self.owner.informers().all.clone();
        informers.iter().for_each(|informer| informer.collect(snapshot));
    }

    /// Stops every informer and waits for their tasks to end, and for handlers to return from the call they are in.
    ///
    /// Whoever cannot wait for a handler that is stuck drops the future: that aborts the rest.
    pub async fn shutdown(&self) {
        self.owner.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut self.owner.informers().tasks);
        while tasks.join_next().await.is_some() {}
    }

    fn target(&self, resource: ResourceType, narrow: &Narrow) -> Target {
        let namespace = match resource.scope {
            Scope::Namespaced => given(narrow.namespace.as_deref()).or_else(|| self.namespace.clone()),
            Scope::Cluster => None,
        };
        Target {
            resource,
            namespace,
            labels: given(narrow.labels.as_deref()),
            fields: given(narrow.fields.as_deref()),
            metadata_only: narrow.view == View::Metadata,
        }
    }
}

/// Reads an empty restriction as none, so that both name the same informer.
fn given(restriction: Option<&str>) -> Option<String> {
    restriction.filter(|restriction| !restriction.is_empty()).map(str::to_owned)
}

/// Says why the informer is late, if it is.
fn late(informer: &SharedInformer, why: &str) -> Option<String> {
    let status = informer.status();
    let status = status.borrow();
    let why = status.failure.as_ref().map_or(why, |failure| &failure.message);
    (!status.synced).then(|| format!("{}: {why}", informer.target().resource))
}

/// Some caches did not sync in time.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.late.join("; "))]
pub struct SyncError {
    /// One sentence for each late kind: what is missing and what to do.
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
    /// In the order in which they were asked for; one for each target.
    all: Vec<Arc<SharedInformer>>,
    /// How many of `all`, from the front, have been started.
    started: usize,
    tasks: JoinSet<()>,
}

impl Owner {
    fn informers(&self) -> MutexGuard<'_, Informers> {
        self.informers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn started(&self) -> Vec<Arc<SharedInformer>> {
        let informers = self.informers();
        informers.all[..informers.started].to_vec()
    }
}

impl std::fmt::Debug for InformerFactory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let targets = self.owner.informers().all.iter().map(|informer| informer.target().clone()).collect::<Vec<_>>();
        f.debug_struct("InformerFactory").field("namespace", &self.namespace).field("targets", &targets).finish()
    }
}

#[cfg(test)]
mod tests;
