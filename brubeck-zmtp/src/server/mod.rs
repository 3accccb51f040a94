//! Servers: bound sockets with many peers.

mod connection;
mod handshake_log;
mod peer_error;
mod peers;
mod router;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

pub(crate) use self::router::{bind_server, serve_sockets};

use self::peers::PeerTable;
use crate::limits::OUTBOUND_MESSAGES;
use crate::queue::{MessageCounters, MessageCounts};
use crate::{Endpoint, EventReceiver, ListenerHandle, SendError, ShutdownHandle};

/// The routing identity of a peer.
///
/// It is for routing only and does not authenticate the peer: a peer chooses its own identity, of at most 255 bytes, and may
/// choose another one when it reconnects. A peer that sends none gets a random identity of 32 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoutingId(Bytes);

impl RoutingId {
    /// Creates a routing identity from its bytes. The length is not checked.
    pub fn new(identity: impl Into<Bytes>) -> Self {
        Self(identity.into())
    }

    /// Returns the bytes of the identity.
    #[inline]
    pub fn identity(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for RoutingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoutingId({})", self.0.escape_ascii())
    }
}

/// An event of a [`RouterServer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerEvent {
    /// A peer sent a message.
    Message {
        /// The sender.
        peer: RoutingId,
        /// The frames without the identity, at least one.
        frames: Vec<Bytes>,
    },
    /// A [`StreamWrapper`](crate::StreamWrapper) has proven something about a peer. This is the first event of its connection. A
    /// server without a wrapper emits none.
    Verified {
        /// The peer.
        peer: RoutingId,
        /// The [credentials](crate::WrappedStream::credentials) that the wrapper returned.
        credentials: Bytes,
    },
    /// A peer disconnected. This is the last event of its connection.
    Disconnected {
        /// The peer.
        peer: RoutingId,
    },
}

/// A bound socket (`ROUTER`) that receives from many peers and sends to each by its identity.
///
/// Each connection is one task. It checks the handshake and every frame header before it allocates memory for the announced
/// length, and it answers heartbeats. A second peer with the same identity is refused, and a peer that does not read its
/// messages is disconnected. See the [crate](crate) for an example.
#[derive(Debug)]
pub struct RouterServer {
    /// The bound endpoint. If port 0 was requested, it has the port that the operating system chose.
    pub local: Endpoint,
    /// Receives events. Dropping the receiver closes the server.
    pub inbound: EventReceiver<ServerEvent>,
    /// Sends messages to the peers. Dropping all clones closes the server.
    pub outbound: ServerSender,
    /// Closes the listener: the endpoint is free then, and the peers that are connected stay. Dropping the handle does nothing.
    pub listener: ListenerHandle,
    /// Shuts the server down.
    pub shutdown: ShutdownHandle,
}

impl RouterServer {
    /// Sends the accepted messages for at most `linger`, then closes the server. Returns `true` if every connection ended in
    /// time: its messages were written, or it was lost.
    pub async fn shutdown(self, linger: Duration) -> bool {
        self.shutdown.shutdown(linger).await
    }
}

/// The sending end of a [`RouterServer`].
#[derive(Clone, Debug)]
pub struct ServerSender(Route);

#[derive(Clone, Debug)]
enum Route {
    /// Messages go directly to the queue of their peer.
    Peers {
        peers: Arc<PeerTable>,
        /// Closes its channel, and with it the server, when the last sender is dropped.
        _alive: mpsc::Sender<Infallible>,
    },
    /// Messages go to one task that serves all peers.
    Queue {
        queue: mpsc::Sender<ServerCommand>,
        counters: Arc<MessageCounters>,
    },
}

impl From<peers::ServerClosed> for SendError {
    fn from(_: peers::ServerClosed) -> Self {
        Self::Closed
    }
}

impl ServerSender {
    /// Creates a sender to `peers`, and a channel that closes when the last clone of the sender is dropped.
    fn to_peers(peers: Arc<PeerTable>) -> (Self, mpsc::Receiver<Infallible>) {
        let (alive, dropped) = mpsc::channel(1);
        let sender = Self(Route::Peers { peers, _alive: alive });
        (sender, dropped)
    }

    /// Creates a sender for a socket other than the `ROUTER` of this crate, such as a server of [`InMemory`](crate::InMemory).
    /// The queue has a capacity of 1024 commands.
    pub fn to_queue() -> (Self, OutgoingQueue) {
        let (queue, commands) = mpsc::channel(OUTBOUND_MESSAGES);
        let counters = Arc::new(MessageCounters::default());
        let sender = Self(Route::Queue {
            queue,
            counters: counters.clone(),
        });
        (sender, OutgoingQueue { commands, counters })
    }

