//! Polls the control port of a Mongrel2 for the state of its connections.

use super::control::{Mongrel2Connection, Mongrel2Control};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The shortest and the longest pause after a poll.
const MIN_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_millis(100);

/// The pause after a poll, as a multiple of the time that Mongrel2 works on it: it serves no clients while it answers, and should not
/// spend more than a tenth of its time on this.
const PAUSE_FACTOR: u32 = 10;

/// The time for which Mongrel2 is assumed to work on the first poll.
const FIRST_POLL_COST: Duration = Duration::from_millis(1);

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
            let mut cost = PollCost(FIRST_POLL_COST);
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
                tokio::time::sleep(cost.pause(requested_at.elapsed())).await;
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

/// An estimate of the time for which Mongrel2 works on a poll.
///
/// A busy Mongrel2 answers late, and then the time until the response says little about the work. So the estimate follows faster responses
/// at once, and slower ones slowly.
#[derive(Debug)]
struct PollCost(Duration);

impl PollCost {
    /// Returns the pause after a poll whose response took this time.
    fn pause(&mut self, response_time: Duration) -> Duration {
        let most = self.0.max(FIRST_POLL_COST / 4) * 5 / 4;
        self.0 = response_time.min(most);
        (self.0 * PAUSE_FACTOR).clamp(MIN_PAUSE, MAX_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_response_does_not_delay_the_next_poll() {
        let ms = Duration::from_millis;
        let mut cost = PollCost(FIRST_POLL_COST);
        assert_eq!(cost.pause(ms(1)), ms(10));
        assert!(cost.pause(ms(2000)) < ms(15));
        assert_eq!(cost.pause(Duration::from_micros(300)), MIN_PAUSE);
        // With many connections every response takes longer.
        for _ in 0..30 {
            cost.pause(ms(8));
        }
        assert_eq!(cost.pause(ms(8)), ms(80));
        for _ in 0..30 {
            cost.pause(ms(2000));
        }
        assert_eq!(cost.pause(ms(2000)), MAX_PAUSE);
    }
}
