//! The ends of a socket that many peers connect to.

pub mod connection;
pub mod peers;
pub mod router;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use self::peers::Peers;
use crate::limits::OUTBOX;
use crate::link::shutdown::{Closing, Stop, closing};
use crate::queue::counts::{Counters, Counts};
use crate::queue::events::{Inbox, Inlet, inbox};
use crate::{Endpoint, Limits, SendError};

/// Who sent a message, and where its answer goes: the routing identity of one connected peer, at most 255 bytes.
///
/// It routes; it is no proof of who the peer is. A peer that connects again may come with another one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer(Bytes);

impl Peer {
    /// The peer with this routing identity.
    pub fn new(identity: impl Into<Bytes>) -> Self {
        Self(identity.into())
    }

    /// The routing identity.
    pub fn identity(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({})", self.0.escape_ascii())
    }
}

/// What happens at a [`Server`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerEvent {
    /// A peer sent a message.
    Message {
        /// Who.
        peer: Peer,
        /// Its frames, without the identity; at least one.
        frames: Vec<Bytes>,
    },
    /// A peer went away; it comes after the last message of that peer. A hint, for freeing what is kept for it: when
    /// thousands leave at once some go without it.
    Gone {
        /// Who.
        peer: Peer,
    },
}

/// A bound socket: many peers ask, each is answered by name (ROUTER).
#[derive(Debug)]
pub struct Server {
    /// The endpoint as it was asked for, with the real port.
    pub local: Endpoint,
    /// Messages from the peers. Dropping it closes the server.
    pub inbound: Inbox<ServerEvent>,
    /// Messages to the peers. Dropping all clones closes the server.
    pub outbound: ServerOutbox,
    /// Shuts the server down.
    pub closing: Closing,
}

impl Server {
    /// Sends what was accepted, for at most `linger`, then closes. Returns whether everything left in time.
    pub async fn shutdown(self, linger: Duration) -> bool {
        self.closing.shutdown(linger).await
    }
}

/// The sending end of a [`Server`].
#[derive(Clone, Debug)]
pub struct ServerOutbox(Way);

#[derive(Clone, Debug)]
enum Way {
    /// To one task that has all peers.
    Queue {
        queue: mpsc::Sender<Outgoing>,
        counters: Arc<Counters>,
    },
    /// To the task of each peer.
    Peers {
        peers: Arc<Peers>,
        /// Tells the socket, when the last one is dropped, that nobody uses it any more.
        _used: mpsc::Sender<Infallible>,
    },
}

impl From<peers::Closed> for SendError {
    fn from(_: peers::Closed) -> Self {
        Self::Closed
    }
}

impl ServerOutbox {
    /// The way to these peers, and what ends when it is not used any more.
    pub fn to(peers: Arc<Peers>) -> (Self, mpsc::Receiver<Infallible>) {
        let (used, unused) = mpsc::channel(1);
        (Self(Way::Peers { peers, _used: used }), unused)
    }

    /// Hands a message over; waits for room in the outbox, never for the peer.
    ///
    /// The message is dropped, and counted, if the peer is gone. A peer that does not read what it is sent is cut off.
    ///
    /// # Errors
    /// [`SendError::Empty`] and [`SendError::Closed`].
    pub async fn send(&self, peer: Peer, frames: Vec<Bytes>) -> Result<(), SendError> {
        if frames.is_empty() {
            return Err(SendError::Empty);
        }
        match &self.0 {
            Way::Queue { queue, .. } => queue
                .send(Outgoing::Message { peer, frames })
                .await
                .map_err(|_| SendError::Closed),
            Way::Peers { peers, .. } => {
                // Never waiting, whoever sends without end would never let others run.
                tokio::task::coop::consume_budget().await;
                Ok(peers.send(&peer, frames)?)
            }
        }
    }

    /// Hands a message over if there is room now.
    ///
    /// # Errors
    /// [`SendError::Empty`], [`SendError::Full`] and [`SendError::Closed`].
    pub fn try_send(&self, peer: Peer, frames: Vec<Bytes>) -> Result<(), SendError> {
        if frames.is_empty() {
            return Err(SendError::Empty);
        }
        self.offer(peer, frames).map_err(|given_back| match given_back {
            Some(_) => SendError::Full,
            None => SendError::Closed,
        })
    }

    /// The same, and gives the message back where there is no room.
    pub fn offer(&self, peer: Peer, frames: Vec<Bytes>) -> Result<(), Option<(Peer, Vec<Bytes>)>> {
        match &self.0 {
            Way::Queue { queue, .. } => match queue.try_send(Outgoing::Message { peer, frames }) {
                Ok(()) => Ok(()),
                Err(mpsc::error::TrySendError::Full(Outgoing::Message { peer, frames })) => {
                    Err(Some((peer, frames)))
                }
                Err(_) => Err(None),
            },
            Way::Peers { peers, .. } => peers.send(&peer, frames).map_err(|peers::Closed| None),
        }
    }

    /// Cuts a peer off, after what was handed over before.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub async fn cut(&self, peer: Peer) -> Result<(), SendError> {
        match &self.0 {
            Way::Queue { queue, .. } => queue
                .send(Outgoing::Cut { peer })
                .await
                .map_err(|_| SendError::Closed),
            Way::Peers { peers, .. } => Ok(peers.cut(&peer)?),
        }
    }

    /// What became of the messages so far.
    pub fn counts(&self) -> Counts {
        match &self.0 {
            Way::Queue { counters, .. } => counters.read(),
            Way::Peers { peers, .. } => peers.counters.read(),
        }
    }
}

/// What the handlers want of the socket.
#[derive(Debug)]
pub enum Outgoing {
    Message { peer: Peer, frames: Vec<Bytes> },
    Cut { peer: Peer },
}

/// The socket's side of a [`Server`].
#[derive(Debug)]
pub struct ServerDriver {
    pub inlet: Inlet<ServerEvent>,
    pub outbox: mpsc::Receiver<Outgoing>,
    pub counters: Arc<Counters>,
    pub stop: Stop,
}

/// Both ends of the way to peers that are named.
pub fn outbox() -> (ServerOutbox, mpsc::Receiver<Outgoing>, Arc<Counters>) {
    let (queue, outbox) = mpsc::channel(OUTBOX);
    let counters = Arc::new(Counters::default());
    let outbound = ServerOutbox(Way::Queue {
        queue,
        counters: counters.clone(),
    });
    (outbound, outbox, counters)
}

pub fn server(local: Endpoint, limits: &Limits) -> (Server, ServerDriver) {
    let (inlet, inbound) = inbox(limits.inbound_messages, limits.inbound_bytes);
    let (outbound, outbox, counters) = outbox();
    let (closing, stop) = closing();
    (
        Server {
            local,
            inbound,
            outbound,
            closing,
        },
        ServerDriver {
            inlet,
            outbox,
            counters,
            stop,
        },
    )
}
