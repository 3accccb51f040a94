#![doc = include_str!("../README.md")]

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
#[cfg(all(feature = "mongrel2", unix))]
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
