//! The handler attributes: a signature becomes a route beside the untouched function.

mod builder;
mod expand;
mod lower;
mod nowait;
mod socket;
#[cfg(test)]
mod tests;

pub(crate) use expand::pattern_spec;

use crate::attribute::Attribute;
use crate::error::Errors;
use crate::item::ItemFn;
use crate::method::Kind;
use proc_macro2::TokenStream;
use quote::quote;
use socket::Terms;

/// One of the attributes that make a handler.
#[derive(Clone, Copy)]
pub(crate) struct Marker {
    pub(crate) name: &'static str,
    kind: Kind,
    /// The method the name already says; `None` where `method = ".."` chooses.
    method: Option<&'static str>,
}

impl Marker {
    pub(crate) const WEB: Marker = Marker {
        name: "web_handler",
        kind: Kind::Web,
        method: None,
    };
    pub(crate) const SERVICE: Marker = Marker {
        name: "service_handler",
        kind: Kind::Service,
        method: None,
    };
    pub(crate) const RESPONSE: Marker = Marker {
        name: "response_handler",
        kind: Kind::Response,
        method: Some("response"),
    };

    /// A GET that becomes a WebSocket.
    const WEBSOCKET: Marker = Marker {
        name: "websocket",
        kind: Kind::Web,
        method: Some("get"),
    };
    /// A message that no HTTP carries, which is routed like one of another application.
    const JSON_SOCKET: Marker = Marker {
        name: "json_socket",
        kind: Kind::Service,
        method: Some("request"),
    };

    /// `#[get]` and the like, whose name is the method.
    pub(crate) const fn verb(method: &'static str) -> Marker {
        Marker {
            name: method,
            kind: Kind::Web,
            method: Some(method),
        }
    }
}

pub(crate) fn expand(marker: Marker, attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand_with(marker, attribute, item, None, Errors::default())
}

pub(crate) fn expand_websocket(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let errors = Errors::default();
    let (terms, attribute) = Terms::take(attribute, &errors);
    expand_with(Marker::WEBSOCKET, attribute, item, Some(&terms), errors)
}

pub(crate) fn expand_json_socket(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let errors = Errors::default();
    let attribute = socket::message_path(attribute, &errors);
    expand_with(Marker::JSON_SOCKET, attribute, item, None, errors)
}

fn expand_with(
    marker: Marker,
    attribute: TokenStream,
    item: TokenStream,
    terms: Option<&Terms>,
    errors: Errors,
) -> TokenStream {
    let attribute = Attribute::parse(marker.name, attribute, &errors);
    let Ok(function) = syn::parse2::<ItemFn>(item.clone()) else {
        errors.on(&item, format!("`#[{}]` goes on an `async fn`", marker.name));
        let errors = errors.into_tokens();
        return quote!(#item #errors);
    };
    let route = lower::lower(marker, &attribute, &function, &errors);
    if let (Some(_), Some(route)) = (terms, &route) {
        socket::check_route(route, &function, &errors);
    }
    let keys = expand::keys(&attribute);
    match route {
        Some(route) if !errors.any() => {
            let route = expand::expand(&route, &function, terms);
            quote!(#function #route #keys)
        }
        _ => {
            // A method of an impl block cannot have a type beside it.
            let twin = if function.takes_self() {
                TokenStream::new()
            } else {
                function.broken_twin()
            };
            let keys = if function.takes_self() {
                TokenStream::new()
            } else {
                keys
            };
            let errors = errors.into_tokens();
            quote!(#[allow(unused_variables)] #function #twin #errors #keys)
        }
    }
}
