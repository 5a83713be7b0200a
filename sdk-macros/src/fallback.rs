//! What is left of the expansion when there are errors: the errors.
//!
//! Complete items or none. After an error of a macro rustc 1.95 stays silent about names it can not resolve, but not
//! about methods that are missing on an item that is there: with none the user sees exactly the real errors.
use proc_macro2::TokenStream;

/// Expands to the errors alone.
pub(crate) fn fallback(error: &syn::Error) -> TokenStream {
    error.to_compile_error()
}
