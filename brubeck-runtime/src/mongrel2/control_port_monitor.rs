//! Asks the control port what was written, whenever the loop wants to know.

use super::control::{Mongrel2Connection, Mongrel2Control};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The shortest time between two questions; one that takes long is asked less often.
const APART: Duration = Duration::from_millis(10);

/// The control port of one link.
#[derive(Debug)]
pub(super) struct ControlPortMonitor {
    ask: mpsc::Sender<()>,
    told: mpsc::Receiver<ConnectionsSnapshot>,
    waiting: bool,
    _task: JoinSet<()>,
}

/// What the control port said.
#[derive(Debug)]
pub(super) struct ConnectionsSnapshot {
    /// When it was asked.
    pub(super) asked: Instant,
    /// Every connection; `None` where it did not answer.
    pub(super) connections: Option<Vec<Mongrel2Connection>>,
}

impl ControlPortMonitor {
    pub(super) fn new(control: Mongrel2Control) -> ControlPortMonitor {
        let (ask, mut asked) = mpsc::channel::<()>(1);
        let (tell, told) = mpsc::channel(1);
        let mut task = JoinSet::new();
        task.spawn(async move {
            while asked.recv().await.is_some() {
                let began = Instant::now();
                let connections = control.connections().await;
                if let Err(error) = &connections {
                    tracing::debug!(%error, "the control port of Mongrel2 does not answer");
                }
                let connections = connections.ok();
                if tell
                    .send(ConnectionsSnapshot {
                        asked: began,
                        connections,
                    })
                    .await
                    .is_err()
                {
                    return;
                }
                // Mongrel2 serves nobody while it answers, so it is not asked more than a tenth of the time.
                tokio::time::sleep(APART.max(began.elapsed() * 10)).await;
            }
        });
        ControlPortMonitor {
            ask,
            told,
            waiting: false,
            _task: task,
        }
    }

    /// Asks, unless an answer is waited for.
    pub(super) fn ask(&mut self) {
        if !self.waiting && self.ask.try_send(()).is_ok() {
            self.waiting = true;
        }
    }

    /// The answer; for ever without a question.
    pub(super) async fn told(&mut self) -> ConnectionsSnapshot {
        match self.told.recv().await {
            Some(status) => {
                self.waiting = false;
                status
            }
            None => std::future::pending().await,
        }
    }
}