    /// Queues a message without waiting for the peer.
    ///
    /// If the peer is not connected, the message is dropped, which [`counts`](Self::counts) reports. If the queue of the peer
    /// is full, the message is dropped and the peer is disconnected. Waits only if the sender was created with
    /// [`to_queue`](Self::to_queue), while that queue is full.
    ///
    /// # Errors
    /// Returns [`SendError::Empty`] or [`SendError::Closed`].
    pub async fn send(&self, peer: RoutingId, frames: Vec<Bytes>) -> Result<(), SendError> {
        if frames.is_empty() {
            return Err(SendError::Empty);
        }
        match &self.0 {
            Route::Queue { queue, .. } => queue
                .send(ServerCommand::Message { peer, frames })
                .await
                .map_err(|_| SendError::Closed),
            Route::Peers { peers, .. } => {
                // Sending to the queue of a peer never waits. Unless it consumes budget, a loop of sends would starve other
                // tasks.
                tokio::task::coop::consume_budget().await;
                Ok(peers.send(&peer, frames)?)
            }
        }
    }

    /// Queues a message as [`send`](Self::send) does, but returns an error instead of waiting.
    ///
    /// # Errors
    /// Returns [`SendError::Empty`] or [`SendError::Closed`]. Returns [`SendError::Full`] only if the sender was created with
    /// [`to_queue`](Self::to_queue) and that queue is full.
    pub fn try_send(&self, peer: RoutingId, frames: Vec<Bytes>) -> Result<(), SendError> {
        if frames.is_empty() {
            return Err(SendError::Empty);
        }
        self.try_send_or_return(peer, frames)
            .map_err(|returned| match returned {
                Some(_) => SendError::Full,
                None => SendError::Closed,
            })
    }

    /// Queues a message as [`try_send`](Self::try_send) does, but returns the message if a queue is full. The message must have at
    /// least one frame, which is not checked.
    ///
    /// # Errors
    /// Returns the message if the queue of [`to_queue`](Self::to_queue) is full, or `None` if the server was shut down.
    #[inline]
    pub fn try_send_or_return(
        &self,
        peer: RoutingId,
        frames: Vec<Bytes>,
    ) -> Result<(), Option<(RoutingId, Vec<Bytes>)>> {
        match &self.0 {
            Route::Queue { queue, .. } => match queue.try_send(ServerCommand::Message { peer, frames }) {
                Ok(()) => Ok(()),
                Err(mpsc::error::TrySendError::Full(ServerCommand::Message { peer, frames })) => {
                    Err(Some((peer, frames)))
                }
                Err(_) => Err(None),
            },
            Route::Peers { peers, .. } => peers.send(&peer, frames).map_err(|peers::ServerClosed| None),
        }
    }

    /// Disconnects a peer. Does nothing if the peer is not connected.
    ///
    /// A socket of [`Zmtp`](crate::Zmtp) drops the messages that are queued for the peer, and does not count them as dropped.
    ///
    /// # Errors
    /// Returns [`SendError::Closed`].
    pub async fn disconnect(&self, peer: RoutingId) -> Result<(), SendError> {
        match &self.0 {
            Route::Queue { queue, .. } => queue
                .send(ServerCommand::Disconnect { peer })
                .await
                .map_err(|_| SendError::Closed),
            Route::Peers { peers, .. } => Ok(peers.disconnect(&peer)?),
        }
    }

    /// Admits a peer, to which [`ServerLimits::unadmitted_message_bytes`] applies until then. Does nothing if the peer is not
    /// connected, or if the sender was created with [`to_queue`](Self::to_queue).
    ///
    /// [`ServerLimits::unadmitted_message_bytes`]: crate::ServerLimits::unadmitted_message_bytes
    ///
    /// # Errors
    /// Returns [`SendError::Closed`].
    pub fn admit(&self, peer: &RoutingId) -> Result<(), SendError> {
        match &self.0 {
            Route::Queue { .. } => Ok(()),
            Route::Peers { peers, .. } => Ok(peers.admit(peer)?),
        }
    }

    /// Returns how many messages were sent, dropped or stalled so far.
    pub fn counts(&self) -> MessageCounts {
        match &self.0 {
            Route::Queue { counters, .. } => counters.read(),
            Route::Peers { peers, .. } => peers.counters.read(),
        }
    }
}

/// The receiving end of [`ServerSender::to_queue`].
#[derive(Debug)]
pub struct OutgoingQueue {
    /// Commands in the order in which they were sent. The channel closes when the last sender is dropped.
    pub commands: mpsc::Receiver<ServerCommand>,
    /// Counts messages for [`ServerSender::counts`].
    pub counters: Arc<MessageCounters>,
}

/// A command of a [`ServerSender`] to its socket.
#[derive(Debug)]
pub enum ServerCommand {
    /// Send a message.
    Message {
        /// The peer to send it to.
        peer: RoutingId,
        /// The frames, at least one.
        frames: Vec<Bytes>,
    },
    /// Disconnect a peer.
    Disconnect {
        /// The peer.
        peer: RoutingId,
    },
}
