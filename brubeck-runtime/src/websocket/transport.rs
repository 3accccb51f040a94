//! The interface of a front end for sending to WebSocket clients.

use super::{
    BroadcastEncoding, Close, Closed, ReadPosition, ReadProgress, SendQueue, SocketMessage, StoredMessage,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Sends to the client of a WebSocket or of a message socket. Each front end implements it.
pub(crate) trait SocketTransport: Send + Sync + 'static {
    /// Sends a message. Waits while the send buffer of the client is full.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection is closed.
    fn send(&self, message: SocketMessage) -> BoxFuture<'_, Result<(), Closed>>;

    /// Closes the connection, after the messages that were sent before. Does not wait.
    fn close(&self, close: Close);

    /// Completes when the connection is closed or lost.
    fn closed(&self) -> BoxFuture<'_, ()>;

    /// Returns the way in which broadcasts reach the client.
    fn broadcast_route(&self) -> BroadcastRoute;
}

/// The way in which broadcasts reach a client.
pub(crate) struct BroadcastRoute {
    /// Identifies the socket in this process, whichever sender of it is asked.
    pub(crate) id: u64,
    pub(crate) encoding: BroadcastEncoding,
    pub(crate) reading: Arc<ReadProgress>,
    pub(crate) target: BroadcastTarget,
}

pub(crate) enum BroadcastTarget {
    /// The messages are added to those of the client.
    SendQueue(Arc<SendQueue>),
    /// A front end sends to many clients at once.
    Group(Arc<dyn BroadcastGroup>, ClientId),
}

/// A group of clients to which a front end can send with one message.
pub(crate) trait BroadcastGroup: Send + Sync + 'static {
    /// Waits for space for one message. Returns `None` if the front end has ended.
    fn reserve(self: Arc<Self>) -> BoxFuture<'static, Option<GroupPermit>>;

    /// Disconnects a client that does not read. Does not wait. Must be called within a tokio runtime.
    fn cut_off(&self, client: &ClientId);

    /// Returns a number that identifies the group for as long as it exists.
    fn id(&self) -> usize;
}

/// Passes a message to the front end of a group, without waiting.
pub(crate) type GroupPermit = Box<dyn FnOnce(GroupMessage) + Send>;

/// A message for the members of a group.
#[derive(Debug)]
pub(crate) struct GroupMessage {
    pub(crate) message: Arc<StoredMessage>,
    pub(crate) recipients: Arc<[Recipient]>,
}

/// A member of a group.
#[derive(Clone, Debug)]
pub(crate) struct Recipient {
    pub(crate) client: ClientId,
    pub(crate) encoding: BroadcastEncoding,
    /// Must be advanced for each message, also if the client is not connected any more.
    pub(crate) position: Arc<ReadPosition>,
}

/// Returns a number for a socket that no other socket of this process has.
pub(crate) fn next_socket_id() -> u64 {
    static LAST_ID: AtomicU64 = AtomicU64::new(0);
    LAST_ID.fetch_add(1, Relaxed) + 1
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
