//! The context: a newtype with one accessor for each kind.
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::model::{Container, Relation, Role, written};

use super::declaration::object_type;

pub(crate) fn item(container: &Container) -> TokenStream {
    let Container { krate, vis, root, names, .. } = container;
    let context = &names.context;
    let doc = format!(" What one reconcile of a [`{root}`] may read and write.");
    quote! {
        #[doc = #doc]
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #vis struct #context(#krate::Context<#root>);
    }
}

pub(crate) fn impls(container: &Container) -> TokenStream {
    let Container { vis, root, names, .. } = container;
    let (context, lister, primaries) = (&names.context, &names.lister, &names.primaries);
    let doc = format!(" Returns the lister of all cached [`{root}`]s.");
    let accessors = container.relations.iter().enumerate().map(|(slot, relation)| accessor(container, slot, relation));
    let deref = super::deref(context, &quote!(__kw::Context<#root>));
    quote! {
        impl #context {
            #[doc = #doc]
            #vis fn #primaries(&self) -> #lister {
                #lister(self.0.primaries())
            }
            #(#accessors)*
        }
        #deref
    }
}

fn accessor(container: &Container, slot: usize, relation: &Relation) -> TokenStream {
    let vis = &container.vis;
    let accessor = &relation.accessor;
    let object = object_type(relation);
    let metadata = if relation.metadata { ", metadata only" } else { "" };
    let (read, which) = match relation.role {
        Role::Owns => ("Owned", "children"),
        Role::WatchesBy(_) | Role::WatchesMap(_) => ("Watched", "objects"),
    };
    let doc = format!(" Returns the cached {which} of kind [`{}`]{metadata}.", written(&relation.kind));
    let (read, method) = (format_ident!("{read}"), format_ident!("{}", read.to_lowercase()));
    quote! {
        #[doc = #doc]
        #vis fn #accessor(&self) -> __kw::#read<#object> {
            self.0.#method(#slot)
        }
    }
}
