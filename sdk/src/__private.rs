//! What generated code names, under one path. No part of the public interface: it changes with any release.
pub use crate::declare::path::{Plain, Walk, collect, keys, names, names_in, values};

use crate::declare::CanOwn;
use crate::resource::Kind;
use k8s_openapi::NamespaceResourceScope;

/// Compiles only if objects of `P` can own objects of `C`.
pub const fn can_own<P, C>()
where
    P: Kind<Scope: CanOwn<C::Scope>>,
    C: Kind,
{
}

/// Compiles only if objects of `C` have a namespace.
pub const fn has_namespace<C: Kind<Scope = NamespaceResourceScope>>() {}
