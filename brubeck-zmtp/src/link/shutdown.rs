//! Graceful shutdown of sockets.

use std::future::pending;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::LINGER;

/// Shuts one socket down.
///
/// Dropping the handle does nothing. A socket is closed when [`shutdown`](Self::shutdown) is called, when its
/// [`EventReceiver`](crate::EventReceiver) is dropped, or when the last clone of its sender is dropped. In the latter two
/// cases it lingers for [`LINGER`].
#[derive(Debug)]
pub struct ShutdownHandle(mpsc::Sender<ShutdownRequest>);

impl ShutdownHandle {
    /// Sends the accepted messages for at most `linger`, then closes all connections.
    ///
    /// Returns `false` if messages were still unwritten or connections of a server still open after `linger`, or if a client
    /// lost its connection while it wrote them. Returns `true` otherwise, also if the socket was already closed. Messages that
    /// were dropped because their peer was not connected do not count.
    pub async fn shutdown(self, linger: Duration) -> bool {
        let (done, flushed) = oneshot::channel();
        if self.0.send(ShutdownRequest { linger, done }).await.is_err() {
            return true;
        }
        flushed.await.unwrap_or(true)
    }
}

/// A pending call of [`ShutdownHandle::shutdown`].
#[derive(Debug)]
pub struct ShutdownRequest {
    linger: Duration,
    done: oneshot::Sender<bool>,
}

/// The end of a [`shutdown_channel`] that a socket holds.
#[derive(Debug)]
pub struct ShutdownSignal(mpsc::Receiver<ShutdownRequest>);

impl ShutdownSignal {
    /// Waits until a shutdown is requested. Never completes if the handle is dropped.
    pub async fn requested(&mut self) -> ShutdownReason {
        match self.0.recv().await {
            Some(request) => ShutdownReason::Requested(request),
            None => pending().await,
        }
    }
}

/// Creates a channel through which a user shuts a socket down.
pub fn shutdown_channel() -> (ShutdownHandle, ShutdownSignal) {
    let (sender, receiver) = mpsc::channel(1);
    (ShutdownHandle(sender), ShutdownSignal(receiver))
}

/// The reason why a socket is shut down.
#[derive(Debug)]
pub enum ShutdownReason {
    /// [`ShutdownHandle::shutdown`] was called.
    Requested(ShutdownRequest),
    /// The receiver or all senders were dropped, so the socket can no longer be used.
    Unused,
}

impl ShutdownReason {
    /// Returns how long the socket may send accepted messages: the requested time, or [`LINGER`].
    pub fn linger(&self) -> Duration {
        match self {
            Self::Requested(request) => request.linger,
            Self::Unused => LINGER,
        }
    }

    /// Completes the call of [`ShutdownHandle::shutdown`], if there is one, with `flushed` as its result.
    pub fn complete(self, flushed: bool) {
        if let Self::Requested(request) = self {
            // The caller may have stopped waiting.
            let _ = request.done.send(flushed);
        }
    }
}
