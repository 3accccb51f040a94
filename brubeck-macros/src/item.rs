//! A function whose body is not parsed, and the type that replaces the route of an invalid handler.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, FnArg, Ident, ReturnType, Signature, Type, Visibility};

/// A function whose body is not parsed. This is faster, and an editor can complete an incomplete body.
pub(crate) struct ItemFn {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    body: TokenStream,
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

    /// Returns the `#[cfg]` attributes of the function. All generated items must have them, too.
    pub(crate) fn conditions(&self) -> Vec<&Attribute> {
        self.attrs
            .iter()
            .filter(|attr| attr.path().is_ident("cfg"))
            .collect()
    }

    pub(crate) fn docs(&self) -> impl Iterator<Item = &Attribute> {
        self.attrs.iter().filter(|attr| attr.path().is_ident("doc"))
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
            impl ::brubeck::__private::Routed for #name {
                const SPEC: ::brubeck::__private::Spec = ::brubeck::__private::Spec::BROKEN;
            }
            #(#conditions)*
            impl<__S: ::brubeck::__private::AppState> ::brubeck::__private::RouteHandler<__S> for #name {
                fn handle(_: ::brubeck::__private::Context<__S>) -> ::brubeck::__private::BoxFuture {
                    ::brubeck::__private::broken()
                }
            }
        }
    }
}
