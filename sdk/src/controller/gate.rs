//! Read-your-writes: whether a key may be reconciled, as the caches show what its last reconciles wrote.
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::apply::{Change, Foreign, Sight, Writer};
use crate::informer::InformerStatus;
use crate::reconcile::Result;
use crate::resource::ObjectKey;

/// Whether a reconcile waits until caches show what the ones before it wrote.
///
/// A reconcile that reads caches older than its own last write decides on a world that is no more: it creates twice,
/// counts wrong, undoes what it did. So a key's next reconcile begins only when every informer of its operator has
/// passed what was written through the [`Context`](crate::reconcile::Context) for that key; other keys go on meanwhile.
/// This is KEP-5647 of the built-in controllers, for every operator and without a line of its own:
///
/// - The event itself lets the key go; nothing is polled.
/// - A deletion is waited for until the object is gone or going.
/// - After a write of unknown outcome (no answer, a broken connection, a 5xx) the object is read once, live.
/// - What no informer of the operator shows (another namespace, outside the selector) is not waited for.
/// - Versions that do not compare, as of servers before Kubernetes 1.35 that are not etcd's, are not waited for.
///
/// It holds for what goes through the context. Writes by a client of one's own are not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadYourWrites {
    /// For at most this long; then it reconciles with what there is, and counts a timeout.
    Within(Duration),
    /// Reconciles may read caches that are older than their own last write.
    Off,
}

/// How long a key is kept back at most, unless told otherwise. Watches are behind by milliseconds; one that is behind by
/// half a minute is broken, and then late decisions are no better than decisions on old data.
pub const DEFAULT_READ_YOUR_WRITES_DEADLINE: Duration = Duration::from_secs(30);

impl Default for ReadYourWrites {
    fn default() -> Self {
        Self::Within(DEFAULT_READ_YOUR_WRITES_DEADLINE)
    }
}

/// What a controller asks before it reconciles a key.
pub(crate) trait Gate: Send + Sync {
    /// Says whether the caches show everything that was written for the key.
    fn sight(&self, key: &ObjectKey) -> Sight;

    /// Finds out what became of writes of unknown outcome.
    fn settle<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<()>>;

    /// Acts on a change that a watch tells of and that concerns the key, unless it is the echo of the key's own write.
    fn hear(&self, key: &ObjectKey, change: Change<'_>, foreign: Foreign);

    /// Forgets what the caches do not show.
    fn overlook(&self, key: &ObjectKey);

    /// Returns what tells of every change of the caches.
    fn changes(&self) -> Vec<watch::Receiver<InformerStatus>>;
}

impl Gate for Writer {
    fn sight(&self, key: &ObjectKey) -> Sight {
        Self::sight(self, key)
    }

    fn settle<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<()>> {
        async { Ok(Self::settle(self, key).await?) }.boxed()
    }

    fn hear(&self, key: &ObjectKey, change: Change<'_>, foreign: Foreign) {
        Self::hear(self, key, change, foreign);
    }

    fn overlook(&self, key: &ObjectKey) {
        Self::overlook(self, key);
    }

    fn changes(&self) -> Vec<watch::Receiver<InformerStatus>> {
        Self::changes(self)
    }
}

/// The gate of a controller whose reconciles write nothing that it knows of.
pub(super) struct Open;

impl Gate for Open {
    fn sight(&self, _: &ObjectKey) -> Sight {
        Sight::Clear
    }

    fn settle<'a>(&'a self, _: &'a ObjectKey) -> BoxFuture<'a, Result<()>> {
        std::future::ready(Ok(())).boxed()
    }

    fn hear(&self, _: &ObjectKey, _: Change<'_>, foreign: Foreign) {
        foreign.act();
    }

    fn overlook(&self, _: &ObjectKey) {}

    fn changes(&self) -> Vec<watch::Receiver<InformerStatus>> {
        Vec::new()
    }
}
