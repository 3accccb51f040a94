//! `#[derive(AppState)]`: provides every field as `State<T>`, except fields with `#[state(skip)]`.

use crate::error::Errors;
use crate::keys::{CRATE, Grammar, Key};
use crate::types;
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use std::collections::HashMap;
use syn::{Data, DeriveInput, Field, Index, Member};

/// The arguments of `#[state(..)]` on the struct.
pub(crate) const STRUCT: Grammar = Grammar {
    elsewhere: |_, word| {
        (word == "skip").then(|| "`skip` belongs to a field\nhelp: write `#[state(skip)]` above the field that is excluded from `State<T>`".to_owned())
    },
    ..Grammar::new("state", &[CRATE])
};

/// The arguments of `#[state(..)]` on a field.
pub(crate) const FIELD: Grammar = Grammar {
    elsewhere: |_, word| {
        (word == "crate").then(|| {
            "`crate` belongs to the struct\nhelp: write `#[state(crate = ..)]` above the struct".to_owned()
        })
    },
    ..Grammar::new("state", &[Key::flag("skip")])
};

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let errors = Errors::default();
    let brubeck = STRUCT.parse_attributes(&input.attrs, &errors).crate_path();
    let fields = provided_fields(&input, &errors);
    let (name, (generics, arguments, bounds)) = (&input.ident, input.generics.split_for_impl());
    let impls = fields.iter().map(|(member, field)| {
        let ty = &field.ty;
        let clone = quote_spanned!(types::span(ty)=> <#ty as ::core::clone::Clone>::clone);
        quote! {
            #[automatically_derived]
            #[allow(deprecated)]
            impl #generics priv::Provides<#ty> for #name #arguments #bounds {
                fn provide(&self) -> #ty {
                    #clone(&self.#member)
                }
            }
        }
    });
    let impls: TokenStream = impls.collect();
    let impls = brubeck.resolve(impls);
    let errors = errors.into_tokens();
    quote!(#impls #errors)
}

/// Returns the fields that handlers can take. A second field of a type is reported and left out.
fn provided_fields<'a>(input: &'a DeriveInput, errors: &Errors) -> Vec<(Member, &'a Field)> {
    let fields = match &input.data {
        Data::Struct(data) => &data.fields,
        Data::Enum(data) => {
            errors.on(
                data.enum_token,
                "`AppState` can only be derived for a struct\nhelp: make it a struct; each field is available as `State<T>`",
            );
            return Vec::new();
        }
        Data::Union(data) => {
            errors.on(
                data.union_token,
                "`AppState` can only be derived for a struct\nhelp: make it a struct; each field is available as `State<T>`",
            );
            return Vec::new();
        }
    };
    let mut seen: HashMap<String, String> = HashMap::new();
    let mut provided = Vec::new();
    for (i, field) in fields.iter().enumerate() {
        if is_skipped(field, errors) {
            continue;
        }
        let member = match &field.ident {
            Some(name) => Member::Named(name.clone()),
            None => Member::Unnamed(Index {
                index: i as u32,
                span: Span::call_site(),
            }),
        };
        // Types are compared by their tokens. For two spellings of one type, rustc reports conflicting impls.
        let ty = field.ty.to_token_stream().to_string();
        let own = member.to_token_stream().to_string();
        match seen.get(&ty) {
            Some(first) => errors.on(
                &field.ty,
                format!(
                    "fields `{first}` and `{own}` both have the type `{text}`, so `State<{text}>` is ambiguous\n\
                     help: wrap one of them in a type of its own, or exclude it with `#[state(skip)]`",
                    text = types::text(&field.ty),
                ),
            ),
            None => {
                seen.insert(ty, own);
                provided.push((member, field));
            }
        }
    }
    provided
}

fn is_skipped(field: &Field, errors: &Errors) -> bool {
    FIELD.parse_attributes(&field.attrs, errors).flag("skip")
}
