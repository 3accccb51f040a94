//! Polls the control port of a Mongrel2 for the state of its connections.

use super::control::{Mongrel2Connection, Mongrel2Control};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Minimum pause after a poll.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The pause after a poll, as a multiple of its duration: Mongrel2 serves no clients while it answers, and should not
/// spend more than a tenth of its time on this.
const PAUSE_FACTOR: u32 = 10;

/// A task that polls the control port on request.
#[derive(Debug)]
pub(super) struct ControlPortMonitor {
    requests: mpsc::Sender<()>,
    snapshots: mpsc::Receiver<ConnectionsSnapshot>,
    is_pending: bool,
    _task: JoinSet<()>,
}

/// The connections of Mongrel2 at one moment.
#[derive(Debug)]
pub(super) struct ConnectionsSnapshot {
    /// The time at which the control port was asked.
    pub(super) requested_at: Instant,
    /// All connections, or `None` if they could not be read: the control port did not respond, refused the command, or
    /// sent something else.
    pub(super) connections: Option<Vec<Mongrel2Connection>>,
}

impl ControlPortMonitor {
    pub(super) fn new(control: Mongrel2Control) -> ControlPortMonitor {
        let (requests, mut requested) = mpsc::channel::<()>(1);
        let (snapshot_sender, snapshots) = mpsc::channel(1);
        let mut task = JoinSet::new();
        task.spawn(async move {
            while requested.recv().await.is_some() {
                let requested_at = Instant::now();
                let connections = control.connections().await;
                if let Err(error) = &connections {
                    tracing::debug!(%error, "cannot read the connections from the control port of Mongrel2");
                }
                let snapshot = ConnectionsSnapshot {
                    requested_at,
                    connections: connections.ok(),
                };
                if snapshot_sender.send(snapshot).await.is_err() {
                    return;
                }
                let pause = requested_at.elapsed() * PAUSE_FACTOR;
                tokio::time::sleep(MIN_POLL_INTERVAL.max(pause)).await;
            }
        });
        ControlPortMonitor {
            requests,
            snapshots,
            is_pending: false,
            _task: task,
        }
    }

    /// Requests a snapshot, unless one is pending. [`next_snapshot`](Self::next_snapshot) returns it.
    pub(super) fn request_snapshot(&mut self) {
        if !self.is_pending && self.requests.try_send(()).is_ok() {
            self.is_pending = true;
        }
    }

    /// Waits for the requested snapshot. Never completes if none is requested.
    pub(super) async fn next_snapshot(&mut self) -> ConnectionsSnapshot {
        match self.snapshots.recv().await {
            Some(snapshot) => {
                self.is_pending = false;
                snapshot
            }
            None => std::future::pending().await,
        }
    }
}
