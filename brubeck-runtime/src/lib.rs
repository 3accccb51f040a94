//! The runtime of brubeck. Applications use it through the `brubeck` crate, which adds the macros.

#![cfg_attr(docsrs, feature(doc_cfg))]
// Items that only some features use are compiled without these features, too.
#![cfg_attr(
    not(all(
        feature = "http",
        feature = "legacy",
        feature = "mongrel2",
        feature = "templates"
    )),
    allow(dead_code, unused_imports)
)]

#[cfg(not(unix))]
compile_error!("brubeck supports Linux, macOS and other Unix systems only");

mod app;
pub mod as_bytes;
mod authority;
mod codec;
mod const_string;
mod error;
mod extract;
#[cfg(feature = "files")]
mod files;
mod handler;
#[cfg(feature = "http")]
mod http;
mod json_parts;
mod key_pin;
#[cfg(feature = "legacy")]
mod legacy;
mod message;
mod method;
mod missing;
#[cfg(feature = "mongrel2")]
mod mongrel2;
mod outcome;
mod peer;
mod problem;
mod response;
mod routing;
mod rpc;
mod scope;
mod secret;
mod session;
mod small_bytes;
mod spec;
mod status;
mod target;
#[cfg(feature = "templates")]
mod template;
#[cfg(not(feature = "templates"))]
#[path = "no_templates.rs"]
mod template;
pub mod testing;
#[cfg(test)]
mod tests;
mod trace;
mod websocket;

#[doc(hidden)]
pub mod __private;

#[cfg(feature = "services")]
pub use crate::app::Service;
pub use crate::app::{App, AppService, CallService, Handle, Hook, Limits, Proceed, Running};
pub use crate::authority::{Authority, Scheme};
pub use crate::error::{Error, Result};
pub use crate::extract::{
    Arg, Args, BodyUse, Context, CurrentUser, Extension, Fill, Form, FromCapture, FromMessage, Header,
    Headers, Json, PathArgument, Provides, Query, ReadOperation, State, Text, Upload, UploadError, User,
};
#[cfg(feature = "axum")]
pub use crate::extract::{Axum, AxumBody};
#[cfg(feature = "multipart")]
pub use crate::extract::{Multipart, MultipartStream, Part, PartStream};
#[cfg(feature = "files")]
pub use crate::files::Files;
pub use crate::handler::Connection;
#[doc(hidden)]
pub use crate::handler::{Application, OpenConnection, Stop};
#[cfg(feature = "http")]
pub use crate::http::Http;
pub use crate::key_pin::{KeyPin, KeyPinError};
#[cfg(feature = "legacy")]
pub use crate::legacy::LegacyService;
pub use crate::message::Message;
pub use crate::method::{Kind, Method, UnknownMethod};
#[cfg(not(feature = "http"))]
pub use crate::missing::Http;
#[cfg(not(feature = "mongrel2"))]
pub use crate::missing::Mongrel2;
#[cfg(not(feature = "templates"))]
pub use crate::missing::Page;
#[cfg(not(feature = "axum"))]
pub use crate::missing::{Axum, AxumBody};
#[cfg(not(feature = "files"))]
pub use crate::missing::{File, Files};
#[cfg(not(feature = "multipart"))]
pub use crate::missing::{Multipart, MultipartStream, Part, PartStream};
#[cfg(feature = "mongrel2")]
pub use crate::mongrel2::process::{Mongrel2Config, Mongrel2Handler, Mongrel2Server};
#[cfg(feature = "mongrel2")]
pub use crate::mongrel2::{
    Mongrel2, Mongrel2Connection, Mongrel2ConnectionKind, Mongrel2Control, Mongrel2Counts,
};
pub use crate::peer::{CallerKey, RemoteAddr};
pub use crate::problem::Problem;
#[cfg(feature = "files")]
pub use crate::response::File;
pub use crate::response::{
    Body, BodyError, BoxError, Event, Events, Fields, Html, IntoReply, Payload, Redirect, Rejection, Reply,
    Response,
};
pub use crate::routing::{Routes, Unreachable, UrlError};
pub use crate::rpc::api::{
    Call, CallError, CallErrorReason, CallId, CallResult, CallSite, Cancellation, Client, ClientService,
    Credentials, Deadline, Dialect, Handled, HandledCall, Handles, InvalidCallId, KeyPair, Nowait, Operation,
    Phase, ResponseBody, ServiceAddress, ServiceRequest, ServiceResponse, Services, TypedCall,
    TypedCallFuture, TypedHandledCall, TypedResponse, Wire,
};
#[doc(hidden)]
pub use crate::rpc::api::{Link, Origin, PendingResponse};
#[cfg(feature = "services")]
pub use crate::rpc::sealed::PeerKey;
#[cfg(feature = "services")]
#[doc(hidden)]
pub use crate::rpc::{core as protocol, driver};
pub use crate::session::{
    Cookie, CookieSecret, Cookies, MemoryStore, SameSite, Session, SessionRecord, SessionStore, Sessions,
    SignedCookies,
};
pub use crate::spec::{Routed, Spec};
pub use crate::status::Status;
#[cfg(feature = "templates")]
pub use crate::template::{Page, Template, TemplateData};
#[cfg(feature = "services")]
pub use crate::testing::{TestSite, TestSiteHandle};
pub use crate::trace::Trace;
pub use crate::websocket::{
    Broadcast, Close, Closed, SocketMessage, SocketOutcome, SocketSender, Subscription, Upgrade, WebSocket,
};

#[doc(no_inline)]
pub use bytes::Bytes;

/// The codecs of messages, for tests and fuzz targets.
#[doc(hidden)]
pub mod wire {
    pub use super::authority::codec as authority;
    pub use super::codec::{Cursor, EncodeError, ParseError, lenstr, netstring, tnetstring};
    #[cfg(feature = "multipart")]
    pub use super::extract::multipart_codec as multipart;
    #[cfg(feature = "files")]
    pub use super::files::codec as files;
    #[cfg(feature = "legacy")]
    pub use super::legacy::codec as service;
    #[cfg(feature = "mongrel2")]
    pub use super::mongrel2::codec as mongrel2;
    #[cfg(feature = "services")]
    pub use super::rpc::codec as v3;
    pub use super::session::codec as cookies;
    pub use super::target::codec as target;
    pub use super::websocket::codec as websocket;
    #[cfg(feature = "deflate")]
    pub use super::websocket::codec::deflate;
}

#[cfg(feature = "templates")]
pub use minijinja;
#[cfg(feature = "schema")]
pub use schemars;
