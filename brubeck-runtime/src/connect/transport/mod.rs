//! Frames over sockets: the only place that knows ZeroMQ.
//!
//! A [`Transport`] opens links; a link is a handful of channel ends, all bounded. What the frames mean is for the rooms
//! above. There are five roles: [`Server`] and [`Client`] between applications, [`Worker`] and [`Hub`] where it is the
//! services that connect, [`Mongrel2Link`] towards the web server.
//!
//! ```
//! use bytes::Bytes;
//! use brubeck_runtime::transport::*;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), TransportError> {
//! let mut server = ZeroMq.server("tcp://127.0.0.1:0".parse()?, Limits::default()).await?;
//! let mut client = ZeroMq.client(server.local.clone(), Timing::default())?;
//!
//! let Some(ClientEvent::Up { .. }) = client.inbound.recv().await else { panic!() };
//! client.outbound.try_send(vec![Bytes::from("hello")]).unwrap();
//! let Some(ServerEvent::Message { peer, frames }) = server.inbound.recv().await else { panic!() };
//! server.outbound.send(peer, frames).await.unwrap();
//! let Some(ClientEvent::Message { frames, .. }) = client.inbound.recv().await else { panic!() };
//! assert_eq!(frames[0], "hello");
//! # Ok(())
//! # }
//! ```

use futures_util::future::BoxFuture;

mod backlog;
mod client;
mod closing;
mod counts;
mod endpoint;
mod error;
mod hub;
mod inbox;
mod io_thread;
mod limits;
mod link;
mod memory;
mod mongrel2;
mod peers;
mod server;
mod worker;
mod zmq;

pub use client::{Client, ClientEvent, ClientOutbox};
pub use closing::Closing;
pub use counts::Counts;
pub use endpoint::{Endpoint, EndpointError, MAX_IPC_PATH};
pub use error::{SendError, TransportError};
pub use hub::{Hub, HubEvent, HubOutbox, Place};
pub use inbox::Inbox;
pub use limits::{LINGER, Limits, Timing};
pub use link::{Generation, LinkState};
pub(crate) use memory::InMemory;
pub use mongrel2::{Carried, LinkEvent, Mongrel2Link, Mongrel2Outbox};
pub use server::{Peer, Server, ServerEvent, ServerOutbox};
pub use worker::Worker;
pub use zmq::ZeroMq;

/// Opens links.
///
/// The runtime of brubeck works through this trait only, so a test can put a simulated network in its place.
pub trait Transport: Send + Sync + 'static {
    /// Binds `endpoint` and serves whoever connects.
    ///
    /// # Errors
    /// The endpoint cannot be bound: see [`TransportError`].
    fn server(&self, endpoint: Endpoint, limits: Limits) -> BoxFuture<'_, Result<Server, TransportError>>;

    /// Connects to the server at `endpoint`, whenever it is there. Returns at once; wait for [`ClientEvent::Up`].
    ///
    /// # Errors
    /// The endpoint cannot be connected to, by its form.
    fn client(&self, endpoint: Endpoint, timing: Timing) -> Result<Client, TransportError>;

    /// Connects to a Mongrel2 server: to `send_spec` for the requests it sends, to `recv_spec` for the replies it
    /// receives, both as its configuration names them. Returns at once; wait for [`LinkEvent::Up`].
    ///
    /// # Errors
    /// The endpoints cannot be connected to, by their form.
    fn mongrel2(
        &self,
        send_spec: Endpoint,
        recv_spec: Endpoint,
        timing: Timing,
    ) -> Result<Carried, TransportError>;

    /// Binds `requests` and `responses` for services that connect to both.
    ///
    /// # Errors
    /// One of the endpoints cannot be bound: see [`TransportError`].
    fn hub(&self, requests: Endpoint, responses: Endpoint, timing: Timing) -> Result<Hub, TransportError>;

    /// Connects to a client that has bound `requests` and `responses`, whenever it is there. Returns at once.
    ///
    /// # Errors
    /// The endpoints cannot be connected to, by their form.
    fn worker(
        &self,
        requests: Endpoint,
        responses: Endpoint,
        timing: Timing,
    ) -> Result<Worker, TransportError>;
}
