//! The loops that bring messages to an application and take its responses away.
//! Only this room names `zeromq` and `hyper`.

mod application;
mod caught;
mod client;
mod http;
mod introspection;
mod memory;
mod mongrel2;
#[cfg(unix)]
mod mongrel2_server;
mod service;
mod transport;
mod v2;
pub(crate) mod web;

pub use application::{Answer, Application, AtOnce, Called, Connection, Opened, Stop};
pub use http::Http;
pub use memory::{InsideMemory, Memory};
pub use mongrel2::{Mongrel2, Mongrel2Connection, Mongrel2Control, Mongrel2Counts, Mongrel2Sort};
#[cfg(unix)]
pub use mongrel2_server::{Mongrel2Config, Mongrel2Handler, Mongrel2Server};
pub use service::Service;

pub(crate) use caught::Caught;
pub(crate) use client::open_client;
