//! brubeck is a framework in which a plain `async fn` with one attribute is a handler.
//!
//! ```no_run
//! use brubeck::prelude::*;
//!
//! #[get("/hello/{name}")]
//! async fn hello(name: String) -> String {
//!     format!("Hello, {name}!")
//! }
//!
//! const ROUTES: Routes<()> = routes![hello];
//!
//! #[tokio::main]
//! async fn main() -> brubeck::Result {
//!     App::new(ROUTES, ()).serve(Http::bind("127.0.0.1:6767")).await
//! }
//! ```
//!
//! # Handlers
//!
//! | attribute | the handler responds to |
//! |---|---|
//! | [`#[get]`](macro@get), [`#[post]`](macro@post), [`#[put]`](macro@put), [`#[patch]`](macro@patch), [`#[delete]`](macro@delete), [`#[web_handler]`](macro@web_handler) | browsers and other HTTP clients |
//! | [`#[websocket]`](macro@websocket), [`#[json_socket]`](macro@json_socket) | WebSockets, and the message sockets of Mongrel2 |
//! | [`#[service_handler]`](macro@service_handler) | calls of other applications |
//! | [`#[response_handler]`](macro@response_handler) | responses to calls that were sent with [`nowait`](Call::nowait) |
//!
//! Arguments bind by name to the captures of the route, and by type to everything else: [`Json`], [`Query`], [`Form`], [`Arg`],
//! [`State`], [`Headers`], [`Cookies`], [`Session`], and every other type that implements [`FromMessage`]. A handler returns any type that
//! implements [`IntoReply`].
//!
//! [`routes!`] lists the handlers in a constant table. The first route that matches is chosen, and a route that can never match is a compile
//! error. [`App`] combines the table with a state and serves it over one or more connections: [`Http`], [`Mongrel2`] or [`Service`].
//!
//! # Services
//!
//! A service does its work in other processes or on other machines. [`#[service_client]`](macro@service_client) turns a trait into a contract with a
//! typed client; a web handler awaits its calls, or sends them with `nowait` and continues at once. [`Service`] serves a contract,
//! [`Services`] and [`Client`] call one. [`TestSite`] runs an application and its services in one test, without sockets.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `http` | yes | [`Http`], the embedded server |
//! | `services` | yes | [`Service`], [`Client`] and contracts, over ZeroMQ |
//! | `legacy` | yes | the dialects of the Python original, and [`legacy::Service`] (crate `zeromq`) |
//! | `mongrel2` | yes | [`Mongrel2`], web handlers behind the Mongrel2 server |
//! | `templates` | yes | [`Page`] and `#[derive(Template)]`: minijinja templates, checked at compile time |
//! | `axum` | | [`Axum`] and [`AxumBody`]: extractors of axum as handler arguments |
//! | `deflate` | | compressed WebSocket messages (RFC 7692) |
//! | `files` | | [`File`] and [`App::files`]: files with ranges and conditional requests |
//! | `http2` | | HTTP/2 for the embedded server |
//! | `metrics` | | counters and histograms of calls and requests, for the `metrics` facade |
//! | `multipart` | | [`Multipart`] and [`MultipartStream`]: forms with files |
//! | `schema` | | JSON Schemas of operations in `/.brubeck/info` |
//! | `systemd` | | `Http::inherited` and `Service::inherited`: sockets that systemd passes to the process |
//! | `tls` | | HTTPS for the embedded server |
//!
//! Without any feature the crate has extractors, replies, routes and [`testing::TestClient`], and [`App::into_service`] turns the application into a
//! `tower` service. A use of a disabled feature is a compile error that names the feature.
//!
//! # A renamed dependency
//!
//! The attributes and derives generate paths that begin with `::brubeck`. If the crate has another name in Cargo.toml, such as
//! `jazz = { package = "brubeck-rs", .. }`, write that name once, at the root of your crate:
//!
//! ```ignore
//! extern crate jazz as brubeck;
//! ```
//!
//! Or give it to each attribute as the key `crate`, which is also for a framework that re-exports brubeck and whose users do not depend on it.
//! The value is a path, or a string literal that contains one. [`routes!`], [`serves!`] and [`answered!`] need neither.
//!
//! ```
//! # use brubeck as framework;
//! #[framework::get("^/hello$", crate = framework)]
//! async fn hello() -> &'static str {
//!     "Hello!"
//! }
//!
//! #[derive(Clone, framework::AppState)]
//! #[state(crate = framework)]
//! struct Site {
//!     name: String,
//! }
//!
//! const ROUTES: framework::Routes<Site> = framework::routes![hello];
//! ```
//!
//! # Platforms
//!
//! Linux is tested. macOS and other Unix systems are expected to work. Other systems are not supported: compiling there is an error. brubeck needs
//! Rust 1.89 or newer.

