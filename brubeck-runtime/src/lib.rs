//! The runtime of brubeck: everything that runs. Use it through the `brubeck` crate, which adds the
//! macros.

mod app;
mod codec;
mod connect;
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
mod trace;
mod websocket;

#[doc(hidden)]
pub mod __private;

pub use crate::http::Http;
pub use app::{App, AppService, Handle, Hook, Limits, Proceed, Running, Service};
pub use connect::transport;
pub use error::{Error, Result};
pub use extract::{
    Arg, Arguments, Ask, Context, CurrentUser, Extension, Fill, Form, FromCapture, FromMessage, Header,
    Headers, Json, PathArgument, Provides, Query, ReadOperation, State, Text, Upload, UploadError, User,
};
#[cfg(feature = "axum")]
pub use extract::{Axum, AxumBody};
#[cfg(feature = "multipart")]
pub use extract::{Multipart, Part};
pub use handler::{Application, Connection, Opened, Stop};
pub use message::{Message, RemoteAddr};
pub use method::{Kind, Method, UnknownMethod};
#[cfg(unix)]
pub use mongrel2::process::{Mongrel2Config, Mongrel2Handler, Mongrel2Server};
pub use mongrel2::{Mongrel2, Mongrel2Connection, Mongrel2Control, Mongrel2Counts, Mongrel2Sort};
#[cfg(feature = "files")]
pub use response::File;
pub use response::{
    Answers, Body, BodyError, BoxError, Event, Events, Fields, Html, IntoReply, NotFound, Payload, Problem,
    Redirect, Rejection, Reply, Response, View,
};
pub use routing::{Routes, Unreachable};
pub use rpc::api::{
    Answer, Call, CallError, Cancellation, Carried, Client, Deadline, Dialect, Fault, Handled, HandledCall,
    Handles, Link, Nowait, Operation, Origin, Phase, Placed, Request, ResponseHandlers, ServiceAddress,
    Services, TypedAnswer, TypedCall, Wire, WithHandler,
};
#[doc(hidden)]
pub use rpc::{core as protocol, driver};
pub use session::{Cookie, CookieSecret, Cookies, SameSite, Session, SignedCookies};
pub use spec::Spec;
pub use status::Status;
pub use template::{Page, Template};
pub use testing::{InsideMemory, Memory};
pub use trace::Trace;
pub use websocket::{
    Broadcast, Close, Closed, Membership, SocketMessage, SocketOutcome, SocketSender, Upgrade, WebSocket,
};

/// The codecs of every wire, for tests and fuzz targets.
#[doc(hidden)]
pub mod wire {
    pub use crate::codec::{Cursor, EncodeError, Error, lenstr, netstring, tnetstring};
    pub use crate::legacy::codec as service;
    pub use crate::mongrel2::codec as mongrel2;
    pub use crate::rpc::codec as v2;
    pub use crate::websocket::codec as websocket;
    #[cfg(feature = "deflate")]
    pub use crate::websocket::codec::deflate;
}

pub use minijinja;
#[cfg(feature = "schema")]
pub use schemars;
