//! What a front end does for a WebSocket.

use super::{BroadcastEncoding, Close, Closed, SocketMessage};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// The way to the client of one WebSocket, or of one message socket.
pub(crate) trait SocketTransport: Send + Sync + 'static {
    /// Sends a message; waits while the client is slow.
    fn send(&self, message: SocketMessage) -> BoxFuture<'_, Result<(), Closed>>;

    /// Sends what is in its form if there is room, and else cuts the client off: it has not read for a long while.
    fn send_or_disconnect(&self, bytes: Bytes);

    /// How the client wants what is sent to many.
    fn encoding(&self) -> BroadcastEncoding;

    /// Closes the connection, after what was sent before.
    fn close(&self, close: Close);

    /// Returns when the connection is gone.
    fn closed(&self) -> BoxFuture<'_, ()>;

    /// The group it belongs to, and its seat there, if many clients can be reached at once.
    fn group(&self) -> Option<(Arc<dyn BroadcastGroup>, ClientId)>;
}

/// Clients that can be sent something at once.
pub(crate) trait BroadcastGroup: Send + Sync + 'static {
    /// Sends the same bytes to many.
    fn send_to(&self, to: Vec<ClientId>, bytes: Bytes) -> BoxFuture<'_, ()>;

    /// The same for two that are one group.
    fn id(&self) -> usize;
}

/// One request of one connection of a front end that has many.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientId {
    /// The connection, as the front end calls it.
    pub(crate) connection: Bytes,
    /// Which connection of this name, since names are given again.
    pub(crate) serial: u64,
    /// Which request of it.
    pub(crate) number: u64,
}
