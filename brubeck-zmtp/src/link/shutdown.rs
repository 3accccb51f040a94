//! Shutting a socket down without losing what it accepted.

use std::future::pending;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::LINGER;

/// Shuts one socket down.
///
/// Dropping the handle does nothing. A socket lives until [`shutdown`](Self::shutdown) is called, until its
/// [`EventReceiver`](crate::EventReceiver) is dropped, or until the last clone of its sender is. In the latter two cases
/// it lingers for [`LINGER`].
#[derive(Debug)]
pub struct ShutdownHandle(mpsc::Sender<ShutdownRequest>);

impl ShutdownHandle {
    /// Sends what was accepted, for at most `linger`, then closes all connections.
    ///
    /// Returns `true` if everything left the process in time, or if the socket had ended before.
    pub async fn shutdown(self, linger: Duration) -> bool {
        let (done, flushed) = oneshot::channel();
        if self.0.send(ShutdownRequest { linger, done }).await.is_err() {
            return true;
        }
        flushed.await.unwrap_or(true)
    }
}

/// A call of [`ShutdownHandle::shutdown`] that waits for its result.
#[derive(Debug)]
pub struct ShutdownRequest {
    linger: Duration,
    done: oneshot::Sender<bool>,
}

/// The socket's side of a [`ShutdownHandle`].
#[derive(Debug)]
pub struct ShutdownSignal(mpsc::Receiver<ShutdownRequest>);

impl ShutdownSignal {
    /// Waits until a shutdown is requested; forever if the handle is dropped.
    pub async fn requested(&mut self) -> ShutdownReason {
        match self.0.recv().await {
            Some(request) => ShutdownReason::Requested(request),
            None => pending().await,
        }
    }
}

/// Creates both sides of a shutdown.
pub fn shutdown_channel() -> (ShutdownHandle, ShutdownSignal) {
    let (sender, receiver) = mpsc::channel(1);
    (ShutdownHandle(sender), ShutdownSignal(receiver))
}

/// The reason for the end of a socket.
#[derive(Debug)]
pub enum ShutdownReason {
    /// [`ShutdownHandle::shutdown`] was called.
    Requested(ShutdownRequest),
    /// The receiver or all senders were dropped, so the socket cannot be used any more.
    Unused,
}

impl ShutdownReason {
    /// Returns the time for sending what was accepted: the one requested, or [`LINGER`].
    pub fn linger(&self) -> Duration {
        match self {
            Self::Requested(request) => request.linger,
            Self::Unused => LINGER,
        }
    }

    /// Completes the call of [`ShutdownHandle::shutdown`], if there is one; `flushed` if everything left in time.
    pub fn complete(self, flushed: bool) {
        if let Self::Requested(request) = self {
            // The caller may have stopped waiting.
            let _ = request.done.send(flushed);
        }
    }
}
