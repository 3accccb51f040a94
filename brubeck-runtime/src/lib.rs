//! The runtime of brubeck: everything that runs. Use it through the `brubeck` crate, which adds the
//! macros.

mod app;
mod call;
mod connect;
mod context;
mod error;
mod extract;
mod message;
mod method;
mod reply;
mod route;
mod status;
mod template;
mod trace;
pub mod wire;

#[doc(hidden)]
pub mod __private;

pub use app::{App, Handle, Running};
pub use call::*;
pub use connect::{
    Application, Connection, Http, InsideMemory, Memory, Mongrel2, Opened, Service, Stop, transport,
};
#[cfg(unix)]
pub use connect::{Mongrel2Config, Mongrel2Handler, Mongrel2Server};
pub use context::Context;
pub use error::{Error, Result};
pub use extract::*;
pub use message::{Message, RemoteAddr};
pub use method::{Kind, Method, UnknownMethod};
pub use reply::{Fields, Html, IntoReply, Payload, Reply, Response, View};
pub use route::{Routes, Spec, Unreachable};
pub use status::Status;
pub use template::{Page, Template};
pub use trace::Trace;
pub use wire::service::Dialect;

pub use minijinja;
