//! Restarts a Mongrel2 whenever it exits, until it is stopped.

use super::server_directory::ServerDirectory;
use super::server_process::{ServerProcess, StartError};
use crate::error::{Error, Result};
use std::future::pending;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};

/// Time before the first restart. It is doubled for each further one, up to [`MAX_BACKOFF`].
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// Uptime after which the backoff is reset.
const HEALTHY_UPTIME: Duration = Duration::from_secs(30);

/// A command to the supervisor, with the channel for its result.
pub(super) enum SupervisorCommand {
    Restart(oneshot::Sender<Result>),
    Stop(oneshot::Sender<Result>),
}

pub(super) struct Supervisor {
    /// `None` between an exit and the restart.
    pub(super) process: Option<ServerProcess>,
    pub(super) pid: watch::Sender<Option<u32>>,
    /// Fields are dropped in order: the process must be killed before the directory is removed.
    pub(super) directory: ServerDirectory,
}

impl Supervisor {
    /// Runs until it receives [`SupervisorCommand::Stop`] or the sender is dropped.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<SupervisorCommand>) {
        let mut backoff = INITIAL_BACKOFF;
        let mut started_at = Instant::now();
        loop {
            let command = tokio::select! {
                command = commands.recv() => command,
                () = self.wait_for_exit() => {
                    self.replace_process(None).await;
                    if started_at.elapsed() > HEALTHY_UPTIME {
                        backoff = INITIAL_BACKOFF;
                    }
                    continue;
                }
                () = sleep(backoff), if self.process.is_none() => {
                    started_at = Instant::now();
                    backoff = (backoff * 2).min(MAX_BACKOFF);
                    if let Err(error) = self.start().await {
                        tracing::error!(?error, retry_in = ?backoff, "restart of Mongrel2 failed, retrying");
                    }
                    continue;
                }
            };
            match command {
                Some(SupervisorCommand::Restart(done)) => {
                    self.replace_process(None).await;
                    started_at = Instant::now();
                    // This fails if the caller does not wait any more, so the result is not needed.
                    let _ = done.send(self.start().await);
                }
                Some(SupervisorCommand::Stop(done)) => {
                    self.replace_process(None).await;
                    // Remove the directory before reporting the end.
                    drop(self);
                    let _ = done.send(Ok(()));
                    return;
                }
                None => return,
            }
        }
    }

    /// Waits until Mongrel2 exits. Never completes if it is not running.
    async fn wait_for_exit(&mut self) {
        let Some(process) = &mut self.process else {
            return pending().await;
        };
        match process.wait().await {
            Ok(status) => tracing::error!(%status, "Mongrel2 exited, restarting"),
            Err(error) => tracing::error!(%error, "cannot wait for Mongrel2, restarting"),
        }
    }

    async fn start(&mut self) -> Result {
        match ServerProcess::start(&self.directory).await {
            Ok(process) => {
                self.replace_process(Some(process)).await;
                Ok(())
            }
            Err(StartError::Other(error)) => Err(error),
            Err(StartError::CannotListen) => Err(Error::new(
                "Mongrel2 cannot listen again; another process may be using its port",
            )),
        }
    }

    /// Publishes the process id of the new process, and stops the old process.
    async fn replace_process(&mut self, process: Option<ServerProcess>) {
        self.pid
            .send_replace(process.as_ref().and_then(ServerProcess::pid));
        if let Some(old) = std::mem::replace(&mut self.process, process) {
            old.stop().await;
        }
    }
}
