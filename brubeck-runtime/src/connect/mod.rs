//! The loops that bring messages to an application and take its responses away.
//! Only this room names `zeromq` and `hyper`.

mod application;
mod http;
#[cfg(unix)]
mod mongrel2_server;
pub mod transport;
mod web;

pub use application::{Application, Connection, Opened, Stop};
pub use http::Http;
#[cfg(unix)]
pub use mongrel2_server::{Mongrel2Config, Mongrel2Handler, Mongrel2Server};
