//! The interface of a front end for sending to WebSocket clients.

use super::{BroadcastEncoding, Close, Closed, SocketMessage};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// Sends to the client of a WebSocket or of a message socket. Each front end implements it.
pub(crate) trait SocketTransport: Send + Sync + 'static {
    /// Sends a message. Waits while the send buffer of the client is full.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection is closed.
    fn send(&self, message: SocketMessage) -> BoxFuture<'_, Result<(), Closed>>;

    /// Sends the bytes of a broadcast message, encoded as [`encoding`](SocketTransport::encoding) returns. Disconnects the client instead
    /// if its broadcast buffer is full. Does not wait.
    fn send_or_disconnect(&self, bytes: Bytes);

    /// Returns the encoding of broadcast messages for this client.
    fn encoding(&self) -> BroadcastEncoding;

    /// Closes the connection, after the messages that were sent before. Does not wait.
    fn close(&self, close: Close);

    /// Completes when the connection is closed or lost.
    fn closed(&self) -> BoxFuture<'_, ()>;

    /// Returns the group of the client, and the id of the client in that group, if the front end can send to many clients at once.
    fn group(&self) -> Option<(Arc<dyn BroadcastGroup>, ClientId)>;
}

/// A group of clients to which a front end can send with one message.
pub(crate) trait BroadcastGroup: Send + Sync + 'static {
    /// Sends the same bytes to several clients. Waits until the front end has accepted them, but not for the clients.
    fn send_to(&self, to: Vec<ClientId>, bytes: Bytes) -> BoxFuture<'_, ()>;

    /// Returns a number that identifies the group for as long as it exists.
    fn id(&self) -> usize;
}

/// A client of a front end that multiplexes many connections: one request of one connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientId {
    /// The id that the web server has assigned to the connection.
    pub(crate) connection: Bytes,
    /// Distinguishes connections that had the same id, because web servers reuse ids.
    pub(crate) serial: u64,
    /// The number of the request within the connection. 0 for the client of a message socket, whose requests share one id.
    pub(crate) number: u64,
}
