//! Opening servers and clients, over sockets or in memory.

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use crate::client::{client, run_client};
use crate::server::bind_server;
use crate::{Client, Endpoint, LinkConfig, Server, ServerLimits, TransportError};

/// Opens servers and clients.
///
/// [`Zmtp`] does it over sockets and [`InMemory`](crate::InMemory) in memory, so that tests can choose.
pub trait Transport: Send + Sync + 'static {
    /// Binds a server at `endpoint`.
    ///
    /// # Errors
    /// Returns an error if the endpoint cannot be bound: see [`TransportError`].
    fn server(
        &self,
        endpoint: Endpoint,
        limits: ServerLimits,
    ) -> BoxFuture<'_, Result<Server, TransportError>>;

    /// Creates a client that connects to the server at `endpoint`, now or as soon as there is one. Returns at once; wait
    /// for [`ClientEvent::Up`](crate::ClientEvent::Up).
    ///
    /// # Errors
    /// Returns an error if it is not possible to connect to such an endpoint. It is not an error if there is no server yet.
    fn client(&self, endpoint: Endpoint, config: LinkConfig) -> Result<Client, TransportError>;
}

/// ZMTP 3.1 over TCP and Unix sockets.
///
/// The tasks of a socket run on the tokio runtime on which it is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Zmtp;

impl Transport for Zmtp {
    fn server(
        &self,
        endpoint: Endpoint,
        limits: ServerLimits,
    ) -> BoxFuture<'_, Result<Server, TransportError>> {
        Box::pin(async move { bind_server(&endpoint, limits).await })
    }

    fn client(&self, endpoint: Endpoint, config: LinkConfig) -> Result<Client, TransportError> {
        endpoint.check_connect()?;
        let runtime = Handle::try_current().map_err(std::io::Error::other)?;
        let (client, driver) = client(&config);
        runtime.spawn(run_client(endpoint, config, driver));
        Ok(client)
    }
}
