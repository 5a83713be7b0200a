//! From a key to a call of the reconciler: load, clean up, hold, reconcile.
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::apply::{Held, Holder};
use crate::declare::Primary;
use crate::resource::ObjectKey;
use crate::store::decode::redact;

use super::context::Context;
use super::context::shared::Shared;
use super::error::{Error, Result};
use super::{Action, Reconciler};

/// What a controller runs for each key: loads the object, or finds it gone, and reconciles. It knows nothing of kinds.
pub type ReconcileFn = Arc<dyn Fn(ObjectKey) -> BoxFuture<'static, Result<Action>> + Send + Sync>;

/// Makes what a controller runs for each key from an async function: for controllers that are put together by hand.
///
/// The function gets a key and looks the object up itself, in a lister: it may be gone by then.
pub fn from_fn<F, Fut>(reconcile: F) -> ReconcileFn
where
    F: Fn(ObjectKey) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Action>> + Send + 'static,
{
    Arc::new(move |key| Box::pin(reconcile(key)))
}

/// What is to be done with a primary that is cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Call `reconcile`.
    Reconcile,
    /// Add the finalizer, then call `reconcile`.
    HoldAndReconcile,
    /// Call `cleanup`, then let go.
    Cleanup,
    /// It is being deleted and no longer ours.
    Leave,
}

/// Joins the runtime of an operator with its reconciler.
pub(crate) fn dispatch<P: Primary, R: Reconciler<P>>(shared: Arc<Shared<P>>, reconciler: R) -> ReconcileFn {
    let reconciler = Arc::new(reconciler);
    Arc::new(move |key| {
        let (shared, reconciler) = (Arc::clone(&shared), Arc::clone(&reconciler));
        Box::pin(async move { run(&shared, &*reconciler, &key).await })
    })
}

async fn run<P: Primary, R: Reconciler<P>>(shared: &Arc<Shared<P>>, reconciler: &R, key: &ObjectKey) -> Result<Action> {
    // Its bytes stay the same until it is edited, so trying again can not help.
    let cached = shared.primaries().get(key).map_err(|error| Error::from(error).terminal())?;
    let Some(object) = cached else {
        shared.writer().forget(key);
        reconciler.forget(key);
        return Ok(Action::await_change());
    };
    let holder = Holder::of(&*object);
    if shared.writer().is_reborn(key, &holder.uid) {
        reconciler.forget(key);
    }
    let (resource, finalizer) = (&shared.declaration().primary, shared.declaration().finalizer.as_deref());
    let held = finalizer.map(|finalizer| (finalizer, shared.writer().finalizer(&holder, finalizer)));
    let deleting = object.meta().deletion_timestamp.is_some();
    match (step(deleting, held.map(|(_, held)| held)), held) {
        (Step::HoldAndReconcile, Some((finalizer, _))) => {
            let live = shared.writer().add_finalizer(resource, &holder, finalizer).await?;
            let live: P = serde_json::from_value(live).map_err(redact)?;
            reconcile(shared, reconciler, Arc::new(live)).await
        }
        (Step::Cleanup, Some((finalizer, _))) => {
            let cleanup = reconciler.cleanup(Arc::clone(&object), Context::new(shared, &*object)).await?;
            if let Some(action) = cleanup.pending() {
                return Ok(action);
            }
            shared.writer().remove_finalizer(resource, &holder, finalizer).await?;
            Ok(Action::await_change())
        }
        (Step::Leave, _) => Ok(Action::await_change()),
        _ => reconcile(shared, reconciler, object).await,
    }
}

async fn reconcile<P: Primary, R: Reconciler<P>>(
    shared: &Arc<Shared<P>>,
    reconciler: &R,
    object: Arc<P>,
) -> Result<Action> {
    let context = Context::new(shared, &*object);
    reconciler.reconcile(object, context).await
}

/// A primary that is being deleted is never reconciled: it would make children that the garbage collector deletes.
fn step(deleting: bool, held: Option<Held>) -> Step {
    match (deleting, held) {
        (true, Some(Held::Yes)) => Step::Cleanup,
        (true, _) | (false, Some(Held::Released)) => Step::Leave,
        (false, Some(Held::No)) => Step::HoldAndReconcile,
        (false, Some(Held::Yes) | None) => Step::Reconcile,
    }
}

#[cfg(test)]
pub(crate) mod tests;
