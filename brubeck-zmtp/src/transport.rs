//! Opens links.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::{Client, Endpoint, Limits, Server, Timing, TransportError, client};

/// Opens links.
///
/// What works through this trait can be given a simulated network instead.
pub trait Transport: Send + Sync + 'static {
    /// Binds `endpoint` and serves whoever connects.
    ///
    /// # Errors
    /// The endpoint cannot be bound: see [`TransportError`].
    fn server(&self, endpoint: Endpoint, limits: Limits) -> BoxFuture<'_, Result<Server, TransportError>>;

    /// Connects to the server at `endpoint`, whenever it is there. Returns at once; wait for [`crate::ClientEvent::Up`].
    ///
    /// # Errors
    /// The endpoint cannot be connected to, by its form.
    fn client(&self, endpoint: Endpoint, timing: Timing) -> Result<Client, TransportError>;
}

/// ZeroMQ over TCP and Unix sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct ZeroMq;

impl Transport for ZeroMq {
    fn server(&self, endpoint: Endpoint, limits: Limits) -> BoxFuture<'_, Result<Server, TransportError>> {
        async move {
            endpoint.check()?;
            crate::server::router::open(endpoint, limits).await
        }
        .boxed()
    }

    fn client(&self, endpoint: Endpoint, timing: Timing) -> Result<Client, TransportError> {
        endpoint.check_connect()?;
        let (client, driver) = client::client(&timing);
        tokio::runtime::Handle::try_current()
            .map_err(std::io::Error::other)?
            .spawn(client::dealer::supervise(endpoint, timing, driver));
        Ok(client)
    }
}
