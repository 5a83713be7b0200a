//! The outcome of a create.
use std::sync::Arc;

/// What became of [`Context::create`](super::Context::create).
#[derive(Clone, Debug)]
pub enum Creation<C> {
    /// It did not exist and was created: this is the API server's answer.
    Created(Arc<C>),
    /// An object of that name existed, and is as it was. No other owner controls it.
    Exists(Arc<C>),
}

impl<C> Creation<C> {
    /// Returns the object, whoever made it.
    pub fn into_object(self) -> Arc<C> {
        match self {
            Self::Created(object) | Self::Exists(object) => object,
        }
    }

    /// Says whether it was created.
    pub const fn is_created(&self) -> bool {
        matches!(self, Self::Created(_))
    }
}
