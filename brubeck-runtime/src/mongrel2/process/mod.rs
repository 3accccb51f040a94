//! Runs a Mongrel2 server as a child process: configures, starts, supervises and stops it.

mod config;
mod routes;
mod server_directory;
mod server_process;
mod supervisor;

pub use config::{Mongrel2Config, Mongrel2Handler};

use crate::error::{Error, Result};
use server_directory::ServerDirectory;
use server_process::{ServerProcess, StartError};
use std::net::SocketAddr;
use supervisor::{Supervisor, SupervisorCommand};
use tokio::sync::{mpsc, oneshot, watch};

/// Limit of start attempts with different ports, if the port is 0.
const MAX_PORT_ATTEMPTS: usize = 8;

/// A running Mongrel2 server, a child of this process.
///
/// ```no_run
/// use brubeck::{Mongrel2Config, Mongrel2Handler};
///
/// # async fn example() -> brubeck::Result {
/// let handler = Mongrel2Handler::new("tcp://127.0.0.1:9999", "tcp://127.0.0.1:9998");
/// let server = Mongrel2Config::bind("127.0.0.1:6767").handler("/", handler).start().await?;
/// println!("at http://{}/", server.address());
/// server.stop().await
/// # }
/// ```
///
/// [`Mongrel2Config::start`] starts it.
///
/// Its configuration, its logs and its control port are in a temporary directory that only this user can access, and
/// which is removed when the server stops. If Mongrel2 exits, it is restarted. It does not outlive this process, even if
/// the process is killed.
///
/// [`stop`](Mongrel2Server::stop) stops Mongrel2, and dropping the `Mongrel2Server` kills it. In both cases Mongrel2
/// closes all connections without waiting for responses, so stop the application first.
#[derive(Debug)]
#[must_use = "dropping it kills Mongrel2"]
pub struct Mongrel2Server {
    address: SocketAddr,
    control: String,
    pid: watch::Receiver<Option<u32>>,
    commands: mpsc::Sender<SupervisorCommand>,
}

impl Mongrel2Server {
    /// Returns `true` if the programs `mongrel2` and `m2sh` are in the `PATH`.
    ///
    /// ```
    /// use brubeck::Mongrel2Server;
    ///
    /// if !Mongrel2Server::is_installed() {
    ///     eprintln!("Mongrel2 is not installed: apt-get install mongrel2-core");
    /// }
    /// ```
    pub fn is_installed() -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        ["mongrel2", "m2sh"]
            .iter()
            .all(|program| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
    }

    async fn start(config: Mongrel2Config) -> Result<Mongrel2Server> {
        let directory = ServerDirectory::create()?;
        let (address, process) = Mongrel2Server::first_start(&config, &directory).await?;
        let control = config.control_port(directory.path());
        let (pid_sender, pid) = watch::channel(process.pid());
        let (commands, command_receiver) = mpsc::channel(1);
        tokio::spawn(
            Supervisor {
                process: Some(process),
                pid: pid_sender,
                directory,
            }
            .run(command_receiver),
        );
        tracing::info!(%address, "Mongrel2 is listening");
        Ok(Mongrel2Server {
            address,
            control,
            pid,
            commands,
        })
    }

    /// Starts Mongrel2. If the system selects the port and another process takes it first, tries again with another
    /// port.
    async fn first_start(
        config: &Mongrel2Config,
        directory: &ServerDirectory,
    ) -> Result<(SocketAddr, ServerProcess)> {
        for _ in 0..MAX_PORT_ATTEMPTS {
            let address = config.address()?;
            let text = config.to_text(directory.name(), address, directory.path())?;
            server_process::load(directory, &text).await?;
            match ServerProcess::start(directory).await {
                Ok(process) => return Ok((address, process)),
                Err(StartError::Other(error)) => return Err(error),
                // Another process may have bound the port after it was selected.
                Err(StartError::CannotListen) if config.uses_any_port() => {}
                Err(StartError::CannotListen) => {
                    return Err(Error::new(format!(
                        "Mongrel2 cannot listen on {address}: the port is in use, the port needs root privileges, or the \
                         address does not belong to this machine"
                    )));
                }
            }
        }
        Err(Error::new(format!(
            "Mongrel2 could not bind any of {MAX_PORT_ATTEMPTS} free ports; other processes probably took them first"
        )))
    }

    /// Returns the address on which Mongrel2 listens. The port is never 0.
    ///
    /// ```
    /// # async fn example(server: brubeck::Mongrel2Server) {
    /// println!("open http://{} in a browser", server.address());
    /// # }
    /// ```
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the endpoint of the control port.
    ///
    /// ```
    /// # async fn example(server: brubeck::Mongrel2Server) -> brubeck::Result {
    /// let control = brubeck::Mongrel2Control::connect(server.control())?;
    /// # Ok(()) }
    /// ```
    ///
    /// It is for [`Mongrel2Control`](crate::Mongrel2Control) and [`Mongrel2::control`](crate::Mongrel2::control).
    pub fn control(&self) -> &str {
        &self.control
    }

    /// Returns the id of the process, or `None` if Mongrel2 is not running.
    ///
    /// ```
    /// # async fn example(server: brubeck::Mongrel2Server) -> brubeck::Result {
    /// println!("mongrel2 runs as {:?}", server.pid());
    /// # Ok(()) }
    /// ```
    pub fn pid(&self) -> Option<u32> {
        *self.pid.borrow()
    }

    /// Stops Mongrel2, starts it with the same configuration, and waits until it accepts requests again.
    ///
    /// ```
    /// # async fn example(server: brubeck::Mongrel2Server) -> brubeck::Result {
    /// server.restart().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// The connections of clients are closed, and requests on them fail. The application reconnects by itself.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if Mongrel2 does not start; the start is retried in the background. Returns an error if the
    /// runtime that started Mongrel2 has been shut down, which has killed Mongrel2.
    pub async fn restart(&self) -> Result {
        self.send_command(SupervisorCommand::Restart).await
    }

    /// Stops Mongrel2 and removes its directory: see the example of [`Mongrel2Config`](crate::Mongrel2Config).
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if the runtime that started Mongrel2 has been shut down, which has killed Mongrel2.
    pub async fn stop(self) -> Result {
        self.send_command(SupervisorCommand::Stop).await
    }

    /// Sends a command to the supervisor and waits until it is done.
    async fn send_command(
        &self,
        command: impl FnOnce(oneshot::Sender<Result>) -> SupervisorCommand,
    ) -> Result {
        let ended =
            || Error::new("Mongrel2 is not supervised any more: the runtime that started it was shut down");
        let (done, result) = oneshot::channel();
        self.commands.send(command(done)).await.map_err(|_| ended())?;
        result.await.map_err(|_| ended())?
    }
}

#[cfg(test)]
mod tests;
