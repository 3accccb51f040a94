//! The signature of a handler or an operation, from which the runtime generates JSON Schema.

use proc_macro2::TokenStream;
use quote::quote;

/// Returns the method call that adds a signature to a `Spec`: names and types of the arguments, and the return type.
pub(crate) fn schema(
    arguments: impl Iterator<Item = (String, TokenStream)>,
    reply: &TokenStream,
) -> TokenStream {
    let arguments = arguments.map(|(name, ty)| quote!(#name: #ty));
    quote!(.schema(priv::schema!((#(#arguments),*) -> #reply)))
}
