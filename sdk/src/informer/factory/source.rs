//! Where the objects of an informer come from.
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::client::Client;
use crate::delta::DeltaSender;
use crate::reflector::{ApiListerWatcher, Reflector, ReflectorStatus, Target};

/// Opens streams of deltas: the API server in earnest, a script in tests.
pub(crate) trait Source: Send + Sync + 'static {
    /// Returns what fills `deltas` with the objects of `target`, to be run until dropped, and its status.
    fn open(&self, target: &Target, deltas: DeltaSender) -> Opened;
}

/// A stream of deltas that has not begun yet.
pub(crate) struct Opened {
    /// Runs the stream; never ends by itself.
    pub(crate) run: BoxFuture<'static, ()>,
    /// What it is doing.
    pub(crate) status: watch::Receiver<ReflectorStatus>,
}

/// Lists and watches at the API server.
pub(super) struct ApiSource {
    client: Client,
}

impl ApiSource {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }
}

impl Source for ApiSource {
    fn open(&self, target: &Target, deltas: DeltaSender) -> Opened {
        let lister_watcher = ApiListerWatcher::new(self.client.clone(), target.clone());
        let (reflector, status) = Reflector::new(target.clone(), lister_watcher, deltas);
        Opened { run: Box::pin(reflector.run()), status }
    }
}
