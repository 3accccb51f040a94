//! The dialects of the Python original: their wire, and both sides of a call in them.

pub(crate) mod client;
pub mod codec;
mod hub;
mod io_thread;
pub(crate) mod server;
mod service;
mod worker;
mod zeromq_sockets;

pub use service::LegacyService;

use worker::connect_worker;
