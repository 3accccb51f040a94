//! Bound sockets and their accept loop.

mod bind;
mod limits;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use brubeck_sockets::{CHECK_INTERVAL, Listener, ListenerHandle, PeerSocket};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

pub use self::limits::{ConnectionLimits, ConnectionSlot, HandshakeSlot, source_address};

pub(crate) use self::bind::set_keepalive;

use self::limits::SlotTable;
use crate::watchdog::{WatchedStream, is_polled_directly, poll_direct, sleep, sleep_until};
use crate::{DuplexStream, Endpoint, TransportError};

/// Pause after a failed accept. The usual cause is that the process has no file descriptors left; retrying without a pause
/// would use a whole core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The mode of a socket file that only its user can connect to.
pub(crate) const OWNER_ONLY: u32 = 0o600;

/// A bound endpoint that accepts connections within limits.
///
/// Dead TCP peers are detected with keepalive, within about a minute. A host name is bound at every address that it has on this
/// machine.
///
/// The file of a Unix socket has mode 0600. If its directory is missing, the directory is created with mode 0700. A file that a dead
/// process left is replaced, and no other one. If the file is removed while the listener accepts, it binds the path again within a
/// few seconds. Dropping the listener removes the file, if it is still its own.
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
    sockets: Listener,
    endpoint: Endpoint,
    slots: Arc<SlotTable>,
    /// The time at which the socket file is looked at. An accept that is cancelled must not put it off.
    next_check: Mutex<Instant>,
}

impl ZmtpListener {
    /// Binds `endpoint`.
    ///
    /// # Errors
    /// Returns an error if the endpoint is malformed, in use, or cannot be bound: see [`TransportError`].
    pub async fn bind(endpoint: &Endpoint, limits: ConnectionLimits) -> Result<Self, TransportError> {
        Self::bind_with_mode(endpoint, limits, OWNER_ONLY).await
    }

    /// Binds `endpoint`. The file of a Unix socket gets this mode.
    pub(crate) async fn bind_with_mode(
        endpoint: &Endpoint,
        limits: ConnectionLimits,
        mode: u32,
    ) -> Result<Self, TransportError> {
        endpoint.check()?;
        let (sockets, endpoint) = bind::bind(endpoint, mode).await?;
        Ok(Self::new(sockets, endpoint, limits))
    }

    /// Binds `endpoint` from synchronous code. Blocks only while it resolves a host name, or while another process binds a socket in
    /// the same folder.
    ///
    /// # Errors
    /// Returns the errors of [`bind`](Self::bind).
    ///
    /// # Panics
    /// Panics if it is called outside of a tokio runtime.
    pub fn bind_blocking(endpoint: &Endpoint, limits: ConnectionLimits) -> Result<Self, TransportError> {
        endpoint.check()?;
        let (sockets, endpoint) = bind::bind_blocking(endpoint, OWNER_ONLY)?;
        Ok(Self::new(sockets, endpoint, limits))
    }

    /// Accepts connections from sockets that are bound already, such as those that another process passed.
    ///
    /// # Errors
    /// Returns an error if the options of the sockets cannot be set.
    pub fn from_sockets(sockets: Listener, limits: ConnectionLimits) -> Result<Self, TransportError> {
        sockets.configure(set_keepalive)?;
        let endpoint = match sockets.addresses().first() {
            Some(address) => Endpoint::Tcp {
                host: address.ip().to_string(),
                port: address.port(),
            },
            None => Endpoint::Ipc(sockets.path().map_or_else(|| "unnamed".into(), Path::to_owned)),
        };
        Ok(Self::new(sockets, endpoint, limits))
    }

    fn new(sockets: Listener, endpoint: Endpoint, limits: ConnectionLimits) -> Self {
        Self {
            sockets,
            endpoint,
            slots: SlotTable::new(limits),
            next_check: Mutex::new(Instant::now() + CHECK_INTERVAL),
        }
    }

    /// Returns a handle that closes the listener: its endpoint is free then, and [`accept`](Self::accept) does not return any more.
    pub fn handle(&self) -> ListenerHandle {
        self.sockets.handle()
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
        let accepted = tokio::select! {
            accepted = poll_fn(|cx| {
                if is_polled_directly() {
                    poll_direct(|| self.sockets.try_accept())
                } else {
                    self.sockets.poll_accept(cx)
                }
            }) => accepted?,
            never = self.keep_name() => match never {},
        };
        Ok(match accepted {
            PeerSocket::Tcp(stream, address) => {
                // Otherwise small messages wait for the acknowledgement of earlier ones. This fails only if the peer has
                // already closed the connection.
                let _ = stream.set_nodelay(true);
                (PeerStream::Tcp(WatchedStream::new(stream)), Some(address.ip()))
            }
            PeerSocket::Unix(stream) => (PeerStream::Ipc(WatchedStream::new(stream)), None),
        })
    }

    /// Binds the path of a Unix socket again if its file is removed.
    async fn keep_name(&self) -> Infallible {
        if !self.sockets.has_name() {
            return std::future::pending().await;
        }
        loop {
            let next = *self.next_check.lock().unwrap_or_else(PoisonError::into_inner);
            sleep_until(next).await;
            self.sockets.check();
            *self.next_check.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + CHECK_INTERVAL;
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
