//! Field paths and functions as calls that hand every leaf on.
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::Member;
use syn::spanned::Spanned;

use crate::attr::Projection;
use crate::model::{Container, Relation, Role, first_name};

/// Says whether any path steps through fields that may be containers.
pub(crate) fn walks(container: &Container) -> bool {
    let by = container.relations.iter().filter_map(|relation| match &relation.role {
        Role::WatchesBy(by) => Some(by),
        _ => None,
    });
    let mut all = by.flatten().chain(container.indexes.iter().map(|index| &index.by));
    all.any(|projection| match projection {
        Projection::Field(members) => plain_steps(container, members) + 1 < members.len(),
        Projection::Function(_) => false,
    })
}

/// Calls `out` for each object that `primary` names.
pub(crate) fn names(container: &Container, relation: &Relation, by: &Projection) -> TokenStream {
    let kind = &relation.kind;
    match &relation.namespace {
        Some(namespace) => project(container, by, &|leaf| quote!(__kw::names_in(#namespace, #leaf, out))),
        None => project(container, by, &|leaf| quote!(__kw::names::<Self, #kind, _>(#leaf, out))),
    }
}

/// Calls `out` for each value of `primary`.
pub(crate) fn values(container: &Container, by: &Projection) -> TokenStream {
    project(container, by, &|leaf| quote!(__kw::values(#leaf, out)))
}

fn project(container: &Container, by: &Projection, leaf: &dyn Fn(TokenStream) -> TokenStream) -> TokenStream {
    match by {
        Projection::Function(function) => leaf(quote_spanned!(function.span()=> &__kw::collect(#function(primary)))),
        Projection::Field(members) => {
            let (start, rest) = members.split_at(plain_steps(container, members));
            walk(&quote!(primary #(.#start)*), rest, leaf)
        }
    }
}

/// Steps through `members`: the last is the leaf, all before it may be a container in a container.
fn walk(base: &TokenStream, members: &[Member], leaf: &dyn Fn(TokenStream) -> TokenStream) -> TokenStream {
    match members {
        [] => leaf(quote!(&#base)),
        [last] => leaf(quote_spanned!(last.span()=> &#base.#last)),
        [step, rest @ ..] => {
            let field = quote_spanned!(step.span()=> &#base.#step);
            let inner = walk(&quote!(inner.0), rest, leaf);
            quote!(__kw::Walk(#field).each(|outer| outer.each(|inner| #inner)))
        }
    }
}

/// How many steps are known to be no containers: `spec` and `metadata` of a root that kube's derive writes.
fn plain_steps(container: &Container, members: &[Member]) -> usize {
    let plain = members.len() > 1
        && container.derived_root
        && first_name(members).is_some_and(|name| name == "spec" || name == "metadata");
    usize::from(plain)
}
