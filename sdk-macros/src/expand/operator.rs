//! `Root::operator(..)`, and the adapter from the user's trait to the library's.
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};

use crate::model::Container;

use super::declaration::object_type;
use super::projection;

pub(crate) fn impls(container: &Container) -> TokenStream {
    let Container { vis, root, names, .. } = container;
    let (reconciler, adapter) = (&names.reconciler, &names.adapter);
    let doc = format!(" Declares the operator of [`{root}`]s; `make` makes its reconciler once there is a cluster.");
    let reconcile = method(container, "reconcile", "Action");
    let dependents = (!container.dependents.is_empty()).then(|| quote!(.with_dependents::<Self>()));
    let filters = filters(container);
    let cleanup = container.finalizer.as_ref().map(|_| method(container, "cleanup", "Cleanup"));
    quote! {
        struct #adapter<R>(R);
        impl<R: #reconciler> __kw::Reconciler<#root> for #adapter<R> {
            #reconcile
            #cleanup
            fn forget(&self, key: &__kw::ObjectKey) {
                self.0.forget(key);
            }
        }
        impl #root {
            #[doc = #doc]
            #vis fn operator<R, F, T>(make: F) -> __kw::Operator
            where
                R: #reconciler,
                F: __kw::FnOnce(__kw::Setup) -> T + __kw::Send + 'static,
                T: __kw::Future<Output = __kw::Result<R>> + __kw::Send + 'static,
            {
                __kw::operator::<Self, _, _, _, _>(make, #adapter) #dependents #(#filters)*
            }
        }
    }
}

/// The predicates, of the primaries and of each relation that has one.
fn filters(container: &Container) -> Vec<TokenStream> {
    let root = container.predicate.iter().map(|function| {
        let call = quote_spanned!(projection::at(function)=> #function());
        quote!(.filter_primaries::<Self>(#call))
    });
    let relations = container.relations.iter().enumerate().filter_map(|(slot, relation)| {
        let function = relation.predicate.as_ref()?;
        let (object, call) = (object_type(relation), quote_spanned!(projection::at(function)=> #function()));
        Some(quote!(.filter_relation::<#object>(#slot, #call)))
    });
    root.chain(relations).collect()
}

fn method(container: &Container, name: &str, output: &str) -> TokenStream {
    let Container { root, names, .. } = container;
    let (context, name, output) = (&names.context, format_ident!("{name}"), format_ident!("{output}"));
    quote! {
        async fn #name(&self, object: __kw::Arc<#root>, cx: __kw::Context<#root>) -> __kw::Result<__kw::#output> {
            self.0.#name(object, #context(cx)).await
        }
    }
}
