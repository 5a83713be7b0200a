//! The lister: a newtype with one method for each index.
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use crate::attr::Projection;
use crate::model::{Container, Index};

pub(crate) fn expand(container: &Container) -> TokenStream {
    let Container { krate, vis, root, names, .. } = container;
    let lister = &names.lister;
    let doc = format!("Reads cached [`{root}`]s.");
    let indexes = container.indexes.iter().enumerate().map(|(slot, index)| query(container, slot, index));
    let queries = (!container.indexes.is_empty()).then(|| {
        quote! {
            #[allow(dead_code)]
            impl #lister {
                #(#indexes)*
            }
        }
    });
    let deref = super::deref(lister, &quote!(#krate::Lister<#root>));
    quote! {
        #[doc = #doc]
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #vis struct #lister(#krate::informer::declared::DeclaredLister<#root>);
        #queries
        #deref
    }
}

fn query(container: &Container, slot: usize, index: &Index) -> TokenStream {
    let Container { krate, vis, root, .. } = container;
    let name = &index.name;
    let by = match &index.by {
        Projection::Field(members) => {
            let members: Vec<String> = members.iter().map(|member| member.to_token_stream().to_string()).collect();
            members.join(".")
        }
        Projection::Function(function) => function.to_token_stream().to_string().replace(' ', ""),
    };
    let doc = format!("Returns the objects that have `value` in `{by}`.");
    quote! {
        #[doc = #doc]
        ///
        /// # Errors
        /// When a cached object does not decode.
        #vis fn #name(
            &self,
            value: &str,
        ) -> ::core::result::Result<::std::vec::Vec<::std::sync::Arc<#root>>, #krate::store::lister::DecodeError> {
            self.0.by_slot(#slot, value)
        }
    }
}
