//! The loops that bring messages to an application and take its responses away.
//! Only this room names `zeromq` and `hyper`.

mod application;
mod client;
mod http;
//mod mongrel2;
mod service;
pub mod transport;
mod web;

pub use application::{Application, Connection, Opened, Stop};
pub use http::Http;
//pub use mongrel2::Mongrel2;
pub use service::Service;

pub(crate) use client::open_client;
