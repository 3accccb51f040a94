//! Shutting a link down so that what it accepted still leaves the process.

use std::future::pending;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

/// Shuts one link down.
///
/// Dropping it does nothing: a link lives until [`shutdown`](Self::shutdown), until its inbox is dropped, or until the
/// last clone of its outbox is; in the latter two it lingers for [`LINGER`](crate::LINGER).
#[derive(Debug)]
pub struct Closing(mpsc::Sender<Ask>);

impl Closing {
    /// Sends what was accepted, for at most `linger`, then closes all connections. Returns whether everything left the
    /// process in time (`true` also when the link had ended before).
    pub async fn shutdown(self, linger: Duration) -> bool {
        let (done, answer) = oneshot::channel();
        if self.0.send(Ask { linger, done }).await.is_err() {
            return true;
        }
        answer.await.unwrap_or(true)
    }
}

/// A wish to shut down.
#[derive(Debug)]
pub struct Ask {
    pub linger: Duration,
    done: oneshot::Sender<bool>,
}

impl Ask {
    /// Tells whoever asked that it is over.
    pub fn done(self, all_left: bool) {
        // Whoever asked may have stopped waiting.
        let _ = self.done.send(all_left);
    }
}

/// The link's side of [`Closing`].
#[derive(Debug)]
pub struct Stop(mpsc::Receiver<Ask>);

pub fn closing() -> (Closing, Stop) {
    let (sender, receiver) = mpsc::channel(1);
    (Closing(sender), Stop(receiver))
}

impl Stop {
    /// Waits until somebody asks; for ever if nobody can any more.
    pub async fn asked(&mut self) -> Ask {
        match self.0.recv().await {
            Some(ask) => ask,
            None => pending().await,
        }
    }
}
