//! The derive behind kubewright.
use proc_macro::TokenStream;

mod attr;

mod model;

mod check;

mod ctxt;

mod path;

mod expand;

mod fallback;

/// Turns a custom resource into an operator.
#[proc_macro_derive(Operator, attributes(operator, kube))]
pub fn operator(input: TokenStream) -> TokenStream {
    let expansion = TokenStream::from(expand::derive(input.into()));
    if std::env::var_os("KUBEWRIGHT_MACROS_DEBUG").is_some() {
        eprintln!("{expansion}");
    }
    expansion
}
