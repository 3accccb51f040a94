//! A Mongrel2 that this process configures, starts, watches and stops.

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

/// How many free ports are tried where any port will do.
const PORTS: usize = 8;

/// A running Mongrel2, which ends with this process.
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
/// Its configuration, logs and sockets lie in a temporary folder that only this user may enter and that
/// goes when it stops. If it ends by itself it is started again. Dropping this kills it;
/// [`stop`](Mongrel2Server::stop) lets it end. It drains nothing in either case: stop the application
/// that answers its requests first.
#[derive(Debug)]
#[must_use = "dropping it kills Mongrel2"]
pub struct Mongrel2Server {
    address: SocketAddr,
    control: String,
    pid: watch::Receiver<Option<u32>>,
    orders: mpsc::Sender<SupervisorCommand>,
}

impl Mongrel2Server {
    /// Whether the programs it needs are on the `PATH`.
    pub fn is_installed() -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        ["mongrel2", "m2sh"]
            .iter()
            .all(|program| std::env::split_paths(&path).any(|at| at.join(program).is_file()))
    }

    async fn start(config: Mongrel2Config) -> Result<Mongrel2Server> {
        let folder = ServerDirectory::create()?;
        let (address, program) = Mongrel2Server::first_start(&config, &folder).await?;
        let control = config.control(folder.path());
        let (pid, seen) = watch::channel(program.pid());
        let (orders, taken) = mpsc::channel(1);
        tokio::spawn(
            Supervisor {
                program: Some(program),
                pid,
                folder,
            }
            .run(taken),
        );
        tracing::info!("Mongrel2 listens at http://{address}");
        Ok(Mongrel2Server {
            address,
            control,
            pid: seen,
            orders,
        })
    }

    async fn first_start(
        config: &Mongrel2Config,
        folder: &ServerDirectory,
    ) -> Result<(SocketAddr, ServerProcess)> {
        for attempt in 1..=PORTS {
            let address = config.address()?;
            server_process::load(folder, &config.text(folder.name(), address, folder.path())?).await?;
            match ServerProcess::start(folder).await {
                Ok(program) => return Ok((address, program)),
                Err(StartError::Other(error)) => return Err(error),
                // Somebody took the free port between finding it and binding it.
                Err(StartError::PortTaken) if config.any_port() && attempt < PORTS => {}
                Err(StartError::PortTaken) => {
                    return Err(Error::new(format!(
                        "Mongrel2 cannot listen at {address}: the port is taken, or the address is not of this machine"
                    )));
                }
            }
        }
        Err(Error::new("Mongrel2 found no free port"))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint of its control port, for [`Mongrel2Control`](crate::Mongrel2Control) and
    /// [`Mongrel2::control`](crate::Mongrel2::control).
    pub fn control(&self) -> &str {
        &self.control
    }

    /// The id of its process; `None` while it is not running.
    pub fn pid(&self) -> Option<u32> {
        *self.pid.borrow()
    }

    /// Stops it and starts it with the same configuration, and waits until it takes requests again.
    /// Connections of browsers break, and the requests on them are lost.
    ///
    /// # Errors
    ///
    /// It did not start again; it keeps being tried.
    pub async fn restart(&self) -> Result {
        self.order(SupervisorCommand::Restart).await
    }

    /// Stops it, and removes its folder.
    ///
    /// # Errors
    ///
    /// None at present.
    pub async fn stop(self) -> Result {
        self.order(SupervisorCommand::Stop).await
    }

    async fn order(&self, order: impl FnOnce(oneshot::Sender<Result>) -> SupervisorCommand) -> Result {
        let gone = |()| Error::new("Mongrel2 is no longer watched: the runtime that started it has ended");
        let (tell, told) = oneshot::channel();
        self.orders.send(order(tell)).await.map_err(|_| gone(()))?;
        told.await.map_err(|_| gone(()))?
    }
}

#[cfg(test)]
mod tests;
