//! ZMTP 3.1 sockets over tokio: bounded, supervised, tested against libzmq.
//!
//! A [`RouterServer`] (`ROUTER`) is bound and has many peers. A [`DealerClient`] (`DEALER`) is connected to one server and
//! reconnects after each loss. Both are used through channels, and every queue is bounded. A server never waits for a slow
//! peer: a peer whose queue is full is disconnected. A client whose queue is full returns an error or waits, as the user
//! chooses.
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
//! The parts of servers and clients are public. Other crates can build sockets of other types from them:
//!
//! * A [`ZmtpConnection`] is a connection to one peer in a [`Role`], such as `PULL` or `XPUB`.
//! * A [`ZmtpListener`] binds an endpoint and accepts connections within [`ConnectionLimits`].
//! * [`run_link`] is the reconnect loop. A [`Connector`] opens the connections and a [`LinkHandler`] uses them.
//!   [`link_channel`] creates the channels between the link and its user.
//! * [`event_queue`] creates a queue of received events that is bounded in events and in bytes.
//! * [`shutdown_channel`] creates a channel through which the user shuts a socket down, with a linger time.
//! * [`codec`] parses the bytes from a peer.
//!
//! # Protocol
//!
//! The protocol is ZMTP 3.1 ([RFC 37](https://rfc.zeromq.org/spec/37/)) with the mechanism `NULL`, over TCP and Unix
//! sockets. Peers may use ZMTP 3.0 (libzmq since version 4.0) or any later version. Heartbeats are answered but never sent,
//! because TCP keepalive detects dead peers. This crate does not encrypt or authenticate by itself: a [`StreamWrapper`] does, or
//! use a Unix socket, a trusted network, or a tunnel.

#[cfg(not(unix))]
compile_error!("brubeck-zmtp supports Linux, macOS and other Unix systems only");

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
pub mod watchdog;
mod wrapper;

pub use brubeck_sockets::{Holder, Listener, ListenerGuard, ListenerHandle};
pub use client::{ClientEvent, ClientSender, DealerClient};
pub use codec::SocketType;
pub use connection::{
    ConnectionError, FrameReader, FrameWriter, Role, Traffic, ZmtpConnection, random_identity,
};
pub use endpoint::{Endpoint, EndpointError, MAX_IPC_PATH};
pub use error::{SendError, TransportError};
pub use limits::{LINGER, LinkConfig, ServerLimits};
pub use link::{
    ConnectError, ConnectionOutcome, Connector, Generation, LinkDriver, LinkHandler, LinkHandles, LinkPermit,
    LinkSender, LinkSettings, LinkState, ShutdownHandle, ShutdownReason, ShutdownRequest, ShutdownSignal,
    link_channel, run_link, shutdown_channel,
};
pub use listener::{
    AcceptedConnection, ConnectionLimits, ConnectionSlot, HandshakeSlot, PeerStream, ZmtpListener,
    source_address,
};
pub use memory::InMemory;
pub use queue::{
    EventPermit, EventReceiver, EventSender, MessageCounters, MessageCounts, event_queue, message_size,
};
pub use server::{OutgoingQueue, RouterServer, RoutingId, ServerCommand, ServerEvent, ServerSender};
pub use transport::{Transport, Zmtp};
pub use wrapper::{DuplexStream, StreamWrapper, WrappedStream, WrappedZmtp};
