//! A client: a supervised connection to one server.

mod dealer;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

pub(crate) use self::dealer::run_client;

use crate::link::{LinkDriver, LinkSender, link};
use crate::queue::Counts;
use crate::{EventReceiver, Generation, LinkConfig, LinkState, SendError, ShutdownHandle};

/// An event of a [`Client`], in order. The generations of a link only grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// There is a connection.
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
    /// The connection is lost. The server may or may not have read what was sent on it. The client connects again.
    Down {
        /// Its number.
        generation: Generation,
        /// The reason, for the log.
        reason: String,
    },
}

/// A supervised connection to one server (`DEALER`).
///
/// It connects once the server is there, and again after each loss. See the [crate](crate) for an example.
#[derive(Debug)]
pub struct Client {
    /// Events. Dropping it closes the client.
    pub inbound: EventReceiver<ClientEvent>,
    /// Messages to the server. Dropping all clones closes the client.
    pub outbound: ClientSender,
    /// The state of the connection.
    pub state: watch::Receiver<LinkState>,
    /// Shuts the client down.
    pub shutdown: ShutdownHandle,
}

impl Client {
    /// Sends what was accepted, for at most `linger`, then closes. Returns `true` if everything left in time.
    pub async fn shutdown(self, linger: Duration) -> bool {
        self.shutdown.shutdown(linger).await
    }
}

/// The sending end of a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientSender {
    link: LinkSender<Vec<Bytes>>,
    disconnected: Arc<watch::Sender<Generation>>,
}

impl ClientSender {
    /// Queues a message if there is a connection with space. Returns the generation of the connection it goes to.
    ///
    /// Success does not mean that the server has the message; only its answer does. The message goes to that connection or
    /// is lost with it: if you have seen [`ClientEvent::Down`] of that generation already, it is lost.
    ///
    /// # Errors
    /// Returns [`SendError::Empty`], [`SendError::LinkDown`], [`SendError::Full`] or [`SendError::Closed`].
    pub fn try_send(&self, frames: Vec<Bytes>) -> Result<Generation, SendError> {
        if frames.is_empty() {
            return Err(SendError::Empty);
        }
        let generation = self.link.generation()?;
        self.link.try_send(generation, frames)?;
        Ok(generation)
    }

    /// Queues a message if `generation` is the current connection and there is space.
    ///
    /// # Errors
    /// Returns [`SendError::Empty`], [`SendError::LinkDown`], [`SendError::Full`] or [`SendError::Closed`].
    #[inline]
    pub fn try_send_on(&self, generation: Generation, frames: Vec<Bytes>) -> Result<(), SendError> {
        if frames.is_empty() {
            return Err(SendError::Empty);
        }
        self.link.try_send(generation, frames)
    }

    /// Waits for a connection with space and queues a message, as [`try_send`](Self::try_send) does.
    ///
    /// # Errors
    /// Returns [`SendError::Empty`], [`SendError::Deadline`] or [`SendError::Closed`]. The message was not sent then.
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
            let generation = self.link.connected().await?;
            match self.link.send(generation, frames).await {
                Ok(()) => return Ok(generation),
                Err((SendError::LinkDown, returned)) => frames = returned,
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// Closes a connection whose server is known to be dead, as by missed heartbeats. The client then connects again.
    ///
    /// Does nothing if that connection is lost already.
    pub fn disconnect(&self, generation: Generation) {
        self.disconnected.send_if_modified(|disconnected| {
            let newer = generation > *disconnected;
            *disconnected = (*disconnected).max(generation);
            newer
        });
    }

    /// Returns the number of messages so far, by what happened to them.
    pub fn counts(&self) -> Counts {
        self.link.counts()
    }
}

/// The ends of a [`Client`] that its task holds.
#[derive(Debug)]
pub(crate) struct ClientDriver {
    pub(crate) link: LinkDriver<ClientEvent, Vec<Bytes>>,
    /// The last generation that the user disconnected.
    pub(crate) disconnected: watch::Receiver<Generation>,
    pub(crate) state: watch::Sender<LinkState>,
}

pub(crate) fn client(config: &LinkConfig) -> (Client, ClientDriver) {
    let (handles, driver, state) = link(config);
    let (disconnect, disconnected) = watch::channel(0);
    let client = Client {
        inbound: handles.inbound,
        outbound: ClientSender {
            link: handles.outbound,
            disconnected: Arc::new(disconnect),
        },
        state: handles.state,
        shutdown: handles.shutdown,
    };
    let driver = ClientDriver {
        link: driver,
        disconnected,
        state,
    };
    (client, driver)
}
