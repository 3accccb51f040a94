//! The attributes and derives of brubeck. They are re-exported by the `brubeck` crate; use them from there.
//!
//! The documentation of each macro is in a file of the folder `docs`, with examples that are compiled as doc tests.

#![cfg_attr(
    not(all(feature = "services", feature = "templates")),
    allow(dead_code, unused_imports)
)]

mod attribute;
mod automaton;
mod contract;
mod crate_path;
mod error;
#[cfg(test)]
mod golden;
mod handler;
mod item;
mod keys;
mod method;
#[cfg(not(feature = "templates"))]
mod no_templates;
mod pattern;
mod routes;
mod schema;
mod state;
#[cfg(feature = "templates")]
mod template;
mod types;

use handler::HandlerAttribute;
use proc_macro::TokenStream;

macro_rules! handler_attributes {
    ($($(#[$doc:meta])* $name:ident = $attribute:expr;)*) => {$(
        $(#[$doc])*
        #[proc_macro_attribute]
        pub fn $name(args: TokenStream, item: TokenStream) -> TokenStream {
            handler::expand($attribute, args.into(), item.into()).into()
        }
    )*};
}

handler_attributes! {
    #[doc = include_str!("../docs/web_handler.md")]
    web_handler = HandlerAttribute::WEB;
    #[doc = include_str!("../docs/service_handler.md")]
    service_handler = HandlerAttribute::SERVICE;
    #[doc = include_str!("../docs/response_handler.md")]
    response_handler = HandlerAttribute::RESPONSE;
    #[doc = include_str!("../docs/get.md")]
    get = HandlerAttribute::verb("get");
    #[doc = include_str!("../docs/post.md")]
    post = HandlerAttribute::verb("post");
    #[doc = include_str!("../docs/put.md")]
    put = HandlerAttribute::verb("put");
    #[doc = include_str!("../docs/patch.md")]
    patch = HandlerAttribute::verb("patch");
    #[doc = include_str!("../docs/delete.md")]
    delete = HandlerAttribute::verb("delete");
    #[doc = include_str!("../docs/head.md")]
    head = HandlerAttribute::verb("head");
    #[doc = include_str!("../docs/options.md")]
    options = HandlerAttribute::verb("options");
    #[doc = include_str!("../docs/trace.md")]
    trace = HandlerAttribute::verb("trace");
    #[doc = include_str!("../docs/connect.md")]
    connect = HandlerAttribute::verb("connect");
    #[doc = include_str!("../docs/websocket.md")]
    websocket = HandlerAttribute::WEBSOCKET;
    #[doc = include_str!("../docs/json_socket.md")]
    json_socket = HandlerAttribute::JSON_SOCKET;
}

#[doc = include_str!("../docs/service_client.md")]
#[proc_macro_attribute]
pub fn service_client(args: TokenStream, item: TokenStream) -> TokenStream {
    #[cfg(feature = "services")]
    return contract::expand(args.into(), item.into()).into();
    #[cfg(not(feature = "services"))]
    {
        let _ = (args, item);
        error::needs_feature("`#[service_client]`", "services").into()
    }
}

/// Expands `brubeck::serves!`, which documents it. The input begins with the path of brubeck and a semicolon.
#[doc(hidden)]
#[proc_macro]
pub fn serves(input: TokenStream) -> TokenStream {
    routes::expand_serves(input.into()).into()
}

/// Expands `brubeck::routes!`, which documents it. The input begins with the path of brubeck and a semicolon.
#[doc(hidden)]
#[proc_macro]
pub fn routes(input: TokenStream) -> TokenStream {
    routes::expand(input.into()).into()
}

#[doc = include_str!("../docs/app_state.md")]
#[proc_macro_derive(AppState, attributes(state))]
pub fn app_state(input: TokenStream) -> TokenStream {
    state::expand(input.into()).into()
}

#[doc = include_str!("../docs/template.md")]
#[proc_macro_derive(Template, attributes(template))]
pub fn template(input: TokenStream) -> TokenStream {
    #[cfg(feature = "templates")]
    return template::expand(input.into()).into();
    #[cfg(not(feature = "templates"))]
    no_templates::expand(input.into()).into()
}

#[doc = include_str!("../docs/template_data.md")]
#[proc_macro_derive(TemplateData, attributes(serde, template_data))]
pub fn template_data(input: TokenStream) -> TokenStream {
    #[cfg(feature = "templates")]
    return template::data::expand(input.into()).into();
    #[cfg(not(feature = "templates"))]
    {
        let _ = input;
        error::needs_feature("`#[derive(TemplateData)]`", "templates").into()
    }
}
