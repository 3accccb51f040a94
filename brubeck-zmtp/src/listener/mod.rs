//! Bound sockets and their accept loop.

mod bind;
mod limits;

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

pub use self::limits::{ConnectionLimits, ConnectionSlot, HandshakeSlot, source_address};

pub(crate) use self::bind::set_keepalive;

use self::bind::BoundSocket;
use self::limits::SlotTable;
use crate::watchdog::{WatchedStream, is_polled_directly, poll_direct, sleep};
use crate::{DuplexStream, Endpoint, TransportError};

/// Pause after a failed accept. The usual cause is that the process has no file descriptors left; retrying without a pause
/// would use a whole core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound endpoint that accepts connections within limits.
///
/// Dead TCP peers are detected with keepalive, within about a minute. The file of a Unix socket has mode 0600. If its directory is
/// missing, the directory is created with mode 0700. Dropping the listener removes the file.
///
/// ```
/// use brubeck_zmtp::{ZmtpConnection, ConnectionLimits, ZmtpListener, Role, SocketType, Traffic};
/// # use brubeck_zmtp::codec::FrameLimits;
///
/// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
/// # let limits = FrameLimits { max_message_bytes: 1 << 20, max_frames: 16 };
/// let push = Role {
///     socket_type: SocketType::Push,
///     accepted: &[SocketType::Pull],
///     limits,
///     traffic: Traffic::Outbound,
/// };
/// let listener = ZmtpListener::bind(
///     &"tcp://127.0.0.1:0".parse()?,
///     ConnectionLimits { max_connections: 100, max_connections_per_address: 10, max_handshakes: 10 },
/// )
/// .await?;
/// loop {
///     let accepted = listener.accept().await;
///     tokio::spawn(async move {
///         let mut connection = ZmtpConnection::handshake(accepted.stream, &push, b"").await?;
///         drop(accepted.handshake_slot);
///         connection.writer.push_frame("hello".into());
///         connection.writer.flush().await.map_err(std::io::Error::other)
///         // `accepted.slot` is released here.
///     });
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct ZmtpListener {
    // Declared before `socket`, so that the file is removed before the socket is closed. In the other order, another process
    // could bind the path in between, and its file would be removed.
    _file: Option<IpcSocketFile>,
    socket: ListenerSocket,
    endpoint: Endpoint,
    slots: Arc<SlotTable>,
}

#[derive(Debug)]
enum ListenerSocket {
    Tcp(TcpListener),
    Ipc(UnixListener),
}

impl ZmtpListener {
    /// Binds `endpoint`.
    ///
    /// # Errors
    /// Returns an error if the endpoint is malformed, in use, or cannot be bound: see [`TransportError`].
    pub async fn bind(endpoint: &Endpoint, limits: ConnectionLimits) -> Result<Self, TransportError> {
        endpoint.check()?;
        Self::new(bind::bind(endpoint).await?, limits)
    }

    /// Binds `endpoint` from synchronous code. Blocks only while it resolves a host name.
    ///
    /// # Errors
    /// Returns the errors of [`bind`](Self::bind).
    ///
    /// # Panics
    /// Panics if it is called outside of a tokio runtime.
    pub fn bind_blocking(endpoint: &Endpoint, limits: ConnectionLimits) -> Result<Self, TransportError> {
        endpoint.check()?;
        Self::new(bind::bind_blocking(endpoint)?, limits)
    }

    fn new(
        (socket, endpoint): (BoundSocket, Endpoint),
        limits: ConnectionLimits,
    ) -> Result<Self, TransportError> {
        let file = match &endpoint {
            Endpoint::Ipc(path) => Some(IpcSocketFile(path.clone())),
            Endpoint::Tcp { .. } => None,
        };
        let socket = match socket {
            BoundSocket::Tcp(listener) => TcpListener::from_std(listener).map(ListenerSocket::Tcp),
            BoundSocket::Ipc(listener) => UnixListener::from_std(listener).map(ListenerSocket::Ipc),
        };
        let socket = socket.map_err(|source| TransportError::Bind {
            endpoint: endpoint.clone(),
            source,
        })?;
        Ok(Self {
            _file: file,
            socket,
            endpoint,
            slots: SlotTable::new(limits),
        })
    }

