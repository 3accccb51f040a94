//! The runtime of brubeck. Applications use it through the `brubeck` crate, which adds the macros.

mod app;
mod codec;
mod error;
mod extract;
mod handler;
mod http;
mod legacy;
mod message;
mod method;
mod mongrel2;
mod response;
mod routing;
mod rpc;
mod scope;
mod secret;
mod session;
mod small_bytes;
mod spec;
mod status;
mod template;
pub mod testing;
#[cfg(test)]
mod tests;
mod trace;
mod websocket;

#[doc(hidden)]
pub mod __private;

pub use crate::app::{App, AppService, Handle, Hook, Limits, Proceed, Running, Service};
pub use crate::error::{Error, Result};
pub use crate::extract::{
    Arg, Args, Arguments, Context, CurrentUser, Extension, Fill, Form, FromCapture, FromMessage, Header,
    Headers, Json, PathArgument, Provides, Query, ReadOperation, State, Text, Upload, UploadError, User,
};
#[cfg(feature = "axum")]
pub use crate::extract::{Axum, AxumBody};
#[cfg(feature = "multipart")]
pub use crate::extract::{Multipart, Part};
pub use crate::handler::{Application, Connection, Stop};
pub use crate::http::Http;
pub use crate::legacy::LegacyService;
pub use crate::message::{Message, RemoteAddr};
pub use crate::method::{Kind, Method, UnknownMethod};
#[cfg(unix)]
pub use crate::mongrel2::process::{Mongrel2Config, Mongrel2Handler, Mongrel2Server};
pub use crate::mongrel2::{
    Mongrel2, Mongrel2Connection, Mongrel2ConnectionKind, Mongrel2Control, Mongrel2Counts,
};
#[cfg(feature = "files")]
pub use crate::response::File;
pub use crate::response::{
    Answers, Body, BodyError, BoxError, Event, Events, Fields, Html, IntoReply, NotFound, Payload, Problem,
    Redirect, Rejection, Reply, Response, View,
};
pub use crate::routing::{Routes, Unreachable};
pub use crate::rpc::api::{
    Call, CallError, Cancellation, Client, Deadline, Dialect, Fault, Handled, HandledCall, Handles, Link,
    Nowait, Operation, Origin, Phase, ResponseHandlers, ServiceAddress, ServiceRequest, ServiceResponse,
    Services, TypedCall, TypedHandledCall, TypedResponse, Wire,
};
#[doc(hidden)]
pub use crate::rpc::{core as protocol, driver};
pub use crate::session::{Cookie, CookieSecret, Cookies, SameSite, Session, SignedCookies};
pub use crate::spec::Spec;
pub use crate::status::Status;
pub use crate::template::{Page, Template};
pub use crate::testing::{TestSite, TestSiteHandle};
pub use crate::trace::Trace;
pub use crate::websocket::{
    Broadcast, Close, Closed, SocketMessage, SocketOutcome, SocketSender, Subscription, Upgrade, WebSocket,
};

/// The codecs of all protocols, for tests and fuzz targets.
#[doc(hidden)]
pub mod wire {
    pub use super::codec::{Cursor, EncodeError, ParseError, lenstr, netstring, tnetstring};
    pub use super::legacy::codec as service;
    pub use super::mongrel2::codec as mongrel2;
    pub use super::rpc::codec as v2;
    pub use super::websocket::codec as websocket;
    #[cfg(feature = "deflate")]
    pub use super::websocket::codec::deflate;
}

pub use minijinja;
#[cfg(feature = "schema")]
pub use schemars;
