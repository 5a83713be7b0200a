//! Children as a graph of desired-state functions: order, conditions, readiness, pruning.
//!
//! `dependents(..)` in `#[operator(..)]` names a pure function for each child; what is left of a reconciler is nothing:
//!
//! ```no_run
//! # use std::process::ExitCode;
//! # use k8s_openapi::api::core::v1::{ConfigMap, Service};
//! # use kubewright::{CustomResource, Operator, schemars::JsonSchema};
//! # use serde::{Deserialize, Serialize};
//! # use serde_json::{from_value, json};
//! #[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
//! #[kube(group = "demo.kubewright.dev", version = "v1", kind = "Page", namespaced)]
//! #[operator(dependents(ConfigMap => content, Service => service(after = content, when = is_public)))]
//! pub struct PageSpec {
//!     pub text: String,
//!     pub public: bool,
//! }
//!
//! fn content(page: &Page) -> Result<ConfigMap, serde_json::Error> {
//!     from_value(json!({ "metadata": { "name": page.metadata.name }, "data": { "text": page.spec.text } }))
//! }
//!
//! fn service(page: &Page) -> Result<Service, serde_json::Error> {
//!     let spec = json!({ "selector": { "page": page.metadata.name }, "ports": [{ "port": 80 }] });
//!     from_value(json!({ "metadata": { "name": page.metadata.name }, "spec": spec }))
//! }
//!
//! fn is_public(page: &Page) -> bool {
//!     page.spec.public
//! }
//!
//! fn main() -> ExitCode {
//!     kubewright::main(Page::operator(async |_setup| Ok(())))
//! }
//! ```
//!
//! # Rules
//!
//! | when | then |
//! |---|---|
//! | every dependent it comes `after` is ready or off | its function is called, its children are applied |
//! | one of those is not ready, or failed | it waits: its children are neither applied nor deleted |
//! | `when` is false | it is off: its children are deleted, and what comes after it does not wait for it |
//! | its function returns `None`, or fewer children than before | those no longer returned are deleted, at once |
//! | its function or an apply fails | what comes after it waits, everything else goes on; the failure is the reconcile's |
//! | a child is edited or deleted | it is applied again, as by [`Context::apply`] |
//! | several children are to go | one goes only when all children that come after it are gone; what those own themselves goes in the background |
//! | the primary is deleted | with an `after` anywhere: a finalizer holds it until the children are gone in reverse order; without: the garbage collector deletes them in any order |
//! | two dependents return a child of one kind and name | neither is overwritten by the other: a terminal error names both |
//!
//! A child carries the annotation `kubewright.dev/dependent: controller/dependent`. Only what this primary controls **and**
//! this controller's graph made is ever deleted, by uid and version: one that has changed meanwhile is a conflict and is
//! looked at again. Children that [`Context::apply`] made stay, and so do foreign ones. Children of a dependent that is no
//! longer in the graph are deleted as long as another dependent has their kind; after the last one of a kind is gone,
//! nobody watches the kind, and they stay until the primary goes.
//!
//! # Readiness
//!
//! `ready = function` takes the live child. A child that is being deleted is never ready. Without `ready`:
//!
//! | kind | is ready when |
//! |---|---|
//! | Deployment, StatefulSet, DaemonSet | `kubectl rollout status` would say that it is rolled out |
//! | Job | it is complete |
//! | Pod | its condition `Ready` is true, or it has succeeded |
//! | Service | it has an address; one of type LoadBalancer that of its load balancer |
//! | PersistentVolumeClaim | it is bound. A claim of a class with `WaitForFirstConsumer` is bound only once a pod uses it: what holds that pod must not come after it |
//! | any other | it exists |
//!
//! [`reconcile`] states the condition `Ready`, where the status has conditions, with the dependents that are not.
use std::sync::Arc;

use crate::declare::Primary;
use crate::reconcile::error::Class;
use crate::reconcile::{Action, Cleanup, Context, Error, Result};

pub mod desired;

pub mod graph;

mod order;

mod pass;

mod readiness;

pub mod render;

pub mod report;

pub use desired::Siblings;
pub use graph::{Dependent, Graph};
pub use order::OrderError;
pub use render::render;
pub use report::{Report, State};