    /// Returns the bound endpoint. If port 0 was requested, it has the port that the operating system chose.
    pub fn local_endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Waits for a connection within the limits. This method is cancel safe.
    ///
    /// Connections beyond the limits are closed, or take the place of others: see [`ConnectionLimits`]. If the operating system reports an error, it is logged, and accepting
    /// pauses for 100 ms.
    pub async fn accept(&self) -> AcceptedConnection {
        loop {
            let (stream, address) = match self.accept_stream().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(
                        endpoint = %self.endpoint,
                        %error,
                        retry_in = ?ACCEPT_PAUSE,
                        "accept failed, retrying"
                    );
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Without slots, the stream is dropped, which closes the connection.
            if let Some((slot, handshake_slot)) = self.slots.acquire(address) {
                return AcceptedConnection {
                    stream,
                    address,
                    slot,
                    handshake_slot,
                };
            }
            tracing::debug!(endpoint = %self.endpoint, ?address, "connection refused, a limit is reached");
        }
    }

    async fn accept_stream(&self) -> io::Result<(PeerStream, Option<IpAddr>)> {
        match &self.socket {
            ListenerSocket::Tcp(listener) => {
                let (stream, address) = poll_fn(|cx| {
                    if !is_polled_directly() {
                        return listener.poll_accept(cx);
                    }
                    let socket = SockRef::from(listener);
                    poll_direct(|| socket.accept()).map(|accepted| {
                        let (stream, address) = accepted?;
                        stream.set_nonblocking(true)?;
                        let address = address.as_socket().ok_or(ErrorKind::InvalidData)?;
                        Ok((TcpStream::from_std(stream.into())?, address))
                    })
                })
                .await?;
                // Otherwise small messages wait for the acknowledgement of earlier ones. This fails only if the peer has
                // already closed the connection.
                let _ = stream.set_nodelay(true);
                Ok((PeerStream::Tcp(WatchedStream::new(stream)), Some(address.ip())))
            }
            ListenerSocket::Ipc(listener) => {
                let stream = poll_fn(|cx| {
                    if !is_polled_directly() {
                        return listener.poll_accept(cx).map_ok(|(stream, _)| stream);
                    }
                    let socket = SockRef::from(listener);
                    poll_direct(|| socket.accept()).map(|accepted| {
                        let (stream, _) = accepted?;
                        stream.set_nonblocking(true)?;
                        UnixStream::from_std(stream.into())
                    })
                })
                .await?;
                Ok((PeerStream::Ipc(WatchedStream::new(stream)), None))
            }
        }
    }
}

/// A connection that a [`ZmtpListener`] accepted, before its handshake.
#[derive(Debug)]
pub struct AcceptedConnection {
    /// The stream to the peer.
    pub stream: PeerStream,
    /// The IP address of the peer. `None` for a Unix socket.
    pub address: Option<IpAddr>,
    /// The slot of the connection. Drop it when the connection ends.
    pub slot: ConnectionSlot,
    /// The slot of the handshake. Drop it when the handshake is complete or has failed, or when it is
    /// [evicted](HandshakeSlot::evicted).
    pub handshake_slot: HandshakeSlot,
}

/// A stream to a peer.
#[derive(Debug)]
pub enum PeerStream {
    /// A TCP connection.
    Tcp(WatchedStream<TcpStream>),
    /// A connection over a Unix socket.
    Ipc(WatchedStream<UnixStream>),
    /// A stream of a [`StreamWrapper`](crate::StreamWrapper).
    Wrapped(Box<dyn DuplexStream>),
}

/// The file of a Unix socket, which is removed on drop.
#[derive(Debug)]
struct IpcSocketFile(PathBuf);

impl Drop for IpcSocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(file = %self.0.display(), %error, "cannot remove the socket file");
        }
    }
}