#![cfg_attr(docsrs, feature(doc_cfg))]

/// The programs in the documents, which are compiled with the tests.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/migrating-from-python.md")]
    struct MigratingFromPython;
    #[doc = include_str!("../docs/mongrel2.md")]
    struct Mongrel2;
    #[doc = include_str!("../docs/services.md")]
    struct Services;
    #[doc = include_str!("../docs/testing.md")]
    struct Testing;
    #[doc = include_str!("../docs/web.md")]
    struct Web;
}

pub use brubeck_macros::{
    AppState, Template, TemplateData, connect, delete, get, head, json_socket, options, patch, post, put,
    response_handler, service_client, service_handler, trace, web_handler, websocket,
};
#[doc(hidden)]
pub use brubeck_runtime::__private;
pub use brubeck_runtime::as_bytes;
pub use brubeck_runtime::{
    App, AppService, Arg, Args, Authority, Body, BodyError, BodyUse, BoxError, Broadcast, Bytes, Call,
    CallError, CallErrorReason, CallId, CallResult, CallService, CallSite, CallerKey, Cancellation, Client,
    ClientService, Close, Closed, Connection, Context, Cookie, CookieSecret, Cookies, Credentials,
    CurrentUser, Deadline, Dialect, Error, Event, Events, Extension, Fields, Fill, Form, FromCapture,
    FromMessage, Handle, Handled, HandledCall, Handles, Header, Headers, Hook, Html, IntoReply,
    InvalidCallId, Json, KeyPair, KeyPin, KeyPinError, Kind, Limits, MemoryStore, Message, Method, Nowait,
    Operation, PathArgument, Payload, Phase, Problem, Proceed, Provides, Query, ReadOperation, Redirect,
    Rejection, RemoteAddr, Reply, Response, ResponseBody, Result, Routed, Routes, Running, SameSite, Scheme,
    ServiceAddress, ServiceRequest, ServiceResponse, Services, Session, SessionRecord, SessionStore,
    Sessions, SignedCookies, SocketMessage, SocketOutcome, SocketSender, Spec, State, Status, Subscription,
    Text, Trace, TypedCall, TypedCallFuture, TypedHandledCall, TypedResponse, UnknownMethod, Unreachable,
    Upgrade, Upload, UploadError, UrlError, User, WebSocket, Wire, answered, testing, url,
};

// Without their feature, some of these items are placeholders: see `missing.rs` of the runtime.
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub use brubeck_runtime::Http;
#[cfg_attr(docsrs, doc(cfg(feature = "mongrel2")))]
pub use brubeck_runtime::Mongrel2;
#[cfg_attr(docsrs, doc(cfg(feature = "templates")))]
pub use brubeck_runtime::Page;
#[cfg(feature = "schema")]
#[cfg_attr(docsrs, doc(cfg(feature = "schema")))]
pub use brubeck_runtime::schemars;
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub use brubeck_runtime::{Axum, AxumBody};
#[cfg_attr(docsrs, doc(cfg(feature = "files")))]
pub use brubeck_runtime::{File, Files};
#[cfg(feature = "mongrel2")]
#[cfg_attr(docsrs, doc(cfg(feature = "mongrel2")))]
pub use brubeck_runtime::{
    Mongrel2Config, Mongrel2Connection, Mongrel2ConnectionKind, Mongrel2Control, Mongrel2Counts,
    Mongrel2Handler, Mongrel2Server,
};
#[cfg_attr(docsrs, doc(cfg(feature = "multipart")))]
pub use brubeck_runtime::{Multipart, MultipartStream, Part, PartStream};
#[cfg(feature = "services")]
#[cfg_attr(docsrs, doc(cfg(feature = "services")))]
pub use brubeck_runtime::{PeerKey, Service, TestSite, TestSiteHandle};
#[cfg(feature = "templates")]
#[cfg_attr(docsrs, doc(cfg(feature = "templates")))]
pub use brubeck_runtime::{Template, TemplateData, minijinja};

