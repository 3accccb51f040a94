//! Clients: supervised connections to one server each.

mod dealer;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

pub(crate) use self::dealer::run_client;

use crate::link::{LinkDriver, LinkSender, link_channel};
use crate::queue::MessageCounts;
use crate::{EventReceiver, Generation, LinkConfig, LinkState, SendError, ShutdownHandle};

/// An event of a [`DealerClient`]. Events arrive in order, and each connection has a larger generation than the connections
/// before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// The client connected to the server.
    Up {
        /// The number of the connection.
        generation: Generation,
    },
    /// The server sent a message.
    Message {
        /// The connection that received it.
        generation: Generation,
        /// The frames, at least one.
        frames: Vec<Bytes>,
    },
    /// The connection is lost, and the client reconnects. The server may or may not have read the messages that were sent
    /// on the connection. A client that is shut down emits no `Down`.
    Down {
        /// The number of the connection.
        generation: Generation,
        /// The reason, for the log.
        reason: String,
    },
}

/// A supervised connection to one server (`DEALER`).
///
/// It connects as soon as the server is running, and reconnects after each loss. See the [crate](crate) for an example.
#[derive(Debug)]
pub struct DealerClient {
    /// Receives events. Dropping the receiver closes the client.
    pub inbound: EventReceiver<ClientEvent>,
    /// Sends messages to the server. Dropping all clones closes the client.
    pub outbound: ClientSender,
    /// The state of the connection.
    pub state: watch::Receiver<LinkState>,
    /// Shuts the client down.
    pub shutdown: ShutdownHandle,
}

impl DealerClient {
    /// Sends the accepted messages for at most `linger`, then closes the client. Returns `false` if `linger` was too short, or if
    /// the connection was lost while the messages were written. Without a connection, drops the messages and returns `true`.
    pub async fn shutdown(self, linger: Duration) -> bool {
        self.shutdown.shutdown(linger).await
    }
}

/// The sending end of a [`DealerClient`].
#[derive(Clone, Debug)]
pub struct ClientSender {
    link: LinkSender<Vec<Bytes>>,
    disconnected: Arc<watch::Sender<Generation>>,
    last_error: Arc<LastError>,
}

/// The error of the last attempt to connect; `None` if it succeeded.
#[derive(Debug, Default)]
pub(crate) struct LastError(Mutex<Option<String>>);

impl LastError {
    pub(crate) fn set(&self, error: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }
}

impl ClientSender {
    /// Queues a message if the client is connected and the queue has space. Returns the generation of the connection.
    ///
    /// Success does not mean that the server has received the message; only a response of the server does. The message is
    /// sent on this connection or lost with it. It is lost if [`ClientEvent::Down`] of the returned generation has already
    /// been received.
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

    /// Queues a message if `generation` is the current connection and the queue has space.
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

    /// Waits for a connection and for space in the queue, then queues a message as [`try_send`](Self::try_send) does.
    ///
    /// # Errors
    /// Returns [`SendError::Empty`], [`SendError::Deadline`] or [`SendError::Closed`]. The message was not sent in any of
    /// these cases.
    pub async fn send_by(&self, frames: Vec<Bytes>, deadline: Instant) -> Result<Generation, SendError> {
        timeout_at(deadline, self.send(frames))
            .await
            .unwrap_or(Err(SendError::Deadline))
    }

    /// Sends as [`send_by`](Self::send_by) does, without a deadline. Uses no timer, so it needs no tokio runtime.
    ///
    /// # Errors
    /// Returns [`SendError::Empty`] or [`SendError::Closed`]. The message was not sent in these cases.
    pub async fn send(&self, mut frames: Vec<Bytes>) -> Result<Generation, SendError> {
        if frames.is_empty() {
            return Err(SendError::Empty);
        }
        loop {
            let generation = self.link.connected().await?;
            match self.link.send(generation, frames).await {
                Ok(()) => return Ok(generation),
                Err((SendError::LinkDown, returned)) => frames = returned,
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// Closes the connection of this `generation`, for example because the server missed its heartbeats. The client then
    /// reconnects.
    ///
    /// Does nothing if the connection is already lost.
    pub fn disconnect(&self, generation: Generation) {
        self.disconnected.send_if_modified(|disconnected| {
            let newer = generation > *disconnected;
            *disconnected = (*disconnected).max(generation);
            newer
        });
    }

    /// Returns the error of the last attempt to connect. Returns `None` if the last attempt succeeded, or if there was none.
    pub fn last_error(&self) -> Option<String> {
        let error = self.last_error.0.lock();
        error.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the numbers of sent messages, dropped messages and stalls so far.
    pub fn counts(&self) -> MessageCounts {
        self.link.counts()
    }
}

/// The channel ends that the task of a [`DealerClient`] holds.
#[derive(Debug)]
pub(crate) struct ClientDriver {
    pub(crate) link: LinkDriver<ClientEvent, Vec<Bytes>>,
    /// The largest generation that the user disconnected, or 0.
    pub(crate) disconnected: watch::Receiver<Generation>,
    pub(crate) state: watch::Sender<LinkState>,
    pub(crate) last_error: Arc<LastError>,
}

/// Creates a client and the channel ends of its task.
pub(crate) fn client_channel(config: &LinkConfig) -> (DealerClient, ClientDriver) {
    let (handles, driver, state) = link_channel(config);
    let (disconnect, disconnected) = watch::channel(0);
    let last_error = Arc::<LastError>::default();
    let client = DealerClient {
        inbound: handles.inbound,
        outbound: ClientSender {
            link: handles.outbound,
            disconnected: Arc::new(disconnect),
            last_error: last_error.clone(),
        },
        state: handles.state,
        shutdown: handles.shutdown,
    };
    let driver = ClientDriver {
        link: driver,
        disconnected,
        state,
        last_error,
    };
    (client, driver)
}
