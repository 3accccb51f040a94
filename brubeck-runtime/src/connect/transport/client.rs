//! The ends of a link to one server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use super::closing::{Closing, Stop, closing};
use super::counts::{Counters, Counts};
use super::inbox::{Inbox, Inlet, inbox};
use super::limits::OUTBOX;
use super::{Generation, LinkState, SendError, Timing};

/// What happens at a [`Client`], in order. The generations of one link only grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// A connection stands.
    Up {
        /// Its number.
        generation: Generation,
    },
    /// The server sent a message.
    Message {
        /// The connection it came on.
        generation: Generation,
        /// Its frames; at least one.
        frames: Vec<Bytes>,
    },
    /// The connection is lost; whatever was sent on it may or may not have been read. A new one is being made.
    Down {
        /// Its number.
        generation: Generation,
        /// Why, for the log.
        reason: String,
    },
}

/// A supervised connection to one server (DEALER): it connects whenever the server is there, and again after each loss.
#[derive(Debug)]
pub struct Client {
    /// What happens. Dropping it closes the link.
    pub inbound: Inbox<ClientEvent>,
    /// Messages to the server. Dropping all clones closes the link.
    pub outbound: ClientOutbox,
    /// Whether there is a connection now.
    pub state: watch::Receiver<LinkState>,
    /// Shuts the link down.
    pub closing: Closing,
}

impl Client {
    /// Sends what was accepted, for at most `linger`, then closes. Returns whether everything left in time.
    pub async fn shutdown(self, linger: Duration) -> bool {
        self.closing.shutdown(linger).await
    }
}

/// The sending end of a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientOutbox {
    queue: mpsc::Sender<(Generation, Vec<Bytes>)>,
    state: watch::Receiver<LinkState>,
    condemned: Arc<watch::Sender<Generation>>,
    counters: Arc<Counters>,
}

impl ClientOutbox {
    /// Hands a message over if there is a connection and room, and tells which connection it goes on.
    ///
    /// That it was taken proves nothing: the server has it only when it answers. A message goes on the connection named
    /// or on none. If that generation is already known to be down (its [`ClientEvent::Down`] was seen), the message is lost.
    ///
    /// # Errors
    /// [`SendError::Empty`], [`SendError::LinkDown`], [`SendError::Full`] and [`SendError::Closed`].
    pub fn try_send(&self, frames: Vec<Bytes>) -> Result<Generation, SendError> {
        if frames.is_empty() {
            return Err(SendError::Empty);
        }
        let generation = match *self.state.borrow() {
            LinkState::Up(generation) => generation,
            LinkState::Connecting => return Err(SendError::LinkDown),
            LinkState::Closed => return Err(SendError::Closed),
        };
        match self.queue.try_send((generation, frames)) {
            Ok(()) => Ok(generation),
            Err(mpsc::error::TrySendError::Full(_)) => Err(SendError::Full),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(SendError::Closed),
        }
    }

    /// Hands a message over as soon as there is a connection with room for it, as [`try_send`](Self::try_send) does.
    ///
    /// # Errors
    /// [`SendError::Empty`], [`SendError::Deadline`] and [`SendError::Closed`]. The message was not sent.
    pub async fn send_by(&self, frames: Vec<Bytes>, deadline: Instant) -> Result<Generation, SendError> {
        if frames.is_empty() {
            return Err(SendError::Empty);
        }
        timeout_at(deadline, self.send(frames))
            .await
            .unwrap_or(Err(SendError::Deadline))
    }

    async fn send(&self, frames: Vec<Bytes>) -> Result<Generation, SendError> {
        let mut state = self.state.clone();
        loop {
            let seen = match state.wait_for(|state| *state != LinkState::Connecting).await {
                Ok(seen) => *seen,
                Err(_) => return Err(SendError::Closed),
            };
            let LinkState::Up(generation) = seen else {
                return Err(SendError::Closed);
            };
            let room = self.queue.reserve().await.map_err(|_| SendError::Closed)?;
            // The connection may have been lost while this waited for room.
            if *state.borrow() == seen {
                room.send((generation, frames));
                return Ok(generation);
            }
        }
    }

    /// Gives a connection up, for whoever knows better than the socket that the server is dead (missed heartbeats). The
    /// link then makes a new one. Does nothing if that connection is gone already.
    pub fn give_up(&self, generation: Generation) {
        self.condemned.send_if_modified(|condemned| {
            let newer = generation > *condemned;
            *condemned = (*condemned).max(generation);
            newer
        });
    }

    /// What became of the messages so far.
    pub fn counts(&self) -> Counts {
        self.counters.read()
    }
}

/// The socket's side of a [`Client`].
#[derive(Debug)]
pub(crate) struct ClientDriver {
    pub(crate) inlet: Inlet<ClientEvent>,
    pub(crate) outbox: mpsc::Receiver<(Generation, Vec<Bytes>)>,
    pub(crate) state: watch::Sender<LinkState>,
    pub(crate) condemned: watch::Receiver<Generation>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) stop: Stop,
}

pub(crate) fn client(timing: &Timing) -> (Client, ClientDriver) {
    let (inlet, inbound) = inbox(timing.inbound_messages, timing.inbound_bytes);
    let (queue, outbox) = mpsc::channel(OUTBOX);
    let (set_state, state) = watch::channel(LinkState::Connecting);
    let (condemn, condemned) = watch::channel(0);
    let (closing, stop) = closing();
    let counters = Arc::new(Counters::default());
    let outbound = ClientOutbox {
        queue,
        state: state.clone(),
        condemned: Arc::new(condemn),
        counters: counters.clone(),
    };
    let driver = ClientDriver {
        inlet,
        outbox,
        state: set_state,
        condemned,
        counters,
        stop,
    };
    (
        Client {
            inbound,
            outbound,
            state,
            closing,
        },
        driver,
    )
}
