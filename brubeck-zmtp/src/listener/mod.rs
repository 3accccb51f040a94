//! Bound sockets: one listener and one accept loop for all of them.

mod bind;
mod limits;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::sleep;

pub use self::limits::{ConnectionLimits, ConnectionSlot, HandshakeSlot};

pub(crate) use self::bind::set_keepalive;

use self::bind::BoundSocket;
use self::limits::SlotTable;
use crate::{Endpoint, TransportError};

/// Pause after a failed accept. The usual cause is that the process is out of file descriptors; trying again at once would
/// keep one core busy.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound endpoint that accepts connections within limits.
///
/// TCP connections have keepalive, so that the system notices dead peers. The file of a Unix socket has mode 0600, and its
/// folder is created with mode 0700 if it is missing. Dropping the listener removes the file.
///
/// ```
/// use brubeck_zmtp::{Connection, ConnectionLimits, Listener, Role, SocketType, Traffic};
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
/// let listener = Listener::bind(
///     &"tcp://127.0.0.1:0".parse()?,
///     ConnectionLimits { max_connections: 100, max_connections_per_address: 10, max_handshakes: 10 },
/// )
/// .await?;
/// loop {
///     let accepted = listener.accept().await;
///     tokio::spawn(async move {
///         let mut connection = Connection::handshake(accepted.stream, &push, b"").await?;
///         drop(accepted.handshake_slot);
///         connection.writer.push_frame("hello".into());
///         connection.writer.flush().await.map_err(std::io::Error::other)
///         // `accepted.slot` is freed here.
///     });
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Listener {
    // Removed before the socket is closed: a process that binds next must not find a file without a listener, nor lose
    // its own.
    _file: Option<SocketFile>,
    socket: Socket,
    endpoint: Endpoint,
    concurrency: std::sync::Arc<SlotTable>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Ipc(UnixListener),
}

impl Listener {
    /// Binds `endpoint`.
    ///
    /// # Errors
    /// Returns an error if the endpoint is malformed, in use, or cannot be bound: see [`TransportError`].
    pub async fn bind(endpoint: &Endpoint, limits: ConnectionLimits) -> Result<Self, TransportError> {
        endpoint.check()?;
        Self::new(bind::bind(endpoint).await?, limits)
    }

    /// Binds `endpoint` from synchronous code. Blocks only if its host is a name to look up.
    ///
    /// # Errors
    /// Returns the errors of [`bind`](Self::bind).
    ///
    /// # Panics
    /// Panics outside of a tokio runtime.
    pub fn bind_blocking(endpoint: &Endpoint, limits: ConnectionLimits) -> Result<Self, TransportError> {
        endpoint.check()?;
        Self::new(bind::bind_blocking(endpoint)?, limits)
    }

    fn new(
        (socket, endpoint): (BoundSocket, Endpoint),
        limits: ConnectionLimits,
    ) -> Result<Self, TransportError> {
        let file = match &endpoint {
            Endpoint::Ipc(path) => Some(SocketFile(path.clone())),
            Endpoint::Tcp { .. } => None,
        };
        let socket = match socket {
            BoundSocket::Tcp(listener) => TcpListener::from_std(listener).map(Socket::Tcp),
            BoundSocket::Ipc(listener) => UnixListener::from_std(listener).map(Socket::Ipc),
        };
        let socket = socket.map_err(|source| TransportError::Bind {
            endpoint: endpoint.clone(),
            source,
        })?;
        Ok(Self {
            _file: file,
            socket,
            endpoint,
            concurrency: SlotTable::new(limits),
        })
    }

    /// Returns the endpoint as it was given, with the port that the system chose.
    pub fn local_endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Waits for a connection for which there is a slot. Cancel safe.
    ///
    /// Connections beyond the limits are closed. Errors of the system are logged, and accepting pauses for 100 ms.
    pub async fn accept(&self) -> Accepted {
        loop {
            let (stream, address) = match self.accept_stream().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(
                        endpoint = %self.endpoint,
                        %error,
                        "cannot accept a connection, retrying in {ACCEPT_PAUSE:?}"
                    );
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if let Some((slot, handshake_slot)) = self.concurrency.acquire(address) {
                return Accepted {
                    stream,
                    address,
                    slot,
                    handshake_slot,
                };
            }
            tracing::debug!(endpoint = %self.endpoint, ?address, "closed a connection beyond the limits");
        }
    }

    async fn accept_stream(&self) -> io::Result<(Stream, Option<IpAddr>)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Small messages would wait for the acknowledgement of those before. Fails only if the peer has closed
                // the connection already.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), Some(address.ip())))
            }
            Socket::Ipc(listener) => Ok((Stream::Ipc(listener.accept().await?.0), None)),
        }
    }
}

/// A connection that a [`Listener`] accepted.
#[derive(Debug)]
pub struct Accepted {
    /// The stream, before the handshake.
    pub stream: Stream,
    /// The address of the peer, if it came over TCP.
    pub address: Option<IpAddr>,
    /// Keep this as long as the connection.
    pub slot: ConnectionSlot,
    /// Keep this until the handshake is complete.
    pub handshake_slot: HandshakeSlot,
}

/// A stream to a peer.
#[derive(Debug)]
pub enum Stream {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A connection over a Unix socket.
    Ipc(UnixStream),
}

/// The file of a Unix socket. Removed when dropped.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(file = %self.0.display(), %error, "cannot remove a socket file");
        }
    }
}
