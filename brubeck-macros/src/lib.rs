//! The attributes and derives of brubeck; documented where the `brubeck` crate re-exports them.

mod attribute;
mod automaton;
mod error;
mod handler;
mod item;
mod method;
mod pattern;
mod routes;
mod state;
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
