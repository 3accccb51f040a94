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
    attributes
        .iter()
        .filter_map(|attribute| inherited_meta(&attribute.meta))
        .map(|meta| quote!(#[#meta]))
        .collect()
}

fn inherited_meta(meta: &Meta) -> Option<TokenStream> {
    let path = meta.path();
    let Meta::List(list) = meta else { return None };
    let tokens = &list.tokens;
    if path.is_ident("cfg") || path.is_ident("allow") {
        return Some(quote!(#meta));
    }
    if path.is_ident("expect") {
        return Some(quote!(allow(#tokens)));
    }
    if !path.is_ident("cfg_attr") {
        return None;
    }
    let metas = Punctuated::<Meta, Token![,]>::parse_terminated
        .parse2(tokens.clone())
        .ok()?;
    let mut metas = metas.iter();
    let predicate = metas.next()?;
    let inner: Vec<TokenStream> = metas.filter_map(inherited_meta).collect();
    (!inner.is_empty()).then(|| quote!(cfg_attr(#predicate, #(#inner),*)))
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

/// Returns the attribute `#[deprecated]` of an item.
pub(crate) fn deprecated(attributes: &[Attribute]) -> Option<&Attribute> {
    attributes
        .iter()
        .find(|attribute| attribute.path().is_ident("deprecated"))
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
