//! What a front end does for a WebSocket.

use super::{Close, Closed, SocketMessage};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// The way to the client of one WebSocket.
pub(crate) trait Carrier: Send + Sync + 'static {
    /// Sends a message; waits while the client is slow.
    fn send(&self, message: SocketMessage) -> BoxFuture<'_, Result<(), Closed>>;

    /// Sends a frame if there is room, and else cuts the client off: it has not read for a long while.
    fn offer(&self, frame: Bytes);

    /// Whether the client understands a message that is deflated for many.
    fn takes_deflated(&self) -> bool;

    /// Closes the connection, after what was sent before.
    fn close(&self, close: Close);

    /// The group it belongs to, and its seat there, if many clients can be reached at once.
    fn group(&self) -> Option<(Arc<dyn Group>, Seat)>;
}

/// Clients that can be sent something at once.
pub(crate) trait Group: Send + Sync + 'static {
    /// Sends one frame to many.
    fn cast(&self, to: Vec<Seat>, frame: Bytes) -> BoxFuture<'_, ()>;

    /// The same for two that are one group.
    fn key(&self) -> usize;
}

/// One request of one connection of a front end that has many.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seat {
    /// The connection, as the front end calls it.
    pub(crate) connection: Bytes,
    /// Which connection of this name, since names are given again.
    pub(crate) serial: u64,
    /// Which request of it.
    pub(crate) number: u64,
}
