//! The informer: one name, as the library's dereferences to all it needs.
use proc_macro2::TokenStream;
use quote::quote;

use crate::model::Container;

pub(crate) fn item(container: &Container) -> TokenStream {
    let Container { krate, vis, root, names, .. } = container;
    let informer = &names.informer;
    let doc = format!(" Watches [`{root}`]s; all informers of one factory share one watch.");
    quote! {
        #[doc = #doc]
        #[allow(dead_code)]
        #vis type #informer = #krate::informer::declared::DeclaredInformer<#root>;
    }
}