use pass::Pass;

/// The condition that says whether all dependents are ready.
pub const READY: &str = "Ready";

/// A primary kind with a graph of dependents. Implemented by `#[derive(Operator)]` for `dependents(..)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` declares no dependents",
    note = "write `dependents(Deployment => deployment)` in `#[operator(..)]` of `{Self}`"
)]
pub trait HasDependents: Primary {
    /// Returns the graph.
    fn dependents() -> Graph<Self>;
}

impl<P: Primary> Context<P> {
    /// Returns the declared dependents of `primary`, to be applied in a reconciler of one's own.
    ///
    /// `primary` is what the desired-state functions see: the object that is reconciled, or a copy with more filled in.
    ///
    /// ```no_run
    /// # use std::sync::Arc;
    /// # use kubewright::dependents::HasDependents;
    /// # use kubewright::{Action, Context, Result};
    /// # async fn reconcile<P: HasDependents>(site: Arc<P>, cx: Context<P>) -> Result<Action> {
    /// let report = cx.dependents(&*site).apply().await?;
    /// cx.set_condition("Ready", report.is_ready(), report.reason(), &report.to_string()).await?;
    /// Ok(Action::await_change())
    /// # }
    /// ```
    pub fn dependents<'a>(&'a self, primary: &'a P) -> Dependents<'a, P>
    where
        P: HasDependents,
    {
        Dependents { cx: self, primary }
    }
}

/// The dependents of one primary.
#[derive(Debug)]
pub struct Dependents<'a, P> {
    cx: &'a Context<P>,
    primary: &'a P,
}

impl<P: HasDependents> Dependents<'_, P> {
    /// Applies every dependent whose turn it is, and deletes what is no longer desired. Says what became of each.
    ///
    /// # Errors
    /// The failure that is to be retried soonest, after everything was done that does not depend on it.
    pub async fn apply(&self) -> Result<Report> {
        let (report, failure) = self.pass().await?;
        failure.map_or(Ok(report), Err)
    }

    /// Deletes the dependents in reverse order, as far as it is their turn: a cleanup. Done when none is left.
    ///
    /// # Errors
    /// What the API server answered.
    pub async fn delete(&self) -> Result<Cleanup> {
        let graph = P::dependents();
        let mut pass = Pass::new(self.cx, &graph)?;
        let is_done = pass.prune().await;
        match pass.end() {
            (_, Some(failure)) => Err(failure),
            _ if is_done => Ok(Cleanup::done()),
            _ => Ok(Cleanup::await_change()),
        }
    }

    async fn pass(&self) -> Result<(Report, Option<Error>)> {
        let graph = P::dependents();
        let mut pass = Pass::new(self.cx, &graph)?;
        pass.apply(self.primary).await;
        pass.prune().await;
        Ok(pass.end())
    }
}

/// Reconciles `primary` by its dependents alone: applies the graph, and states the condition [`READY`] where the status
/// has conditions. What a reconciler does that does not say otherwise.
///
/// # Errors
/// As [`Dependents::apply`]; the condition is stated all the same, but for conflicts, which are over soon.
pub async fn reconcile<P: HasDependents>(primary: Arc<P>, cx: Context<P>) -> Result<Action> {
    let (report, failure) = cx.dependents(&*primary).pass().await?;
    let is_passing = failure.as_ref().is_some_and(|failure| failure.class() == Class::Conflict);
    let mut stated = Ok(());
    if cx.has_conditions() && !is_passing {
        stated = cx.set_condition(READY, report.is_ready(), report.reason(), &report.to_string()).await;
    }
    match failure {
        Some(failure) => Err(failure),
        None => stated.map(|()| Action::await_change()),
    }
}

/// Cleans up after `primary`: deletes its dependents in reverse order. What a reconciler does that does not say
/// otherwise, where order matters.
///
/// # Errors
/// As [`Dependents::delete`].
pub async fn cleanup<P: HasDependents>(primary: Arc<P>, cx: Context<P>) -> Result<Cleanup> {
    cx.dependents(&*primary).delete().await
}

#[cfg(test)]
mod tests;
