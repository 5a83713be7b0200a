//! What generated code names, under one path. No part of the public interface: it changes with any release.
pub use std::clone::Clone;
pub use std::default::Default;
pub use std::future::Future;
pub use std::marker::Send;
pub use std::ops::{Deref, FnOnce};
pub use std::result::Result as CoreResult;
pub use std::sync::Arc;
pub use std::vec::Vec;

pub use crate::declare::path::{Plain, Walk, collect, has_namespace, keys, names, names_in, values};
pub use crate::declare::{Declaration, Narrow, OwnedBy, Presence, Primary};
pub use crate::dependents::{Dependent, Graph, HasDependents};
pub use crate::informer::declared::{DeclaredKind, DeclaredLister};
pub use crate::operator::{Operator, Setup};
pub use crate::reconcile::{Action, Cleanup, Context, Owned, Reconciler, Result, Watched};
pub use crate::resource::ObjectKey;
pub use crate::store::lister::{DecodeError, Lister};
pub use kube::core::PartialObjectMeta;

use std::time::Duration;

use crate::declare::{Mapping, Reference};
use crate::resource::Kind;
use kube::CustomResourceExt;

/// Starts the declaration of `P`.
pub fn declare<P: Primary + CustomResourceExt>(name: &'static str) -> Declaration<P> {
    Declaration::new(name, P::crd)
}

/// So many milliseconds.
pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Narrows nothing.
pub fn everything() -> Narrow {
    Narrow::default()
}

/// Maps by what primaries name.
pub fn by<P>(project: fn(&P, &mut dyn FnMut(Reference))) -> Mapping<P> {
    Mapping::References(project)
}

/// Maps by a function of the related object.
pub fn map<P, C: Kind>(map: fn(&C, &mut dyn FnMut(ObjectKey))) -> Mapping<P> {
    Mapping::function(map)
}

/// Joins the declaration of `P` with a reconciler that is adapted to it.
pub fn operator<P, R, A, F, T>(make: F, adapt: fn(R) -> A) -> Operator
where
    P: Primary,
    R: 'static,
    A: Reconciler<P>,
    F: FnOnce(Setup) -> T + Send + 'static,
    T: Future<Output = Result<R>> + Send + 'static,
{
    Operator::new::<P, _, _, _>(async move |setup| Ok(adapt(make(setup).await?)))
}
