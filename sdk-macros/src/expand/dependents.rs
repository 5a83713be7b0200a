//! The graph of dependents, and the reconciler that consists of nothing else.
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;

use crate::model::{Container, Dependent};

use super::projection::at;

pub(crate) fn impls(container: &Container) -> TokenStream {
    if container.dependents.is_empty() {
        return TokenStream::new();
    }
    let (root, reconciler) = (&container.root, &container.names.reconciler);
    let dependents = container.dependents.iter().map(dependent);
    // A cleanup that is declared is written by the user, so there is something to write.
    let is_complete = container.finalizer.is_none() || container.has_default_cleanup;
    let alone = is_complete.then(|| quote!(impl #reconciler for () {}));
    quote! {
        impl __kw::HasDependents for #root {
            fn dependents() -> __kw::Graph<Self> {
                __kw::Graph::new() #(.dependent(#dependents))*
            }
        }
        #alone
    }
}

fn dependent(dependent: &Dependent) -> TokenStream {
    let Dependent { kind, function, .. } = dependent;
    let name = dependent.name.unraw().to_string();
    let after = dependent.after.iter().map(|after| after.unraw().to_string());
    let when = dependent.when.as_ref().map(|when| quote_spanned!(at(when)=> .when(#when)));
    let ready = dependent.ready.as_ref().map(|ready| quote_spanned!(at(ready)=> .ready(#ready)));
    let new = quote_spanned!(at(function)=> __kw::Dependent::<Self, #kind>::new(#name, #function));
    quote!(#new #(.after(#after))* #when #ready)
}
