//! The handler attributes: they generate a route from a signature, and leave the function unchanged.

mod builder;
mod expand;
mod lower;
mod nowait;
mod socket;
#[cfg(test)]
mod tests;

pub(crate) use expand::pattern_spec;

use crate::attribute::HandlerArgs;
use crate::error::Errors;
use crate::item::ItemFn;
use crate::method::Kind;
use proc_macro2::TokenStream;
use quote::quote;
use socket::SocketOptions;

/// One of the handler attributes.
#[derive(Clone, Copy)]
pub(crate) struct HandlerAttribute {
    pub(crate) name: &'static str,
    kind: Kind,
    /// The method that the attribute implies, or `None` if it has the key `method`.
    method: Option<&'static str>,
}

impl HandlerAttribute {
    pub(crate) const WEB: HandlerAttribute = HandlerAttribute {
        name: "web_handler",
        kind: Kind::Web,
        method: None,
    };
    pub(crate) const SERVICE: HandlerAttribute = HandlerAttribute {
        name: "service_handler",
        kind: Kind::Service,
        method: None,
    };
    pub(crate) const RESPONSE: HandlerAttribute = HandlerAttribute {
        name: "response_handler",
        kind: Kind::Response,
        method: Some("response"),
    };

    /// A GET that becomes a WebSocket.
    const WEBSOCKET: HandlerAttribute = HandlerAttribute {
        name: "websocket",
        kind: Kind::Web,
        method: Some("get"),
    };
    /// A message without HTTP, which is routed like a call.
    const JSON_SOCKET: HandlerAttribute = HandlerAttribute {
        name: "json_socket",
        kind: Kind::Service,
        method: Some("request"),
    };

    /// `#[get]` and the other attributes that are named after their method.
    pub(crate) const fn verb(method: &'static str) -> HandlerAttribute {
        HandlerAttribute {
            name: method,
            kind: Kind::Web,
            method: Some(method),
        }
    }
}

pub(crate) fn expand(attribute: HandlerAttribute, args: TokenStream, item: TokenStream) -> TokenStream {
    #[cfg(not(feature = "services"))]
    if attribute.kind != Kind::Web {
        let error = crate::error::needs_feature(&format!("`#[{}]`", attribute.name), "services");
        return quote!(#error #item);
    }
    expand_with(attribute, args, item, None, Errors::default())
}

pub(crate) fn expand_websocket(args: TokenStream, item: TokenStream) -> TokenStream {
    let errors = Errors::default();
    let (options, args) = SocketOptions::split_off(args, &errors);
    expand_with(HandlerAttribute::WEBSOCKET, args, item, Some(&options), errors)
}

pub(crate) fn expand_json_socket(args: TokenStream, item: TokenStream) -> TokenStream {
    let errors = Errors::default();
    let args = socket::message_path(args, &errors);
    expand_with(HandlerAttribute::JSON_SOCKET, args, item, None, errors)
}

fn expand_with(
    attribute: HandlerAttribute,
    args: TokenStream,
    item: TokenStream,
    socket: Option<&SocketOptions>,
    errors: Errors,
) -> TokenStream {
    let args = HandlerArgs::parse(attribute.name, args, &errors);
    let Ok(function) = syn::parse2::<ItemFn>(item.clone()) else {
        let name = attribute.name;
        errors.on(
            &item,
            format!("`#[{name}]` can only be applied to a function\nhelp: write `async fn`"),
        );
        let errors = errors.into_tokens();
        return quote!(#item #errors);
    };
    let route = lower::lower(attribute, &args, &function, &errors);
    if let (Some(_), Some(route)) = (socket, &route) {
        socket::check_takes_socket(route, &function, &errors);
    }
    let keys = expand::keys(&args);
    match route {
        Some(route) if !errors.any() => {
            let route = expand::expand(&route, &function, socket);
            quote!(#function #route #keys)
        }
        _ => {
            let errors = errors.into_tokens();
            // An impl block cannot contain the types and constants that go with a function.
            if function.takes_self() {
                return quote!(#[allow(unused_variables)] #function #errors);
            }
            let placeholder = function.placeholder();
            quote!(#[allow(unused_variables)] #function #placeholder #errors #keys)
        }
    }
}
