//! The runtime of brubeck: everything that runs. Use it through the `brubeck` crate, which adds the
//! macros.

mod app;
mod call;
mod connect;
mod context;
mod cookie;
mod errand;
mod error;
mod events;
mod extract;
mod message;
mod method;
mod piece;
mod quickness;
mod reply;
mod route;
mod session;
mod status;
mod template;
pub mod test;
mod trace;
mod upload;
mod websocket;
pub mod wire;

#[doc(hidden)]
pub mod __private;

pub use app::{App, AppService, Handle, Hook, Limits, Proceed, Running};
pub use call::*;
pub use connect::{
    Application, Connection, Http, InsideMemory, Memory, Mongrel2, Mongrel2Connection, Mongrel2Control,
    Mongrel2Counts, Mongrel2Sort, Opened, Service, Stop,
};
#[cfg(unix)]
pub use connect::{Mongrel2Config, Mongrel2Handler, Mongrel2Server};
pub use context::Context;
pub use cookie::{CookieSecret, Cookies, SignedCookies};
pub use error::{Error, Result};
pub use events::{Event, Events};
pub use extract::*;
pub use message::{Message, RemoteAddr};
pub use method::{Kind, Method, UnknownMethod};
#[cfg(feature = "files")]
pub use reply::File;
pub use reply::{
    Body, BodyError, BoxError, Cookie, Fields, Html, IntoReply, NotFound, Payload, Problem, Redirect, Reply,
    Response, SameSite, View,
};
pub use route::{Routes, Spec, Unreachable};
pub use session::Session;
pub use status::Status;
pub use template::{Page, Template};
pub use trace::Trace;
pub use upload::{Upload, UploadError};
pub use websocket::{
    Broadcast, Close, Closed, Membership, SocketMessage, SocketOutcome, SocketSender, Upgrade, WebSocket,
};
pub use wire::service::Dialect;

pub use minijinja;
#[cfg(feature = "schema")]
pub use schemars;
