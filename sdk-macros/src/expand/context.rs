//! The context: a newtype with one accessor for each kind.
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use crate::model::{Container, Relation, Role};

use super::declaration::object_type;

pub(crate) fn expand(container: &Container) -> TokenStream {
    let Container { krate, vis, root, names, .. } = container;
    let (context, lister, primaries) = (&names.context, &names.lister, &names.primaries);
    let doc = format!("What one reconcile of a [`{root}`] may read and write.");
    let primaries_doc = format!("Returns the lister of all cached [`{root}`]s.");
    let accessors = container.relations.iter().enumerate().map(|(slot, relation)| accessor(container, slot, relation));
    let deref = super::deref(context, &quote!(#krate::Context<#root>));
    quote! {
        #[doc = #doc]
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #vis struct #context(#krate::Context<#root>);
        #[allow(dead_code)]
        impl #context {
            #[doc = #primaries_doc]
            #vis fn #primaries(&self) -> #lister {
                #lister(self.0.primaries())
            }
            #(#accessors)*
        }
        #deref
    }
}

fn accessor(container: &Container, slot: usize, relation: &Relation) -> TokenStream {
    let Container { krate, vis, .. } = container;
    let accessor = &relation.accessor;
    let object = object_type(container, relation);
    let kind = relation.kind.to_token_stream().to_string().replace(' ', "");
    let metadata = if relation.metadata { ", metadata only" } else { "" };
    let (owned, read) = match relation.role {
        Role::Owns => (true, "children"),
        Role::WatchesBy(_) | Role::WatchesMap(_) => (false, "watched objects"),
    };
    let doc = format!("Returns the cached {read} of kind [`{kind}`]{metadata}.");
    if owned {
        quote! {
            #[doc = #doc]
            #vis fn #accessor(&self) -> #krate::reconcile::Owned<#object> {
                self.0.owned(#slot)
            }
        }
    } else {
        quote! {
            #[doc = #doc]
            #vis fn #accessor(&self) -> #krate::reconcile::Watched<#object> {
                self.0.watched(#slot)
            }
        }
    }
}
