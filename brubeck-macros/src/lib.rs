//! The attributes and derives of brubeck; documented where the `brubeck` crate re-exports them.

mod attribute;
mod automaton;
mod contract;
mod error;
#[cfg(test)]
mod golden;
mod handler;
mod item;
mod method;
mod pattern;
mod routes;
mod schema;
mod state;
mod template;
mod types;

use handler::Marker;
use proc_macro::TokenStream;

macro_rules! handler_attributes {
    ($($(#[$doc:meta])* $name:ident = $marker:expr;)*) => {$(
        $(#[$doc])*
        #[proc_macro_attribute]
        pub fn $name(attribute: TokenStream, item: TokenStream) -> TokenStream {
            handler::expand($marker, attribute.into(), item.into()).into()
        }
    )*};
}

handler_attributes! {
    /// A handler that answers browsers.
    web_handler = Marker::WEB;
    /// A handler that answers other applications.
    service_handler = Marker::SERVICE;
    /// A handler of what services answered.
    response_handler = Marker::RESPONSE;
    /// `#[web_handler(path = "..", method = "get")]`.
    get = Marker::verb("get");
    /// `#[web_handler(path = "..", method = "post")]`.
    post = Marker::verb("post");
    /// `#[web_handler(path = "..", method = "put")]`.
    put = Marker::verb("put");
    /// `#[web_handler(path = "..", method = "patch")]`.
    patch = Marker::verb("patch");
    /// `#[web_handler(path = "..", method = "delete")]`.
    delete = Marker::verb("delete");
    /// `#[web_handler(path = "..", method = "head")]`.
    head = Marker::verb("head");
    /// `#[web_handler(path = "..", method = "options")]`.
    options = Marker::verb("options");
    /// `#[web_handler(path = "..", method = "trace")]`.
    trace = Marker::verb("trace");
    /// `#[web_handler(path = "..", method = "connect")]`.
    connect = Marker::verb("connect");
}

/// A handler of a WebSocket: `#[websocket("^/chat$", protocols = ["chat.v1"], origins = ["https://app.example"])]`.
#[proc_macro_attribute]
pub fn websocket(attribute: TokenStream, item: TokenStream) -> TokenStream {
    handler::expand_websocket(attribute.into(), item.into()).into()
}

/// A handler of the messages of a JSON or XML socket, which Mongrel2 has beside HTTP: `#[json_socket("@chat")]`.
#[proc_macro_attribute]
pub fn json_socket(attribute: TokenStream, item: TokenStream) -> TokenStream {
    handler::expand_json_socket(attribute.into(), item.into()).into()
}

/// A contract: a trait from which clients and services come.
#[proc_macro_attribute]
pub fn service_client(attribute: TokenStream, item: TokenStream) -> TokenStream {
    contract::expand(attribute.into(), item.into()).into()
}

/// Proves that a table serves every operation of a contract.
#[proc_macro]
pub fn serves(input: TokenStream) -> TokenStream {
    routes::expand_serves(input.into()).into()
}

/// The routes of an application, in the order they are tried.
#[proc_macro]
pub fn routes(input: TokenStream) -> TokenStream {
    routes::expand(input.into()).into()
}

/// Makes every field of a struct a part of the application's state.
#[proc_macro_derive(AppState, attributes(state))]
pub fn app_state(input: TokenStream) -> TokenStream {
    state::expand(input.into()).into()
}

/// Embeds a template and checks it against the struct it shows.
#[proc_macro_derive(Template, attributes(template))]
pub fn template(input: TokenStream) -> TokenStream {
    template::expand(input.into()).into()
}