mod macros;

/// The procedural macros behind those in `macros.rs`.
#[doc(hidden)]
pub mod __macros {
    pub use brubeck_macros::{routes, serves};
}

/// Services that use a dialect of the Python original, Brubeck Services.
///
/// ```no_run
/// use brubeck::legacy;
/// use brubeck::prelude::*;
///
/// #[service_handler(path = "^/service/slow")]
/// async fn slow() -> Reply {
///     Reply::empty().field("RETURN_DATA", "hello")
/// }
///
/// #[tokio::main]
/// async fn main() -> brubeck::Result {
///     let requests = "ipc://run/slow";
///     let responses = "ipc://run/slow_response";
///     App::new(routes![slow], ()).serve(legacy::Service::connect(requests, responses, "my_shared_secret")).await
/// }
/// ```
///
/// [`legacy::Service`](Service) connects to its caller, as the released Python package does. A service that its callers connect to is a
/// [`brubeck::Service`](crate::Service), which understands the dialects as well. An application calls a service in a
/// dialect with [`ServiceAddress::dialect`](crate::ServiceAddress::dialect). [`Dialect`] lists the dialects.
#[cfg(feature = "legacy")]
#[cfg_attr(docsrs, doc(cfg(feature = "legacy")))]
pub mod legacy {
    pub use brubeck_runtime::LegacyService as Service;
}

/// The macros and types that most handlers need: `use brubeck::prelude::*;`.
///
/// ```
/// use anyhow::Context;
/// use brubeck::prelude::*;
///
/// #[get("^/motd$")]
/// async fn motd() -> Result<String, Problem> {
///     let text = std::fs::read_to_string("/etc/motd").context("cannot read the message of the day");
///     text.map_err(|error| Problem::new(503, format!("{error:#}")))
/// }
///
/// const ROUTES: Routes<()> = routes![motd];
/// # fn main() {}
/// ```
///
/// A name that a file imports or declares itself takes precedence over one of the prelude: after `use axum::extract::State;`, `State`
/// is that of axum, and brubeck's is `brubeck::State`. Two globs that contain the same name are an error where the name is
/// used, and a trait in one of them is not in scope then, which is hard to see. For this reason the prelude lacks some names:
///
/// | not in the prelude | other items of this name |
/// |---|---|
/// | [`Context`] and [`FromMessage`], which only implementations of extractors need | the trait `anyhow::Context`, `std::task::Context` |
/// | [`Service`] | the trait `tower::Service` |
/// | [`Method`] | `http::Method` |
/// | [`Error`] and [`Result`] | those of most crates |
/// | [`User`] | a type of most applications |
/// | [`Connection`] | the traits of `sqlx` and `diesel` |
/// | [`#[trace]`](macro@crate::trace) | the macros `tracing::trace!` and `log::trace!` |
/// | [`#[connect]`](macro@crate::connect), and everything that few handlers use | |
pub mod prelude {
    #[doc(no_inline)]
    pub use crate::{routes, serves};
    #[doc(no_inline)]
    pub use brubeck_macros::{
        AppState, Template, TemplateData, delete, get, head, json_socket, options, patch, post, put,
        response_handler, service_client, service_handler, web_handler, websocket,
    };
    #[doc(no_inline)]
    pub use brubeck_runtime::{
        App, Arg, Args, Axum, AxumBody, Body, Broadcast, Bytes, Call, CallError, CallId, CallResult, Client,
        Close, Closed, Cookie, Cookies, CurrentUser, Event, Events, Extension, File, Form, Handled, Header,
        Headers, Html, Http, IntoReply, Json, Limits, Message, Mongrel2, Multipart, MultipartStream, Page,
        Problem, Query, Redirect, Rejection, RemoteAddr, Reply, Response, Routes, ServiceResponse, Services,
        Session, SignedCookies, SocketMessage, SocketSender, State, Status, Subscription, Text, Upgrade,
        Upload, UploadError, WebSocket,
    };
    #[cfg(feature = "templates")]
    #[doc(no_inline)]
    pub use brubeck_runtime::{Template, TemplateData};
}
