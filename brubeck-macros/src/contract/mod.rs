//! `#[service_client]`: generates both sides of a contract from a trait.

mod call;
mod expand;
mod lower;
mod path;

#[cfg(test)]
pub(crate) use call::CALL;

use crate::error::Errors;
use crate::keys::{CRATE, Grammar};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ItemTrait;

/// The arguments of `#[service_client]`.
pub(crate) const SERVICE_CLIENT: Grammar = Grammar {
    elsewhere: |_, word| {
        matches!(word, "path" | "method" | "timeout" | "idempotent").then(|| {
            format!("`{word}` belongs to an operation\nhelp: write `#[call(\"/...\")]` above each `async fn`, with its keys")
        })
    },
    ..Grammar::new("service_client", &[CRATE])
};

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let errors = Errors::default();
    let brubeck = SERVICE_CLIENT.parse(attribute, &errors).crate_path();
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
    let contract = expand::expand(&contract, operations.as_deref(), &brubeck);
    let errors = errors.into_tokens();
    quote!(#contract #errors)
}

/// Returns `true` if the item is probably an incomplete trait, so that its syntax error is reported.
fn has_trait_keyword(item: &TokenStream) -> bool {
    item.to_token_stream()
        .into_iter()
        .any(|token| token.to_string() == "trait")
}
