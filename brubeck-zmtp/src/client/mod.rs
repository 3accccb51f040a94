//! The ends of a link to one server.

pub mod dealer;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::link::shutdown::Closing;
use crate::link::{Ends, Line, WayOut, line};
use crate::queue::counts::Counts;
use crate::queue::events::Inbox;
use crate::{Generation, LinkState, SendError, Timing};

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
    way_out: WayOut<Vec<Bytes>>,
    condemned: Arc<watch::Sender<Generation>>,
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
        let generation = self.way_out.now()?;
        self.way_out.try_send(generation, frames)?;
        Ok(generation)
    }

    /// Hands a message over if the connection named is the one there is now, and there is room.
    ///
    /// # Errors
    /// [`SendError::Empty`], [`SendError::LinkDown`], [`SendError::Full`] and [`SendError::Closed`].
    pub fn try_send_on(&self, generation: Generation, frames: Vec<Bytes>) -> Result<(), SendError> {
        if frames.is_empty() {
            return Err(SendError::Empty);
        }
        self.way_out.try_send(generation, frames)
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

    async fn send(&self, mut frames: Vec<Bytes>) -> Result<Generation, SendError> {
        loop {
            let generation = self.way_out.up().await?;
            match self.way_out.send(generation, frames).await {
                Ok(()) => return Ok(generation),
                Err((SendError::LinkDown, given_back)) => frames = given_back,
                Err((error, _)) => return Err(error),
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
        self.way_out.counts()
    }
}

/// The supervisor's side of a [`Client`].
#[derive(Debug)]
pub struct ClientDriver {
    pub line: Line<ClientEvent, Vec<Bytes>>,
    pub condemned: watch::Receiver<Generation>,
}

pub fn client(timing: &Timing) -> (Client, ClientDriver) {
    let (
        Ends {
            inbound,
            way_out,
            state,
            closing,
        },
        line,
    ) = line(timing);
    let (condemn, condemned) = watch::channel(0);
    let outbound = ClientOutbox {
        way_out,
        condemned: Arc::new(condemn),
    };
    (
        Client {
            inbound,
            outbound,
            state,
            closing,
        },
        ClientDriver { line, condemned },
    )
}
