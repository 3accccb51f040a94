//! Keeps a Mongrel2 running until it is told to stop.

use super::server_directory::ServerDirectory;
use super::server_process::{ServerProcess, StartError};
use crate::error::{Error, Result};
use std::future::pending;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};

/// How long to wait before a start that follows an unexpected end; doubled each time, up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A Mongrel2 that ran for this long is taken to be healthy.
const HEALTHY: Duration = Duration::from_secs(30);

/// What can be asked of it; the answer comes when it is done.
pub(super) enum SupervisorCommand {
    Restart(oneshot::Sender<Result>),
    Stop(oneshot::Sender<Result>),
}

pub(super) struct Supervisor {
    pub(super) program: Option<ServerProcess>,
    pub(super) pid: watch::Sender<Option<u32>>,
    /// Last, because it may only go when nothing uses it any more.
    pub(super) folder: ServerDirectory,
}

impl Supervisor {
    /// Ends when told to, or when nobody is left to tell.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<SupervisorCommand>) {
        let mut pause = PAUSE;
        let mut started = Instant::now();
        loop {
            let order = tokio::select! {
                order = orders.recv() => order,
                () = self.ended() => {
                    self.set(None).await;
                    if started.elapsed() > HEALTHY {
                        pause = PAUSE;
                    }
                    continue;
                }
                () = sleep(pause), if self.program.is_none() => {
                    started = Instant::now();
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    if let Err(error) = self.start().await {
                        tracing::error!("Mongrel2 could not be started again; next try in {pause:?}: {error:?}");
                    }
                    continue;
                }
            };
            match order {
                Some(SupervisorCommand::Restart(done)) => {
                    self.set(None).await;
                    started = Instant::now();
                    // Whoever asked may have stopped waiting.
                    let _ = done.send(self.start().await);
                }
                Some(SupervisorCommand::Stop(done)) => {
                    self.set(None).await;
                    drop(self);
                    let _ = done.send(Ok(()));
                    return;
                }
                None => return,
            }
        }
    }

    async fn ended(&mut self) {
        let Some(program) = &mut self.program else {
            return pending().await;
        };
        match program.ended().await {
            Ok(status) => tracing::error!("Mongrel2 ended by itself: {status}; it is started again"),
            Err(error) => tracing::error!(%error, "Mongrel2 cannot be watched; it is started again"),
        }
    }

    async fn start(&mut self) -> Result {
        match ServerProcess::start(&self.folder).await {
            Ok(program) => {
                self.set(Some(program)).await;
                Ok(())
            }
            Err(StartError::Other(error)) => Err(error),
            Err(StartError::PortTaken) => Err(Error::new(
                "Mongrel2 cannot listen again: somebody else has taken its port meanwhile",
            )),
        }
    }

    async fn set(&mut self, program: Option<ServerProcess>) {
        self.pid
            .send_replace(program.as_ref().and_then(ServerProcess::pid));
        if let Some(old) = std::mem::replace(&mut self.program, program) {
            old.stop().await;
        }
    }
}
