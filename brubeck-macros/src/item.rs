//! A function whose body is not parsed, and the type that replaces the route of an invalid handler.

use crate::types;
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, FnArg, Ident, Meta, ReturnType, Signature, Token, Type, Visibility};

/// A function whose body is not parsed. This is faster, and an editor can complete an incomplete body.
pub(crate) struct ItemFn {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    body: TokenStream,
}

/// Returns the attributes of an item that everything generated for it inherits: `cfg`, and the lints that the user allows. A lint that the
/// user expects need not occur in generated code.
pub(crate) fn inherited(attributes: &[Attribute]) -> Vec<TokenStream> {
    selected(attributes, |meta| {
        let Meta::List(list) = meta else { return None };
        let (path, tokens) = (&list.path, &list.tokens);
        if path.is_ident("cfg") || path.is_ident("allow") {
            return Some(quote!(#meta));
        }
        path.is_ident("expect").then(|| quote!(allow(#tokens)))
    })
}

/// Returns the attribute `#[deprecated]` of an item, for what its callers use.
pub(crate) fn deprecated(attributes: &[Attribute]) -> Vec<TokenStream> {
    selected(attributes, |meta| {
        meta.path().is_ident("deprecated").then(|| quote!(#meta))
    })
}

/// Returns the attribute `#[doc(hidden)]` of an item, for the items that belong to it.
pub(crate) fn hidden(attributes: &[Attribute]) -> Vec<TokenStream> {
    selected(attributes, |meta| match meta {
        Meta::List(list) if list.path.is_ident("doc") && list.tokens.to_string() == "hidden" => {
            Some(quote!(#meta))
        }
        _ => None,
    })
}

/// Returns the attributes that the function selects, also those within `cfg_attr`.
fn selected(attributes: &[Attribute], select: impl Fn(&Meta) -> Option<TokenStream>) -> Vec<TokenStream> {
    attributes
        .iter()
        .filter_map(|attribute| selected_meta(&attribute.meta, &select))
        .map(|meta| quote!(#[#meta]))
        .collect()
}

fn selected_meta(meta: &Meta, select: &impl Fn(&Meta) -> Option<TokenStream>) -> Option<TokenStream> {
    if !meta.path().is_ident("cfg_attr") {
        return select(meta);
    }
    let metas = conditional_metas(meta)?;
    let mut metas = metas.iter();
    let predicate = metas.next()?;
    let inner: Vec<TokenStream> = metas.filter_map(|meta| selected_meta(meta, select)).collect();
    (!inner.is_empty()).then(|| quote!(cfg_attr(#predicate, #(#inner),*)))
}

/// Returns the predicate of a `cfg_attr`, and the attributes that it adds.
fn conditional_metas(meta: &Meta) -> Option<Punctuated<Meta, Token![,]>> {
    let Meta::List(list) = meta else { return None };
    Punctuated::<Meta, Token![,]>::parse_terminated
        .parse2(list.tokens.clone())
        .ok()
}

/// Returns `true` for a `cfg_attr` that adds the attribute of this name.
pub(crate) fn adds(attribute: &Attribute, name: &str) -> bool {
    fn within(meta: &Meta, name: &str) -> bool {
        meta.path().is_ident("cfg_attr")
            && conditional_metas(meta).is_some_and(|metas| {
                let mut metas = metas.iter().skip(1);
                metas.any(|meta| meta.path().is_ident(name) || within(meta, name))
            })
    }
    within(&attribute.meta, name)
}

/// Returns `true` if an item may be absent.
pub(crate) fn is_conditional(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .any(|attribute| attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr"))
}

/// Returns the documentation of an item.
pub(crate) fn docs(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("doc"))
}

/// Returns the types of the arguments without `self`.
pub(crate) fn argument_types(sig: &Signature) -> impl Iterator<Item = &Type> {
    sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(&*typed.ty),
        FnArg::Receiver(_) => None,
    })
}

/// Returns the name as an identifier, which is raw if the name is a keyword.
pub(crate) fn identifier(name: &str, span: Span) -> Ident {
    match syn::parse_str::<Ident>(name) {
        Err(_) if !matches!(name, "crate" | "super" | "self" | "_") => Ident::new_raw(name, span),
        // A keyword since the edition 2024, which `syn` does not know.
        _ if name == "gen" => Ident::new_raw(name, span),
        _ => Ident::new(name, span),
    }
}

impl Parse for ItemFn {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        Ok(ItemFn {
            attrs: input.call(Attribute::parse_outer)?,
            vis: input.parse()?,
            sig: input.parse()?,
            body: input.parse()?,
        })
    }
}

impl ToTokens for ItemFn {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        for attr in &self.attrs {
            attr.to_tokens(tokens);
        }
        self.vis.to_tokens(tokens);
        self.sig.to_tokens(tokens);
        self.body.to_tokens(tokens);
    }
}

impl ItemFn {
    pub(crate) fn body(&self) -> &TokenStream {
        &self.body
    }

    /// Replaces the body by one without errors.
    pub(crate) fn clear_body(&mut self) {
        self.body = quote!({ ::core::panic!() });
    }

    pub(crate) fn name(&self) -> &Ident {
        &self.sig.ident
    }

    pub(crate) fn takes_self(&self) -> bool {
        self.sig
            .inputs
            .iter()
            .any(|input| matches!(input, FnArg::Receiver(_)))
    }

    pub(crate) fn returned(&self) -> Option<&Type> {
        match &self.sig.output {
            ReturnType::Default => None,
            ReturnType::Type(_, ty) => Some(ty),
        }
    }

    /// Returns the type that the function returns, which may be `()`, and the span at which rustc reports errors about it.
    pub(crate) fn returned_type(&self) -> (Span, TokenStream) {
        match self.returned() {
            Some(ty) => (types::span(ty), quote!(#ty)),
            None => (self.name().span(), quote!(())),
        }
    }

    /// Returns the attributes of the function that all generated items must have, too.
    pub(crate) fn conditions(&self) -> Vec<TokenStream> {
        inherited(&self.attrs)
    }

    /// Returns a type with the name of this handler, for a handler with errors. `routes!` accepts the type, so it does not report a second
    /// error.
    pub(crate) fn placeholder(&self) -> TokenStream {
        let (vis, name, conditions) = (&self.vis, self.name(), self.conditions());
        quote! {
            #(#conditions)*
            #[doc(hidden)]
            #[allow(non_camel_case_types, dead_code)]
            #vis enum #name {}
            #(#conditions)*
            impl priv::Routed for #name {
                const SPEC: priv::Spec = priv::Spec::BROKEN;
            }
            #(#conditions)*
            impl<__S: priv::AppState> priv::RouteHandler<__S> for #name {
                fn handle(_: priv::Context<__S>) -> priv::BoxFuture {
                    priv::broken()
                }
            }
        }
    }
}
