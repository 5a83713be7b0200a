//! The informer: a newtype that gives out the lister.
use proc_macro2::TokenStream;
use quote::quote;

use crate::model::Container;

pub(crate) fn expand(container: &Container) -> TokenStream {
    let Container { krate, vis, root, names, .. } = container;
    let (informer, lister) = (&names.informer, &names.lister);
    let doc = format!("Watches [`{root}`]s; all informers of one factory share one watch.");
    let deref = super::deref(informer, &quote!(#krate::Informer<#root>));
    quote! {
        #[doc = #doc]
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #[allow(dead_code)]
        #vis struct #informer(#krate::informer::declared::DeclaredInformer<#root>);
        #[allow(dead_code)]
        impl #informer {
            /// Returns the shared informer with its declared indexes.
            #vis fn new(factory: &#krate::InformerFactory) -> Self {
                Self(#krate::informer::declared::DeclaredInformer::new(factory))
            }
            /// Returns the typed read view.
            #vis fn lister(&self) -> #lister {
                #lister(self.0.declared_lister())
            }
        }
        #deref
    }
}
