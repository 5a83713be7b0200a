//! What a user implements: the reconciler, its context, its answer and its errors.
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::declare::Primary;
use crate::queue::Priority;
use crate::resource::ObjectKey;

pub mod context;

pub(crate) mod dispatch;

pub mod error;

pub use crate::apply::Deletion;
pub use context::{Context, Creation, Owned, Watched};
pub use dispatch::{ReconcileFn, from_fn};
pub use error::{Error, Result};

/// Drives one kind towards what its spec says. Level-based: it gets the object's key's present state, never an event.
pub trait Reconciler<P: Primary>: Send + Sync + 'static {
    /// Brings the world closer to `object`.
    ///
    /// # Errors
    /// Transient errors are retried with back-off per object, conflicts quietly and soon, terminal ones not before the
    /// object changes.
    fn reconcile(&self, object: Arc<P>, ctx: Context<P>) -> impl Future<Output = Result<Action>> + Send;

    /// Undoes what owner references do not, before the finalizer goes. Only called where a cleanup is declared.
    ///
    /// May be called again for the same object, also after it was done: by an event before the finalizer could be
    /// removed, or after a restart.
    ///
    /// # Errors
    /// As [`Reconciler::reconcile`]; the finalizer stays.
    fn cleanup(&self, object: Arc<P>, ctx: Context<P>) -> impl Future<Output = Result<Cleanup>> + Send {
        let _ = (object, ctx);
        std::future::ready(Ok(Cleanup::done()))
    }

    /// Told that an object vanished, or that another took its key, for state kept in memory. May be told of a key twice,
    /// and of one that was never reconciled.
    fn forget(&self, key: &ObjectKey) {
        let _ = key;
    }
}

/// What should happen to a key after a successful reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an action is what the reconcile returns"]
pub struct Action {
    requeue_after: Option<Duration>,
    priority: Option<Priority>,
}

impl Action {
    /// Waits for the next change of the object or of anything related.
    pub const fn await_change() -> Self {
        Self { requeue_after: None, priority: None }
    }

    /// Reconciles again after `delay`, or earlier when something changes.
    pub const fn requeue_after(delay: Duration) -> Self {
        Self { requeue_after: Some(delay), priority: None }
    }

    /// Lets the key come back at this priority, instead of the one it was reconciled at. What brings it back earlier has a
    /// priority of its own.
    pub const fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Returns the delay, if one was asked for.
    pub const fn delay(&self) -> Option<Duration> {
        self.requeue_after
    }

    /// Returns the priority to come back at, if one was asked for.
    pub const fn priority(&self) -> Option<Priority> {
        self.priority
    }
}

/// Whether a cleanup is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a cleanup is what decides whether the finalizer goes"]
pub struct Cleanup {
    pending: Option<Action>,
}

impl Cleanup {
    /// Lets the finalizer go.
    pub const fn done() -> Self {
        Self { pending: None }
    }

    /// Keeps the finalizer and waits for the next change.
    pub const fn await_change() -> Self {
        Self { pending: Some(Action::await_change()) }
    }

    /// Keeps the finalizer and tries again after `delay`.
    pub const fn requeue_after(delay: Duration) -> Self {
        Self { pending: Some(Action::requeue_after(delay)) }
    }

    /// Returns what to do meanwhile, or `None` when done.
    pub const fn pending(&self) -> Option<Action> {
        self.pending
    }
}
