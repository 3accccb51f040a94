//! A place between a socket and ZMTP, for encryption and authentication.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use brubeck_sockets::Listener;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;

use crate::client::{client_channel, run_client};
use crate::listener::PeerStream;
use crate::server::{bind_server, serve_sockets};
use crate::watchdog;
use crate::{DealerClient, Endpoint, LinkConfig, RouterServer, ServerLimits, Transport, TransportError};

/// A stream in both directions.
///
/// It may buffer what is written to it until it is flushed. [`FrameWriter`](crate::FrameWriter) flushes it after each batch.
pub trait DuplexStream: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug> DuplexStream for S {}

/// Wraps the streams of connections before the ZMTP handshake, for example to encrypt them and to authenticate the peers.
///
/// ```
/// use brubeck_zmtp::{Endpoint, LinkConfig, PeerStream, StreamWrapper, Transport, WrappedStream, WrappedZmtp};
/// use futures_util::future::BoxFuture;
/// use std::{io, net::IpAddr, sync::Arc};
///
/// /// Admits the peers of one address only.
/// #[derive(Debug)]
/// struct Admit(IpAddr);
///
/// impl StreamWrapper for Admit {
///     fn connect<'a>(&'a self, stream: PeerStream, _: &'a Endpoint) -> BoxFuture<'a, io::Result<PeerStream>> {
///         Box::pin(async move { Ok(stream) })
///     }
///
///     fn accept(&self, stream: PeerStream, address: Option<IpAddr>) -> BoxFuture<'_, io::Result<WrappedStream>> {
///         Box::pin(async move {
///             if address != Some(self.0) {
///                 return Err(io::Error::other("the address is not admitted"));
///             }
///             Ok(WrappedStream { stream, credentials: Some("admitted".into()) })
///         })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let transport = WrappedZmtp::new(Arc::new(Admit([127, 0, 0, 1].into())));
/// let client = transport.client("tcp://127.0.0.1:9000".parse()?, LinkConfig::default())?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
pub trait StreamWrapper: Send + Sync + fmt::Debug + 'static {
    /// Wraps a stream to a server. The future is dropped after [`LinkConfig::connect_timeout`].
    ///
    /// # Errors
    /// An error fails the attempt to connect. It is logged and is the [last error](crate::ClientSender::last_error) of the
    /// client.
    fn connect<'a>(
        &'a self,
        stream: PeerStream,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, io::Result<PeerStream>>;

    /// Wraps a stream that a server has accepted. `address` is `None` for a Unix socket. The future is dropped after
    /// [`ServerLimits::handshake_timeout`].
    ///
    /// # Errors
    /// An error closes the connection. It is logged at level `DEBUG` only, because strangers can cause it.
    fn accept(&self, stream: PeerStream, address: Option<IpAddr>)
    -> BoxFuture<'_, io::Result<WrappedStream>>;

    /// Explains an error of the ZMTP handshake that follows [`connect`](Self::connect), for example if a server refuses a
    /// client only after the client considers the stream open. Returns the error by default.
    fn explain(&self, error: io::Error) -> io::Error {
        error
    }
}

/// A stream that a [`StreamWrapper`] accepted.
#[derive(Debug)]
pub struct WrappedStream {
    /// The stream to the peer.
    pub stream: PeerStream,
    /// What the wrapper has proven about the peer, in any form: reported in
    /// [`ServerEvent::Verified`](crate::ServerEvent::Verified). `None` if it has proven nothing.
    pub credentials: Option<Bytes>,
}

/// [`Zmtp`](crate::Zmtp), with the streams of all connections wrapped. See [`StreamWrapper`] for an example.
#[derive(Clone, Debug)]
pub struct WrappedZmtp(Arc<dyn StreamWrapper>);

impl WrappedZmtp {
    /// Creates a transport from a wrapper.
    pub fn new(wrapper: Arc<dyn StreamWrapper>) -> Self {
        Self(wrapper)
    }

    /// Starts a server at sockets that are bound already, such as those that another process passed.
    ///
    /// # Errors
    /// Returns an error if the options of the sockets cannot be set.
    pub fn server_at(&self, sockets: Listener, limits: ServerLimits) -> Result<RouterServer, TransportError> {
        serve_sockets(sockets, limits, Some(self.0.clone()))
    }
}

impl Transport for WrappedZmtp {
    fn server(
        &self,
        endpoint: Endpoint,
        limits: ServerLimits,
    ) -> BoxFuture<'_, Result<RouterServer, TransportError>> {
        Box::pin(async move { bind_server(&endpoint, limits, Some(self.0.clone())).await })
    }

    fn client(&self, endpoint: Endpoint, config: LinkConfig) -> Result<DealerClient, TransportError> {
        endpoint.check_connect()?;
        Handle::try_current().map_err(io::Error::other)?;
        let (client, driver) = client_channel(&config);
        watchdog::spawn(run_client(
            endpoint.with_absolute_path(),
            config,
            driver,
            Some(self.0.clone()),
        ));
        Ok(client)
    }
}
