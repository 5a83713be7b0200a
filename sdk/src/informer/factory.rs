//! Shares informers: one watch per (kind, scope, selector, view), however many callers.
use std::time::Duration;

use crate::client::Client;
use crate::declare::Narrow;
use crate::reflector::{ReflectorStatus, Target};
use crate::resource::Kind;

use super::Informer;

/// Makes informers and owns their tasks. Cheap to clone; dropping the last clone stops everything.
#[derive(Clone, Debug)]
pub struct InformerFactory {}

impl InformerFactory {
    /// Makes an empty factory.
    pub fn new(client: Client) -> Self {
        let _ = client;
        panic!("skeleton")
    }

    /// Limits every namespaced informer to one namespace.
    #[must_use]
    pub fn in_namespace(self, namespace: &str) -> Self {
        let _ = namespace;
        panic!("skeleton")
    }

    /// Returns the informer of `K`, the same for every caller.
    pub fn informer<K: Kind>(&self) -> Informer<K> {
        self.narrowed(&Narrow::default())
    }

    /// Returns the informer of a part of `K`.
    pub fn narrowed<K: Kind>(&self, narrow: &Narrow) -> Informer<K> {
        let _ = narrow;
        panic!("skeleton")
    }

    /// Starts every informer that was asked for and is not running yet. Call again for later ones.
    pub fn start(&self) {
        panic!("skeleton")
    }

    /// Waits until every started informer holds its first whole list.
    ///
    /// # Errors
    /// [`SyncError`] names each kind that is late after `timeout` and why.
    pub async fn wait_for_cache_sync(&self, timeout: Duration) -> Result<(), SyncError> {
        let _ = timeout;
        panic!("skeleton")
    }

    /// What every informer is doing now.
    pub fn status(&self) -> Vec<(Target, ReflectorStatus)> {
        panic!("skeleton")
    }

    /// Stops every informer and waits for their tasks to end.
    pub async fn shutdown(&self) {
        panic!("skeleton")
    }
}

/// Some caches did not sync in time.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.late.join("; "))]
pub struct SyncError {
    /// One sentence for each late kind: what is missing and what to do.
    pub late: Vec<String>,
}
