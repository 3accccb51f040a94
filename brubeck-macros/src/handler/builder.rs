//! Generates the typed request builder of a service handler without a contract: `slow::request(7).text("hello")`.

use super::lower::{Argument, Route, Source, Target};
use crate::automaton::encode;
use crate::item::{ItemFn, deprecated, identifier};
use crate::method::{Kind, variant};
use crate::pattern::{Pattern, PatternSegment};
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use std::collections::HashSet;
use syn::Ident;

/// Generates the request builder of a service handler. Returns no tokens for other handlers: browsers call web handlers, nothing calls
/// response handlers, and an operation is called through the client of its contract.
pub(super) fn builder(route: &Route, function: &ItemFn) -> TokenStream {
    let Target::Pattern { pattern, method } = &route.target else {
        return TokenStream::new();
    };
    if route.kind != Kind::Service {
        return TokenStream::new();
    }
    let (vis, twin) = (&function.vis, function.name());
    let method = format_ident!("{}", variant(method));
    // For two arguments of one name, rustc reports the function.
    let mut names = HashSet::new();
    let setters = route
        .arguments
        .iter()
        .filter(|argument| names.insert(argument.name.as_deref()))
        .filter_map(|argument| setter(vis, argument));
    // The name appears in errors of rustc, so it begins with that of the handler.
    let request = format_ident!("{}_request", function.name());
    let start = start(vis, &request, pattern, route);
    let deprecated = deprecated(&function.attrs);
    let doc = format!("Builds a request to [`{}`]({}()).", twin, twin);
    quote! {
        const _: () = {
            #[doc = #doc]
            #[must_use = "a request does nothing until a client sends it"]
            #[allow(non_camel_case_types)]
            #vis struct #request(priv::ServiceRequest);
            #[allow(clippy::should_implement_trait)]
            impl #request {
                #(#setters)*
            }
            impl ::core::convert::From<#request> for priv::ServiceRequest {
                fn from(__request: #request) -> Self {
                    __request.0
                }
            }
            #[allow(dead_code)]
            impl #twin {
                fn __started(__path: ::std::string::String) -> #request {
                    #request(
                        priv::ServiceRequest::to(__path)
                            .with_method(priv::Method::#method),
                    )
                }
                #(#deprecated)*
                #start
            }
        };
    }
}

/// Returns the function `request(id)` if the path can be built from the captures, and `request(path)` otherwise.
fn start(vis: &syn::Visibility, request: &Ident, pattern: &Pattern, route: &Route) -> TokenStream {
    let Some(segments) = pattern.segments() else {
        return quote! {
            /// Returns a request to this path, which must match the pattern of the handler.
            #vis fn request(__path: impl ::core::convert::Into<::std::string::String>) -> #request {
                Self::__started(::core::convert::Into::into(__path))
            }
        };
    };
    let captures = captures(route);
    // The captures are parameters, and a parameter of the same name would hide the local.
    let path = Ident::new("path", Span::mixed_site());
    let generics: Vec<Ident> = (0..captures.len()).map(|i| format_ident!("__V{i}")).collect();
    let names: Vec<Ident> = captures
        .iter()
        .map(|(name, _)| identifier(name, Span::call_site()))
        .collect();
    let bounds = captures.iter().zip(&generics).map(|((_, argument), generic)| {
        let ty = &argument.ty;
        quote!(#ty: priv::FillCapture<#generic>,)
    });
    let pushes = segments.iter().map(|segment| match segment {
        PatternSegment::Text(text) => {
            let text = encode(text.as_bytes());
            quote!(#path.push_str(#text);)
        }
        PatternSegment::Capture(index) => {
            let (ty, name) = (&captures[*index].1.ty, &names[*index]);
            quote!(<#ty as priv::FillCapture<_>>::fill(&mut #path, #name);)
        }
        PatternSegment::Rest(index) => {
            let (ty, name) = (&captures[*index].1.ty, &names[*index]);
            quote!(<#ty as priv::FillCapture<_>>::fill_rest(&mut #path, #name);)
        }
    });
    quote! {
        /// Returns a request to this handler. The parameters fill the captures of the path; each other argument has a method of the same name, which sets it.
        #vis fn request<#(#generics),*>(#(#names: #generics),*) -> #request
        where
            #(#bounds)*
        {
            let mut #path = ::std::string::String::new();
            #(#pushes)*
            Self::__started(#path)
        }
    }
}

/// Returns the arguments that captures fill, in the order of the captures. Optional captures are not among them: a pattern with one has
/// no segments, so its path is passed as a whole.
fn captures(route: &Route) -> Vec<(String, &Argument)> {
    let mut captures: Vec<(usize, String, &Argument)> = route
        .arguments
        .iter()
        .filter_map(|argument| match argument.source {
            Source::Capture { index } => Some((index, argument.name.clone()?, argument)),
            _ => None,
        })
        .collect();
    captures.sort_by_key(|(index, ..)| *index);
    captures
        .into_iter()
        .map(|(_, name, argument)| (name, argument))
        .collect()
}

fn setter(vis: &syn::Visibility, argument: &Argument) -> Option<TokenStream> {
    let name = argument
        .name
        .as_ref()
        .filter(|_| matches!(argument.source, Source::Message))?;
    let ty = &argument.ty;
    let setter = identifier(name, Span::call_site());
    let doc = format!("Sets the argument `{name}`.");
    Some(quote! {
        #[doc = #doc]
        #vis fn #setter<__V>(self, __value: __V) -> Self
        where
            #ty: priv::Fill<__V>,
        {
            Self(<#ty as priv::Fill<__V>>::fill(self.0, #name, __value))
        }
    })
}
