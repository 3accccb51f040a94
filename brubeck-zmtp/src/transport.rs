//! The trait that opens servers and clients, over sockets or in memory.

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use crate::client::{client_channel, run_client};
use crate::server::bind_server;
use crate::{DealerClient, Endpoint, LinkConfig, RouterServer, ServerLimits, TransportError, watchdog};

/// Opens servers and clients.
///
/// [`Zmtp`] opens sockets. [`InMemory`](crate::InMemory) connects servers and clients within the process, for tests.
pub trait Transport: Send + Sync + 'static {
    /// Binds a server at `endpoint`.
    ///
    /// # Errors
    /// Returns an error if the endpoint cannot be bound: see [`TransportError`].
    fn server(
        &self,
        endpoint: Endpoint,
        limits: ServerLimits,
    ) -> BoxFuture<'_, Result<RouterServer, TransportError>>;

    /// Creates a client of the server at `endpoint`.
    ///
    /// The client connects in the background, as soon as the server is running. Wait for
    /// [`ClientEvent::Up`](crate::ClientEvent::Up) to know that it is connected.
    ///
    /// # Errors
    /// Returns an error if `endpoint` is malformed or only valid for binding, or if there is no tokio runtime. It is not an
    /// error if the server is not running yet.
    ///
    /// # Panics
    /// [`InMemory`](crate::InMemory) panics if there is no tokio runtime.
    fn client(&self, endpoint: Endpoint, config: LinkConfig) -> Result<DealerClient, TransportError>;
}

/// ZMTP 3.1 over TCP and Unix sockets.
///
/// The tasks of a socket run on the tokio runtime that opens it. While its threads are blocked, the [watchdog](crate::watchdog) runs
/// them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Zmtp;

impl Transport for Zmtp {
    fn server(
        &self,
        endpoint: Endpoint,
        limits: ServerLimits,
    ) -> BoxFuture<'_, Result<RouterServer, TransportError>> {
        Box::pin(async move { bind_server(&endpoint, limits, None).await })
    }

    fn client(&self, endpoint: Endpoint, config: LinkConfig) -> Result<DealerClient, TransportError> {
        endpoint.check_connect()?;
        Handle::try_current().map_err(std::io::Error::other)?;
        let (client, driver) = client_channel(&config);
        watchdog::spawn(run_client(endpoint.with_absolute_path(), config, driver, None));
        Ok(client)
    }
}
