//! The trait that users implement.
use proc_macro2::TokenStream;
use quote::quote;

use crate::model::Container;

pub(crate) fn item(container: &Container) -> TokenStream {
    let Container { krate, vis, root, names, .. } = container;
    let (reconciler, context, object) = (&names.reconciler, &names.context, &names.object);
    let doc = format!(" Drives [`{root}`]s towards what they ask for.");
    let message = format!("`{{Self}}` does not reconcile `{root}`");
    let note = format!(
        "write `impl {reconciler} for {{Self}} {{{{ async fn reconcile(&self, {object}: Arc<{root}>, cx: {context}) -> \
         Result<Action> {{{{ .. }}}} }}}}`"
    );
    let method = |name: &str, doc: &str, output: TokenStream, has_default: bool| {
        let name = quote::format_ident!("{name}");
        let body = match has_default {
            true => quote!({ #krate::dependents::#name(#object, cx.0) }),
            false => quote!(;),
        };
        quote! {
            #[doc = #doc]
            fn #name(
                &self,
                #object: ::std::sync::Arc<#root>,
                cx: #context,
            ) -> impl ::core::future::Future<Output = #krate::Result<#output>> + ::core::marker::Send #body
        }
    };
    let reconcile = match container.dependents.is_empty() {
        true => {
            method("reconcile", " Brings the world closer to what the object asks for.", quote!(#krate::Action), false)
        }
        false => {
            method("reconcile", " Applies the dependents, unless written otherwise.", quote!(#krate::Action), true)
        }
    };
    let cleanup = container.finalizer.as_ref().map(|_| match container.has_default_cleanup {
        true => method(
            "cleanup",
            " Deletes the dependents in reverse order, unless written otherwise.",
            quote!(#krate::Cleanup),
            true,
        ),
        false => method(
            "cleanup",
            " Undoes what owner references do not, before the object goes.",
            quote!(#krate::Cleanup),
            false,
        ),
    });
    // Under `#![no_implicit_prelude]` rustc does not find the tool `diagnostic`; kube's derive does not work there
    // either, so only a root written by hand can stand in such a module, and goes without the hint.
    let hint =
        container.derived_root.then(|| quote!(#[diagnostic::on_unimplemented(message = #message, note = #note)]));
    quote! {
        #[doc = #doc]
        #hint
        #vis trait #reconciler: ::core::marker::Send + ::core::marker::Sync + 'static {
            #reconcile
            #cleanup
            /// Told that an object vanished, for state kept in memory.
            fn forget(&self, _key: &#krate::ObjectKey) {}
        }
    }
}
