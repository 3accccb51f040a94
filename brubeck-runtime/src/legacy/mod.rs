//! The dialects of the Python original: codec, server and client.

pub(crate) mod client;
pub mod codec;
mod io_thread;
mod pull_router;
mod push_dealer;
pub(crate) mod server;
mod service;
mod zeromq_sockets;

pub use service::LegacyService;

use pull_router::connect_pull_router;
