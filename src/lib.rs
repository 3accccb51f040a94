#![doc = include_str!("../README.md")]

pub use brubeck_macros::{
    AppState, Template, connect, delete, get, head, json_socket, options, patch, post, put, response_handler,
    routes, serves, service_client, service_handler, trace, web_handler, websocket,
};
#[cfg(feature = "files")]
pub use brubeck_runtime::File;
#[cfg(feature = "schema")]
pub use brubeck_runtime::schemars;
#[doc(hidden)]
pub use brubeck_runtime::{__private, driver, protocol, wire};
pub use brubeck_runtime::{
    Answers, App, AppService, Application, Arg, Args, Arguments, Body, BodyError, BoxError, Broadcast, Call,
    CallError, Cancellation, Client, Close, Closed, Connection, Context, Cookie, CookieSecret, Cookies,
    CurrentUser, Deadline, Dialect, Error, Event, Events, Extension, Fault, Fields, Fill, Form, FromCapture,
    FromMessage, Handle, Handled, HandledCall, Handles, Header, Headers, Hook, Html, Http, IntoReply, Json,
    Kind, Limits, Link, Message, Method, Mongrel2, Mongrel2Connection, Mongrel2ConnectionKind,
    Mongrel2Control, Mongrel2Counts, NotFound, Nowait, Operation, Origin, Page, PathArgument, Payload, Phase,
    Problem, Proceed, Provides, Query, ReadOperation, Redirect, Rejection, RemoteAddr, Reply, Response,
    ResponseHandlers, Result, Routes, Running, SameSite, Service, ServiceAddress, ServiceRequest,
    ServiceResponse, Services, Session, SignedCookies, SocketMessage, SocketOutcome, SocketSender, Spec,
    State, Status, Stop, Subscription, Template, TestSite, TestSiteHandle, Text, Trace, TypedCall,
    TypedHandledCall, TypedResponse, UnknownMethod, Unreachable, Upgrade, Upload, UploadError, User, View,
    WebSocket, Wire, answered, minijinja, testing,
};
#[cfg(feature = "axum")]
pub use brubeck_runtime::{Axum, AxumBody};
#[cfg(unix)]
pub use brubeck_runtime::{Mongrel2Config, Mongrel2Handler, Mongrel2Server};
#[cfg(feature = "multipart")]
pub use brubeck_runtime::{Multipart, Part};

/// Services in the dialects of Brubeck Services, the Python original.
pub mod legacy {
    pub use brubeck_runtime::LegacyService as Service;
}

/// What an application needs: `use brubeck::prelude::*;`.
pub mod prelude {
    #[doc(no_inline)]
    pub use brubeck_macros::{
        AppState, Template, connect, delete, get, head, json_socket, options, patch, post, put,
        response_handler, routes, serves, service_client, service_handler, trace, web_handler, websocket,
    };
    #[cfg(feature = "files")]
    #[doc(no_inline)]
    pub use brubeck_runtime::File;
    #[cfg(feature = "multipart")]
    #[doc(no_inline)]
    pub use brubeck_runtime::Multipart;
    #[doc(no_inline)]
    pub use brubeck_runtime::{
        App, Arg, Args, Body, Broadcast, Call, CallError, Client, Close, Closed, Context, Cookie, Cookies,
        CurrentUser, Event, Events, Extension, Fault, Form, FromMessage, Handled, Header, Headers, Html,
        Http, IntoReply, Json, Limits, Message, Method, Mongrel2, NotFound, Page, Problem, Query, Redirect,
        Rejection, RemoteAddr, Reply, Response, Routes, Service, ServiceResponse, Services, Session,
        SignedCookies, SocketMessage, SocketSender, State, Status, Subscription, Template, Text, Upgrade,
        Upload, UploadError, User, WebSocket,
    };
    #[cfg(feature = "axum")]
    #[doc(no_inline)]
    pub use brubeck_runtime::{Axum, AxumBody};
}
