//! Field paths and functions as calls that hand every leaf on.
use proc_macro2::{Span, TokenStream};
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
    // Of several namespaces none says where a bare name lives.
    project(container, by, &|leaf, span| match relation.namespaces.as_slice() {
        [namespace] => quote_spanned!(span=> __kw::names_in(#namespace, #leaf, out)),
        _ => quote_spanned!(span=> __kw::names::<Self, #kind, _>(#leaf, out)),
    })
}

/// Calls `out` for each value of `primary`.
pub(crate) fn values(container: &Container, by: &Projection) -> TokenStream {
    project(container, by, &|leaf, span| quote_spanned!(span=> __kw::values(#leaf, out)))
}

/// Writes generated tokens where an error about `tokens` belongs, with the meaning they have in generated code.
pub(crate) fn at(tokens: impl Spanned) -> Span {
    Span::call_site().located_at(tokens.span())
}

type Leaf<'a> = &'a dyn Fn(TokenStream, Span) -> TokenStream;

fn project(container: &Container, by: &Projection, leaf: Leaf<'_>) -> TokenStream {
    match by {
        Projection::Function(function) => {
            let span = at(function);
            leaf(quote_spanned!(span=> &__kw::collect(#function(primary))), span)
        }
        Projection::Field(members) => {
            let (start, rest) = members.split_at(plain_steps(container, members));
            walk(&quote!(primary #(.#start)*), rest, leaf)
        }
    }
}

/// Steps through `members`: the last is the leaf, all before it may be a container in a container.
fn walk(base: &TokenStream, members: &[Member], leaf: Leaf<'_>) -> TokenStream {
    match members {
        [] => TokenStream::new(),
        [last] => leaf(quote_spanned!(at(last)=> &#base.#last), at(last)),
        [step, rest @ ..] => {
            let field = quote_spanned!(at(step)=> &#base.#step);
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
