//! brubeck is a framework in which a plain `async fn` with one attribute is a handler.
//!
//! ```no_run
//! use brubeck::prelude::*;
//!
//! #[get(r"^/hello/(?<name>[^/]+)$")]
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
//! | `multipart` | | [`Multipart`]: forms with files |
//! | `schema` | | JSON Schemas of operations in `/.brubeck/info` |
//! | `systemd` | | `Http::inherited`: sockets that systemd passes to the process |
//! | `tls` | | HTTPS for the embedded server |
//!
//! Without any feature the crate has extractors, replies, routes and [`testing::TestClient`], and [`App::into_service`] turns the application into a
//! `tower` service. A use of a disabled feature is a compile error that names the feature.
//!
//! # A renamed dependency
//!
//! The attributes generate paths that begin with `::brubeck`. If the crate has another name in Cargo.toml, add this line to the root of your
//! crate: `extern crate other_name as brubeck;`.
//!
//! # Platforms
//!
//! Linux is tested. macOS and other Unix systems are expected to work. Other systems are not supported: compiling there is an error. brubeck needs
//! Rust 1.89 or newer.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use brubeck_macros::{
    AppState, Template, connect, delete, get, head, json_socket, options, patch, post, put, response_handler,
    routes, serves, service_client, service_handler, trace, web_handler, websocket,
};
#[cfg(feature = "multipart")]
pub use brubeck_runtime::Part;
#[cfg(feature = "schema")]
pub use brubeck_runtime::schemars;
#[doc(hidden)]
pub use brubeck_runtime::{__private, wire};
pub use brubeck_runtime::{
    Answers, App, AppService, Application, Arg, Args, Arguments, Axum, AxumBody, Body, BodyError, BoxError,
    Broadcast, Call, CallError, Cancellation, Client, Close, Closed, Connection, Context, Cookie,
    CookieSecret, Cookies, CurrentUser, Deadline, Dialect, Error, Event, Events, Extension, Fault, Fields,
    File, Fill, Form, FromCapture, FromMessage, Handle, Handled, HandledCall, Handles, Header, Headers, Hook,
    Html, Http, IntoReply, Json, Kind, Limits, Link, Message, Method, Mongrel2, Multipart, NotFound, Nowait,
    Operation, Origin, Page, PathArgument, Payload, Phase, Problem, Proceed, Provides, Query, ReadOperation,
    Redirect, Rejection, RemoteAddr, Reply, Response, ResponseHandlers, Result, Routes, Running, SameSite,
    Service, ServiceAddress, ServiceRequest, ServiceResponse, Services, Session, SignedCookies,
    SocketMessage, SocketOutcome, SocketSender, Spec, State, Status, Stop, Subscription, Text, Trace,
    TypedCall, TypedHandledCall, TypedResponse, UnknownMethod, Unreachable, Upgrade, Upload, UploadError,
    User, WebSocket, Wire, answered, testing,
};
#[cfg(feature = "mongrel2")]
pub use brubeck_runtime::{Mongrel2Config, Mongrel2Handler, Mongrel2Server};
#[cfg(feature = "mongrel2")]
pub use brubeck_runtime::{Mongrel2Connection, Mongrel2ConnectionKind, Mongrel2Control, Mongrel2Counts};
#[cfg(feature = "templates")]
pub use brubeck_runtime::{Template, View, minijinja};
#[cfg(feature = "services")]
pub use brubeck_runtime::{TestSite, TestSiteHandle};
#[cfg(feature = "services")]
#[doc(hidden)]
pub use brubeck_runtime::{driver, protocol};

/// Services that use a dialect of the Python original, Brubeck Services.
pub mod legacy {
    pub use brubeck_runtime::LegacyService as Service;
}

/// The macros and types that most applications use: `use brubeck::prelude::*;`.
pub mod prelude {
    #[doc(no_inline)]
    pub use brubeck_macros::{
        AppState, Template, connect, delete, get, head, json_socket, options, patch, post, put,
        response_handler, routes, serves, service_client, service_handler, trace, web_handler, websocket,
    };
    #[cfg(feature = "templates")]
    #[doc(no_inline)]
    pub use brubeck_runtime::Template;
    #[doc(no_inline)]
    pub use brubeck_runtime::{
        App, Arg, Args, Axum, AxumBody, Body, Broadcast, Call, CallError, Client, Close, Closed, Context,
        Cookie, Cookies, CurrentUser, Event, Events, Extension, Fault, File, Form, FromMessage, Handled,
        Header, Headers, Html, Http, IntoReply, Json, Limits, Message, Method, Mongrel2, Multipart, NotFound,
        Page, Problem, Query, Redirect, Rejection, RemoteAddr, Reply, Response, Routes, Service,
        ServiceResponse, Services, Session, SignedCookies, SocketMessage, SocketSender, State, Status,
        Subscription, Text, Upgrade, Upload, UploadError, User, WebSocket,
    };
}
