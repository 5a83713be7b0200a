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
mod informer;
mod lister;
mod operator;
mod projection;
mod reconciler;
#[cfg(test)]
mod tests;

/// Expands `#[derive(Operator)]`: parse, check, then either everything or the errors.
pub(crate) fn derive(input: TokenStream) -> TokenStream {
    let tokens = syn::parse2(input).and_then(|input| try_derive(&input)).unwrap_or_else(|error| fallback(&error));
    // A switch for people who debug the derive; the environment of a build is theirs.
    if std::env::var_os("KUBEWRIGHT_MACROS_DEBUG").is_some() {
        eprintln!("{tokens}");
    }
    tokens
}

fn try_derive(input: &DeriveInput) -> syn::Result<TokenStream> {
    let ctxt = Ctxt::new();
    let attr = OperatorAttr::read(&input.attrs, &ctxt);
    let kube = KubeAttr::read(&input.attrs);
    check::check(&Subject { input, attr: &attr, kube: kube.as_ref() }, &ctxt);
    ctxt.check()?;
    Ok(Container::new(input, &attr, kube.as_ref()).map_or_else(TokenStream::new, |container| expand(&container)))
}

/// Expands a checked operator.
pub(crate) fn expand(container: &Container) -> TokenStream {
    let declaration = declaration::expand(container);
    let context = context::expand(container);
    let lister = lister::expand(container);
    let informer = informer::expand(container);
    let reconciler = reconciler::expand(container);
    let operator = operator::expand(container);
    quote!(#declaration #context #lister #informer #reconciler #operator)
}

/// Makes a newtype dereference to what it adds names to.
fn deref(name: &syn::Ident, target: &TokenStream) -> TokenStream {
    quote! {
        impl ::core::ops::Deref for #name {
            type Target = #target;
            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }
    }
}
