//! Writes the items of one operator: names, constants and one-line delegations. All behaviour is in the library.
use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

use crate::attr::{KubeAttr, OperatorAttr};
use crate::check::{self, Subject};
use crate::ctxt::Ctxt;
use crate::fallback::fallback;
use crate::model::Container;

mod context;
mod declaration;
mod dependents;
mod informer;
mod lister;
mod operator;
mod projection;
mod reconciler;
#[cfg(test)]
mod tests;

/// Expands `#[derive(Operator)]`: parse, check, then either everything or the errors.
pub(crate) fn derive(input: TokenStream) -> TokenStream {
    syn::parse2(input).and_then(|input| try_derive(&input)).unwrap_or_else(|error| fallback(&error))
}

fn try_derive(input: &DeriveInput) -> syn::Result<TokenStream> {
    let ctxt = Ctxt::new();
    let attr = OperatorAttr::read(&input.attrs, &ctxt);
    let kube = KubeAttr::read(&input.attrs);
    check::check(&Subject { input, attr: &attr, kube: kube.as_ref() }, &ctxt);
    ctxt.check()?;
    Ok(Container::new(input, &attr, kube.as_ref()).map_or_else(TokenStream::new, |container| expand(&container)))
}

/// Expands a checked operator. Named items must stand outside of the block, as names in it can not be seen; all impls
/// stand inside, where one import keeps paths short and no name of the user can get in the way.
fn expand(container: &Container) -> TokenStream {
    let krate = &container.krate;
    let items =
        [context::item(container), lister::item(container), informer::item(container), reconciler::item(container)];
    let impls = [
        declaration::impls(container),
        dependents::impls(container),
        context::impls(container),
        lister::impls(container),
        operator::impls(container),
    ];
    quote! {
        #(#items)*
        #[allow(dead_code)]
        const _: () = {
            use #krate::__private as __kw;
            #(#impls)*
        };
    }
}

/// Makes a newtype dereference to what it adds names to.
fn deref(name: &syn::Ident, target: &TokenStream) -> TokenStream {
    quote! {
        impl __kw::Deref for #name {
            type Target = #target;
            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }
    }
}
