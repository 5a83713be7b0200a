//! `Root::operator(..)`, and the adapter from the user's trait to the library's.
use proc_macro2::TokenStream;
use quote::quote;

use crate::model::Container;

pub(crate) fn expand(container: &Container) -> TokenStream {
    let Container { krate, vis, root, names, .. } = container;
    let (reconciler, context, adapter) = (&names.reconciler, &names.context, &names.adapter);
    let doc = format!("Declares the operator of [`{root}`]s. `make` makes the reconciler once there is a cluster.");
    let method = |name: &str, output: TokenStream| {
        let name = quote::format_ident!("{name}");
        quote! {
            fn #name(
                &self,
                object: ::std::sync::Arc<#root>,
                cx: #krate::Context<#root>,
            ) -> impl ::core::future::Future<Output = #krate::Result<#output>> + ::core::marker::Send {
                self.0.#name(object, #context(cx))
            }
        }
    };
    let reconcile = method("reconcile", quote!(#krate::Action));
    let cleanup = container.finalizer.as_ref().map(|_| method("cleanup", quote!(#krate::Cleanup)));
    quote! {
        const _: () = {
            struct #adapter<R>(R);
            impl<R: #reconciler> #krate::Reconciler<#root> for #adapter<R> {
                #reconcile
                #cleanup
                fn forget(&self, key: &#krate::ObjectKey) {
                    self.0.forget(key);
                }
            }
            impl #root {
                #[doc = #doc]
                #vis fn operator<R, F, T>(make: F) -> #krate::Operator
                where
                    R: #reconciler,
                    F: ::core::ops::FnOnce(#krate::Setup) -> T + ::core::marker::Send + 'static,
                    T: ::core::future::Future<Output = #krate::Result<R>> + ::core::marker::Send + 'static,
                {
                    #krate::Operator::new::<Self, _, _, _>(async move |setup| {
                        ::core::result::Result::Ok(#adapter(make(setup).await?))
                    })
                }
            }
        };
    }
}
