//! The loops that bring messages to an application and take its responses away.
//! Only this room names `zeromq` and `hyper`.

mod application;
mod http;
pub mod transport;
mod web;

pub use application::{Application, Connection, Opened, Stop};
pub use http::Http;
