//! The derive behind kubewright.
use proc_macro::TokenStream;

/// Turns a custom resource into an operator.
#[proc_macro_derive(Operator, attributes(operator, kube))]
pub fn operator(_input: TokenStream) -> TokenStream {
    TokenStream::new()
}
