//! The handler attributes: they generate a route from a signature, and leave the function unchanged.

mod builder;
mod expand;
mod lower;
mod nowait;
mod shadowing;
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
use shadowing::Hidden;
use socket::SocketOptions;

/// One of the handler attributes.
#[derive(Clone, Copy)]
pub(crate) struct HandlerAttribute {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The method that the attribute implies, or `None` if it has the key `method`.
    pub(crate) method: Option<&'static str>,
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
    pub(crate) const WEBSOCKET: HandlerAttribute = HandlerAttribute {
        name: "websocket",
        kind: Kind::Web,
        method: Some("get"),
    };
    /// A message without HTTP, which is routed like a call.
    pub(crate) const JSON_SOCKET: HandlerAttribute = HandlerAttribute {
        name: "json_socket",
        kind: Kind::Service,
        method: Some("request"),
    };

    /// Every handler attribute.
    pub(crate) const ALL: [HandlerAttribute; 14] = [
        HandlerAttribute::WEB,
        HandlerAttribute::SERVICE,
        HandlerAttribute::RESPONSE,
        HandlerAttribute::WEBSOCKET,
        HandlerAttribute::JSON_SOCKET,
        HandlerAttribute::verb("get"),
        HandlerAttribute::verb("post"),
        HandlerAttribute::verb("put"),
        HandlerAttribute::verb("patch"),
        HandlerAttribute::verb("delete"),
        HandlerAttribute::verb("head"),
        HandlerAttribute::verb("options"),
        HandlerAttribute::verb("trace"),
        HandlerAttribute::verb("connect"),
    ];

    /// Returns the attribute of this name.
    pub(crate) fn named(name: &str) -> Option<HandlerAttribute> {
        HandlerAttribute::ALL
            .into_iter()
            .find(|attribute| attribute.name == name)
    }

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
    if matches!(attribute.name, "service_handler" | "response_handler") {
        let error = crate::error::needs_feature(&format!("`#[{}]`", attribute.name), "services");
        return quote!(#error #item);
    }
    let errors = Errors::default();
    let (mut args, others) = HandlerArgs::parse(attribute, args, &errors);
    let socket = match attribute.name {
        "websocket" => Some(SocketOptions::new(&others, &errors)),
        "json_socket" => {
            args.path = Some(socket::message_path(&others, &errors));
            None
        }
        _ => None,
    };
    let Ok(mut function) = syn::parse2::<ItemFn>(item.clone()) else {
        let name = attribute.name;
        errors.on(
            &item,
            format!("`#[{name}]` can only be applied to a function\nhelp: write `async fn`"),
        );
        let errors = errors.into_tokens();
        return quote!(#item #errors);
    };
    let route = lower::lower(attribute, &args, &function, &errors);
    if let (Some(_), Some(route)) = (&socket, &route) {
        socket::check_takes_socket(route, &function, &errors);
    }
    let keys = args.crate_path.resolve(expand::keys(&args));
    match route {
        Some(route) if !errors.any() && !lower::is_rejected_by_rustc(&function) => {
            let route = expand::expand(&route, &function, socket.as_ref());
            let route = args.crate_path.resolve(route);
            quote!(#function #route #keys)
        }
        _ => {
            let errors = errors.into_tokens();
            function
                .attrs
                .retain(|attribute| !lower::is_second_attribute(attribute));
            let hidden = Hidden::by(&function, args.operation.as_ref());
            // An impl block cannot contain the types and constants that go with a function, and a type that hides another one is the
            // reported error.
            if function.takes_self() || hidden.as_ref().is_some_and(Hidden::is_outside_of_body) {
                return quote!(#[allow(unused_variables)] #function #errors);
            }
            if hidden.is_some() {
                function.clear_body();
            }
            let placeholder = args.crate_path.resolve(function.placeholder());
            quote!(#[allow(unused_variables)] #function #placeholder #errors #keys)
        }
    }
}
