//! What the calls of a handler carry, as a signature: the runtime makes JSON Schema of it where that is wanted.

use proc_macro2::TokenStream;
use quote::quote;

/// The call that adds the schemas to a `Spec`: the names and types of the arguments, and the type of the reply.
pub(crate) fn schema(
    arguments: impl Iterator<Item = (String, TokenStream)>,
    reply: &TokenStream,
) -> TokenStream {
    let arguments = arguments.map(|(name, ty)| quote!(#name: #ty));
    quote!(.schema(::brubeck::__private::schema!((#(#arguments),*) -> #reply)))
}
