//! `#[derive(AppState)]`: every field is a part of the state that handlers take as `State<T>`.

use crate::error::Errors;
use crate::types;
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use std::collections::HashMap;
use syn::{Data, DeriveInput, Field, Ident, Index, Member};

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let errors = Errors::default();
    let parts = parts(&input, &errors);
    let (name, (generics, arguments, bounds)) = (&input.ident, input.generics.split_for_impl());
    let impls = parts.iter().map(|(member, field)| {
        let ty = &field.ty;
        let clone = quote_spanned!(types::span(ty)=> <#ty as ::core::clone::Clone>::clone);
        quote! {
            #[automatically_derived]
            impl #generics ::brubeck::__private::Provides<#ty> for #name #arguments #bounds {
                fn provide(&self) -> #ty {
                    #clone(&self.#member)
                }
            }
        }
    });
    let impls: TokenStream = impls.collect();
    let errors = errors.into_tokens();
    quote!(#impls #errors)
}

/// The fields that handlers can take, each of its own type.
fn parts<'a>(input: &'a DeriveInput, errors: &Errors) -> Vec<(Member, &'a Field)> {
    let fields = match &input.data {
        Data::Struct(data) => &data.fields,
        Data::Enum(data) => {
            errors.on(
                data.enum_token,
                "the state of an application is a struct: `State<T>` is one of its fields",
            );
            return Vec::new();
        }
        Data::Union(data) => {
            errors.on(
                data.union_token,
                "the state of an application is a struct: `State<T>` is one of its fields",
            );
            return Vec::new();
        }
    };
    let mut seen: HashMap<String, String> = HashMap::new();
    let mut parts = Vec::new();
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
        let ty = field.ty.to_token_stream().to_string();
        let own = member.to_token_stream().to_string();
        match seen.get(&ty) {
            Some(first) => errors.on(
                &field.ty,
                format!(
                    "`{first}` and `{own}` are both `{text}`: `State<{text}>` could be either\n\
                     help: give one a type of its own, or leave it out with `#[state(skip)]`",
                    text = types::text(&field.ty),
                ),
            ),
            None => {
                seen.insert(ty, own);
                parts.push((member, field));
            }
        }
    }
    parts
}

fn is_skipped(field: &Field, errors: &Errors) -> bool {
    let mut skipped = false;
    for attr in field.attrs.iter().filter(|attr| attr.path().is_ident("state")) {
        match attr.parse_args::<Ident>() {
            Ok(word) if word == "skip" => skipped = true,
            _ => errors.on(
                attr,
                "expected `#[state(skip)]`, which keeps a field out of `State<T>`",
            ),
        }
    }
    skipped
}
