//! The lister: a newtype with one method for each index.
use proc_macro2::TokenStream;
use quote::quote;

use crate::model::{Container, Index};

pub(crate) fn item(container: &Container) -> TokenStream {
    let Container { krate, vis, root, names, .. } = container;
    let lister = &names.lister;
    let doc = format!(" Reads cached [`{root}`]s.");
    quote! {
        #[doc = #doc]
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #vis struct #lister(#krate::informer::declared::DeclaredLister<#root>);
    }
}

pub(crate) fn impls(container: &Container) -> TokenStream {
    let Container { root, names, .. } = container;
    let lister = &names.lister;
    let indexes = container.indexes.iter().enumerate().map(|(slot, index)| query(container, slot, index));
    let queries = (!container.indexes.is_empty()).then(|| quote!(impl #lister { #(#indexes)* }));
    let deref = super::deref(lister, &quote!(__kw::Lister<#root>));
    quote! {
        #queries
        #deref
        impl __kw::DeclaredKind for #root {
            type Lister = #lister;
            const LISTER: fn(__kw::DeclaredLister<Self>) -> #lister = #lister;
        }
    }
}

fn query(container: &Container, slot: usize, index: &Index) -> TokenStream {
    let Container { vis, root, .. } = container;
    let name = &index.name;
    let doc = format!(" Returns the objects that have `value` in `{}`.", index.by);
    quote! {
        #[doc = #doc]
        ///
        /// # Errors
        /// When a cached object does not decode.
        #vis fn #name(&self, value: &str) -> __kw::CoreResult<__kw::Vec<__kw::Arc<#root>>, __kw::DecodeError> {
            self.0.by_slot(#slot, value)
        }
    }
}
