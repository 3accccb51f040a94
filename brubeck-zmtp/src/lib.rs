//! ZMTP 3 sockets over tokio: bounded, supervised.

#[doc(hidden)]
pub mod client;
#[doc(hidden)]
pub mod codec;
#[doc(hidden)]
pub mod connection;
mod endpoint;
mod error;
#[doc(hidden)]
pub mod limits;
#[doc(hidden)]
pub mod link;
#[doc(hidden)]
pub mod listener;
mod memory;
#[doc(hidden)]
pub mod queue;
#[doc(hidden)]
pub mod server;
mod transport;

pub use client::{Client, ClientEvent, ClientOutbox};
pub use endpoint::{Endpoint, EndpointError, MAX_IPC_PATH};
pub use error::{SendError, TransportError};
pub use limits::{LINGER, Limits, Timing};
pub use link::shutdown::Closing;
pub use link::{Generation, LinkState};
pub use memory::InMemory;
pub use queue::counts::Counts;
pub use queue::events::Inbox;
pub use server::{Peer, Server, ServerEvent, ServerOutbox};
pub use transport::{Transport, ZeroMq};
