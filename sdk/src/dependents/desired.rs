//! What counts as a desired-state function, and what it may look at besides the primary.
use std::any::Any;
use std::sync::Arc;

use crate::reconcile::{Error, Result};
use crate::resource::Kind;

/// A pure function from a primary `P` to its children of kind `C`.
///
/// Implemented for functions and closures of these forms, with `Siblings` where one child needs what another became:
///
/// ```text
/// fn deployment(site: &Website) -> Deployment
/// fn service(site: &Website) -> Option<Service>                     // none: not desired, an existing one is deleted
/// fn shards(site: &Website) -> Vec<ConfigMap>                       // as many as it says, each with a name of its own
/// fn page(site: &Website) -> Result<ConfigMap>                      // any error that `?` takes; Option and Vec as well
/// fn address(site: &Website, siblings: &Siblings) -> ConfigMap
/// ```
///
/// `Args` tells the forms apart and follows from the function.
#[diagnostic::on_unimplemented(
    message = "this does not say what the `{C}` of a `{P}` should be",
    label = "no desired-state function of `{P}` for `{C}`",
    note = "write `fn(&{P}) -> {C}`; it may return an `Option`, a `Vec` or a `Result` of that, and take `&Siblings` as a second argument"
)]
pub trait DesiredFn<P, C, Args>: Send + Sync + 'static {
    /// Returns the children as they should be.
    ///
    /// # Errors
    /// That of the function.
    fn desired(&self, primary: &P, siblings: &Siblings) -> Result<Vec<C>>;
}

impl<P, C, F, O> DesiredFn<P, C, fn(&P) -> O> for F
where
    F: Fn(&P) -> O + Send + Sync + 'static,
    O: IntoChildren<C>,
{
    fn desired(&self, primary: &P, _: &Siblings) -> Result<Vec<C>> {
        self(primary).into_children()
    }
}

impl<P, C, F, O> DesiredFn<P, C, fn(&P, &Siblings) -> O> for F
where
    F: Fn(&P, &Siblings) -> O + Send + Sync + 'static,
    O: IntoChildren<C>,
{
    fn desired(&self, primary: &P, siblings: &Siblings) -> Result<Vec<C>> {
        self(primary, siblings).into_children()
    }
}

/// What a desired-state function may return: `C`, an `Option` or a `Vec` of it, or a `Result` of one of the three.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `{C}`, nor an `Option`, a `Vec` or a `Result` of it",
    label = "returned where `{C}` is declared"
)]
pub trait IntoChildren<C> {
    /// Returns the children.
    ///
    /// # Errors
    /// The error, where this is one.
    fn into_children(self) -> Result<Vec<C>>;
}

impl<C: Kind> IntoChildren<C> for C {
    fn into_children(self) -> Result<Vec<C>> {
        Ok(vec![self])
    }
}

impl<C: Kind> IntoChildren<C> for Option<C> {
    fn into_children(self) -> Result<Vec<C>> {
        Ok(self.into_iter().collect())
    }
}

impl<C: Kind> IntoChildren<C> for Vec<C> {
    fn into_children(self) -> Result<Self> {
        Ok(self)
    }
}

impl<C: Kind, E: Into<Error>> IntoChildren<C> for Result<C, E> {
    fn into_children(self) -> Result<Vec<C>> {
        self.map_err(Into::into)?.into_children()
    }
}

impl<C: Kind, E: Into<Error>> IntoChildren<C> for Result<Option<C>, E> {
    fn into_children(self) -> Result<Vec<C>> {
        self.map_err(Into::into)?.into_children()
    }
}

impl<C: Kind, E: Into<Error>> IntoChildren<C> for Result<Vec<C>, E> {
    fn into_children(self) -> Result<Vec<C>> {
        self.map_err(Into::into)
    }
}

/// The children that a dependent comes after, directly or through others, as they are now: all of them are ready.
///
/// What a dependent does not come after is not shown, so that its desired state does not change by chance of timing. In
/// `render`, without a cluster, siblings are as desired, without a status.
#[derive(Clone, Debug, Default)]
pub struct Siblings(pub(super) Vec<Arc<dyn Any + Send + Sync>>);

impl Siblings {
    /// Returns the sibling of kind `C` with this name.
    pub fn get<C: Kind>(&self, name: &str) -> Option<&C> {
        self.all().find(|sibling: &&C| sibling.meta().name.as_deref() == Some(name))
    }

    /// Returns all siblings of kind `C`.
    pub fn all<C: Kind>(&self) -> impl Iterator<Item = &C> {
        self.0.iter().filter_map(|sibling| (**sibling).downcast_ref())
    }
}
