//! `#[service_client]`: generates both sides of a contract from a trait.

mod expand;
mod lower;
mod path;

use crate::error::Errors;
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ItemTrait;

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let errors = Errors::default();
    if !attribute.is_empty() {
        errors.on(
            &attribute,
            "`#[service_client]` takes no arguments\nhelp: give each operation its path with `#[call(\"/...\")]`",
        );
    }
    let contract: ItemTrait = match syn::parse2(item.clone()) {
        Ok(contract) => contract,
        Err(error) if has_trait_keyword(&item) => {
            errors.push(error);
            let errors = errors.into_tokens();
            return quote!(#item #errors);
        }
        Err(_) => {
            errors.on(&item, "`#[service_client]` can only be applied to a trait\nhelp: write `trait Name { .. }` with an `async fn` per operation");
            let errors = errors.into_tokens();
            return quote!(#item #errors);
        }
    };
    let operations = lower::lower(&contract, &errors);
    let contract = expand::expand(&contract, operations.as_deref());
    let errors = errors.into_tokens();
    quote!(#contract #errors)
}

/// Returns `true` if the item is probably an incomplete trait, so that its syntax error is reported.
fn has_trait_keyword(item: &TokenStream) -> bool {
    item.to_token_stream()
        .into_iter()
        .any(|token| token.to_string() == "trait")
}
