//! A server: a bound socket with many peers.

mod connection;
mod peers;
mod router;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

pub(crate) use self::router::bind_server;

use self::peers::PeerTable;
use crate::limits::OUTBOUND_MESSAGES;
use crate::queue::{Counters, Counts};
use crate::{Endpoint, EventReceiver, SendError, ShutdownHandle};

/// The routing identity of one connected peer, at most 255 bytes.
///
/// It routes messages and proves nothing: a peer chooses its own, and may return with another one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer(Bytes);

impl Peer {
    /// Creates the name of a peer from its routing identity.
    pub fn new(identity: impl Into<Bytes>) -> Self {
        Self(identity.into())
    }

    /// Returns the routing identity.
    #[inline]
    pub fn identity(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({})", self.0.escape_ascii())
    }
}

/// An event of a [`Server`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerEvent {
    /// A peer sent a message.
    Message {
        /// The sender.
        peer: Peer,
        /// The frames, without the identity; at least one.
        frames: Vec<Bytes>,
    },
    /// A peer disconnected. Its last message comes before this.
    Disconnected {
        /// The peer.
        peer: Peer,
    },
}

/// A bound socket (`ROUTER`) that receives from many peers and answers each by its identity.
///
/// It checks the handshake and every frame header before it allocates what they announce, refuses a second peer with the
/// same identity, answers heartbeats, and disconnects a peer that does not read. Each connection is one task. See the
/// [crate](crate) for an example.
#[derive(Debug)]
pub struct Server {
    /// The endpoint as it was given, with the port that the system chose.
    pub local: Endpoint,
    /// Events. Dropping it closes the server.
    pub inbound: EventReceiver<ServerEvent>,
    /// Messages to the peers. Dropping all clones closes the server.
    pub outbound: ServerSender,
    /// Shuts the server down.
    pub shutdown: ShutdownHandle,
}

impl Server {
    /// Sends what was accepted, for at most `linger`, then closes. Returns `true` if everything left in time.
    pub async fn shutdown(self, linger: Duration) -> bool {
        self.shutdown.shutdown(linger).await
    }
}

/// The sending end of a [`Server`].
#[derive(Clone, Debug)]
pub struct ServerSender(Route);

#[derive(Clone, Debug)]
enum Route {
    /// To the queue of each peer.
    Peers {
        peers: Arc<PeerTable>,
        /// Closed when the last sender is dropped, which closes the server.
        _alive: mpsc::Sender<Infallible>,
    },
    /// To one task that serves all peers.
    Queue {
        queue: mpsc::Sender<Outgoing>,
        counters: Arc<Counters>,
    },
}

impl From<peers::Closed> for SendError {
    fn from(_: peers::Closed) -> Self {
        Self::Closed
    }
}

impl ServerSender {
    /// Creates a sender to `peers`, and the channel that closes when the last clone is dropped.
    fn to_peers(peers: Arc<PeerTable>) -> (Self, mpsc::Receiver<Infallible>) {
        let (alive, dropped) = mpsc::channel(1);
        let sender = Self(Route::Peers { peers, _alive: alive });
        (sender, dropped)
    }

    /// Creates a sender to a queue of 1024 messages, for a socket that is implemented elsewhere.
    pub fn to_queue() -> (Self, OutgoingQueue) {
        let (queue, messages) = mpsc::channel(OUTBOUND_MESSAGES);
        let counters = Arc::new(Counters::default());
        let sender = Self(Route::Queue {
            queue,
            counters: counters.clone(),
        });
        (sender, OutgoingQueue { messages, counters })
    }

    /// Queues a message. Never waits for the peer.
    ///
    /// The message is dropped and counted if the peer has disconnected. A peer that does not read its messages is
    /// disconnected.
    ///
    /// # Errors
    /// Returns [`SendError::Empty`] or [`SendError::Closed`].
    pub async fn send(&self, peer: Peer, frames: Vec<Bytes>) -> Result<(), SendError> {
        if frames.is_empty() {
            return Err(SendError::Empty);
        }
        match &self.0 {
            Route::Queue { queue, .. } => queue
                .send(Outgoing::Message { peer, frames })
                .await
                .map_err(|_| SendError::Closed),
            Route::Peers { peers, .. } => {
                // This never waits, so an endless loop of sends would keep other tasks from running.
                tokio::task::coop::consume_budget().await;
                Ok(peers.send(&peer, frames)?)
            }
        }
    }

    /// Queues a message if there is space now.
    ///
    /// # Errors
    /// Returns [`SendError::Empty`], [`SendError::Full`] or [`SendError::Closed`].
    pub fn try_send(&self, peer: Peer, frames: Vec<Bytes>) -> Result<(), SendError> {
        if frames.is_empty() {
            return Err(SendError::Empty);
        }
        self.try_send_or_return(peer, frames)
            .map_err(|returned| match returned {
                Some(_) => SendError::Full,
                None => SendError::Closed,
            })
    }

    /// Queues a message of at least one frame if there is space now.
    ///
    /// # Errors
    /// Returns the message if the queue is full, or `None` if the server was shut down.
    #[inline]
    pub fn try_send_or_return(
        &self,
        peer: Peer,
        frames: Vec<Bytes>,
    ) -> Result<(), Option<(Peer, Vec<Bytes>)>> {
        match &self.0 {
            Route::Queue { queue, .. } => match queue.try_send(Outgoing::Message { peer, frames }) {
                Ok(()) => Ok(()),
                Err(mpsc::error::TrySendError::Full(Outgoing::Message { peer, frames })) => {
                    Err(Some((peer, frames)))
                }
                Err(_) => Err(None),
            },
            Route::Peers { peers, .. } => peers.send(&peer, frames).map_err(|peers::Closed| None),
        }
    }

    /// Disconnects a peer.
    ///
    /// # Errors
    /// Returns [`SendError::Closed`].
    pub async fn disconnect(&self, peer: Peer) -> Result<(), SendError> {
        match &self.0 {
            Route::Queue { queue, .. } => queue
                .send(Outgoing::Disconnect { peer })
                .await
                .map_err(|_| SendError::Closed),
            Route::Peers { peers, .. } => Ok(peers.disconnect(&peer)?),
        }
    }

    /// Returns the number of messages so far, by what happened to them.
    pub fn counts(&self) -> Counts {
        match &self.0 {
            Route::Queue { counters, .. } => counters.read(),
            Route::Peers { peers, .. } => peers.counters.read(),
        }
    }
}

/// The receiving end of [`ServerSender::to_queue`].
#[derive(Debug)]
pub struct OutgoingQueue {
    /// Messages and commands, in order. It ends when the last sender is dropped.
    pub messages: mpsc::Receiver<Outgoing>,
    /// Counts messages for [`ServerSender::counts`].
    pub counters: Arc<Counters>,
}

/// An order of a [`ServerSender`] to its socket.
#[derive(Debug)]
pub enum Outgoing {
    /// Send a message.
    Message {
        /// The receiver.
        peer: Peer,
        /// The frames; at least one.
        frames: Vec<Bytes>,
    },
    /// Disconnect a peer.
    Disconnect {
        /// The peer.
        peer: Peer,
    },
}
