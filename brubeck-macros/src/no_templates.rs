//! `#[derive(Template)]` in a build without the feature `templates`.

use crate::error::{self, Errors};
use crate::keys::{CRATE, Grammar};
use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

/// The only argument of `#[template(..)]` that matters without templates. The errors of the others are not reported.
const TEMPLATE: Grammar = Grammar::new("template", &[CRATE]);

/// Expands to the error that names the feature. Also implements the trait that the placeholder of `Page` requires, so that a page of
/// this type is not a second error.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let error = error::needs_feature("`#[derive(Template)]`", "templates");
    let Ok(input) = syn::parse2::<DeriveInput>(input) else {
        return error;
    };
    let brubeck = TEMPLATE
        .parse_attributes(&input.attrs, &Errors::default())
        .crate_path();
    let name = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    let implementation = brubeck.resolve(quote! {
        impl #generics priv::NeedsTemplates for #name #arguments #bounds {
            type Missing = ();

            fn never() -> ::core::convert::Infallible {
                ::core::unreachable!()
            }
        }
    });
    quote!(#error #implementation)
}
