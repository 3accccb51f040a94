//! ZMTP 3.1 sockets over tokio: bounded, supervised, tested against libzmq.
//!
//! A [`Server`] (`ROUTER`) is bound and has many peers. A [`Client`] (`DEALER`) is connected to one server, and connects
//! again after each loss. Both are plain channel ends: every queue is bounded, in messages or bytes, and sending never
//! waits for a slow peer.
//!
//! ```
//! use brubeck_zmtp::{ClientEvent, LinkConfig, ServerEvent, ServerLimits, Transport, Zmtp};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut server = Zmtp.server("tcp://127.0.0.1:0".parse()?, ServerLimits::default()).await?;
//! let mut client = Zmtp.client(server.local.clone(), LinkConfig::default())?;
//!
//! let Some(ClientEvent::Up { .. }) = client.inbound.recv().await else { panic!() };
//! client.outbound.try_send(vec!["hello".into()])?;
//! let Some(ServerEvent::Message { peer, frames }) = server.inbound.recv().await else { panic!() };
//! server.outbound.send(peer, frames).await?;
//! let Some(ClientEvent::Message { frames, .. }) = client.inbound.recv().await else { panic!() };
//! assert_eq!(frames[0], "hello");
//! # Ok(())
//! # }
//! ```
//!
//! # Sockets of other types
//!
//! The parts of servers and clients are public, for sockets that are built elsewhere:
//!
//! * A [`Connection`] connects to one peer in a [`Role`], such as `PULL` or `XPUB`.
//! * A [`Listener`] binds an endpoint and accepts connections within [`ConnectionLimits`].
//! * [`run_link`] is the reconnect loop. A [`Connector`] makes the connections and a [`LinkHandler`] uses them;
//!   [`link`](fn@link) creates the channels to its user.
//! * [`event_queue`] is bounded in messages and in bytes; [`shutdown_channel`] lets a socket linger.
//! * [`codec`] holds everything that parses bytes from a peer.
//!
//! # Protocol
//!
//! The protocol is ZMTP 3.1 ([RFC 37](https://rfc.zeromq.org/spec/37/)) with the mechanism `NULL`, over TCP and Unix
//! sockets. Peers may speak 3.0 (libzmq from version 4.0). Heartbeats are answered and never sent: TCP keepalive notices
//! dead peers. There is no encryption and no authentication here: use a Unix socket, a trusted network, or a tunnel.

mod client;
pub mod codec;
mod connection;
mod endpoint;
mod error;
mod limits;
mod link;
mod listener;
mod memory;
mod queue;
mod server;
mod transport;

pub use client::{Client, ClientEvent, ClientSender};
pub use codec::SocketType;
pub use connection::{Connection, ConnectionError, FrameReader, FrameWriter, Role, Traffic, random_identity};
pub use endpoint::{Endpoint, EndpointError, MAX_IPC_PATH};
pub use error::{SendError, TransportError};
pub use limits::{LINGER, LinkConfig, ServerLimits};
pub use link::{
    BoxError, Connector, Generation, LinkDriver, LinkHandler, LinkHandles, LinkPermit, LinkSender, LinkState,
    Outcome, RunLink, ShutdownHandle, ShutdownReason, ShutdownRequest, ShutdownSignal, link, run_link,
    shutdown_channel,
};
pub use listener::{Accepted, ConnectionLimits, ConnectionSlot, HandshakeSlot, Listener, Stream};
pub use memory::InMemory;
pub use queue::{Counters, Counts, EventPermit, EventReceiver, EventSender, event_queue, message_size};
pub use server::{Outgoing, OutgoingQueue, Peer, Server, ServerEvent, ServerSender};
pub use transport::{Transport, Zmtp};
