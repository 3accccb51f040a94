//! Connections to peers, over TCP or a Unix socket.

mod connect;
mod handshake;
mod read_only_interest;
mod reader;
mod writer;

use std::fmt;
use std::io;

use brubeck_sockets::SocketPath;
use bytes::Bytes;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};

pub use self::reader::FrameReader;
pub use self::writer::FrameWriter;

pub(crate) use self::handshake::{exchange_greeting, read_ready, send_ready};

use self::connect::connect_tcp;
use self::handshake::client_handshake;
use self::read_only_interest::ReadOnlyInterestStream;
use crate::Endpoint;
use crate::codec::{Decoded, FrameDecoder, FrameLimits, SocketType, Violation};
use crate::listener::{PeerStream, set_keepalive};
use crate::watchdog::WatchedStream;

/// Our socket type on a connection, the socket types that the peer may have, and the limits on its messages.
///
/// ```
/// use brubeck_zmtp::codec::FrameLimits;
/// use brubeck_zmtp::{Role, SocketType, Traffic};
///
/// const PULL: Role = Role {
///     socket_type: SocketType::Pull,
///     accepted: &[SocketType::Push],
///     limits: FrameLimits { max_message_bytes: 1 << 20, max_frames: 16 },
///     traffic: Traffic::Inbound,
/// };
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Role {
    /// Our socket type.
    pub socket_type: SocketType,
    /// Socket types that the peer may have.
    pub accepted: &'static [SocketType],
    /// Limits on what the peer sends.
    pub limits: FrameLimits,
    /// The direction of most messages.
    pub traffic: Traffic,
}

/// The direction of most messages on a connection.
///
/// It selects buffer sizes and how the socket is registered for readiness. Messages may be sent in both directions
/// regardless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Messages go in both directions.
    Both,
    /// Almost all messages come from the peer.
    Inbound,
    /// Almost all messages go to the peer.
    Outbound,
}

type BoxedRead = Box<dyn AsyncRead + Send + Unpin>;
type BoxedWrite = Box<dyn AsyncWrite + Send + Unpin>;

/// A connection to one peer, after the handshake.
///
/// The halves are public, so that one task can wait for both at the same time.
pub struct ZmtpConnection {
    /// Reads from the peer.
    pub reader: FrameReader<BoxedRead>,
    /// Writes to the peer.
    pub writer: FrameWriter<BoxedWrite>,
}

impl ZmtpConnection {
    /// Connects to `endpoint` and completes the handshake with a new random identity.
    ///
    /// A new identity for each connection ensures that a server does not confuse the connection with an earlier one.
    ///
    /// # Errors
    /// Returns an error if the connection or the handshake fails, or if the operating system provides no random bytes. This
    /// function has no timeout; [`run_link`](crate::run_link) adds one.
    pub async fn connect(endpoint: &Endpoint, role: &Role) -> io::Result<Self> {
        let stream = PeerStream::connect(endpoint).await?;
        Self::handshake(stream, role, random_identity()?.as_bytes()).await
    }

    /// Completes the handshake on `stream`. The `identity` may be empty, and is truncated to 255 bytes. This function has no
    /// timeout.
    ///
    /// # Errors
    /// Returns an error if the connection is lost, if the peer violates the protocol, or if its socket type is not accepted for
    /// `role`.
    pub async fn handshake(stream: PeerStream, role: &Role, identity: &[u8]) -> io::Result<Self> {
        let (reader, writer): (BoxedRead, BoxedWrite) = match stream {
            PeerStream::Tcp(mut stream) => {
                client_handshake(&mut stream, role.socket_type, identity, role.accepted).await?;
                let (reader, writer) = stream.into_split();
                (Box::new(reader), Box::new(writer))
            }
            PeerStream::Ipc(stream) if role.traffic == Traffic::Outbound => {
                let mut stream = ReadOnlyInterestStream::new(stream.into_inner())?;
                client_handshake(&mut stream, role.socket_type, identity, role.accepted).await?;
                let (reader, writer) = tokio::io::split(stream);
                (Box::new(reader), Box::new(writer))
            }
            PeerStream::Ipc(mut stream) => {
                client_handshake(&mut stream, role.socket_type, identity, role.accepted).await?;
                let (reader, writer) = stream.into_split();
                (Box::new(reader), Box::new(writer))
            }
            PeerStream::Wrapped(mut stream) => {
                client_handshake(&mut stream, role.socket_type, identity, role.accepted).await?;
                let (reader, writer) = tokio::io::split(stream);
                (Box::new(reader), Box::new(writer))
            }
        };
        let decoder = match role.socket_type {
            SocketType::Pub | SocketType::XPub => FrameDecoder::with_subscriptions(role.limits),
            _ => FrameDecoder::new(role.limits),
        };
        let mut reader = FrameReader::new(reader, decoder);
        if role.traffic == Traffic::Inbound {
            reader.use_large_chunks();
        }
        Ok(Self {
            reader,
            writer: FrameWriter::new(writer),
        })
    }

    /// Writes everything that was pushed to the writer, then waits for the next message, and answers heartbeats. This method is
    /// cancel safe.
    ///
    /// # Errors
    /// Returns an error if the connection has ended, or if the peer violated the protocol or a limit.
    pub async fn recv(&mut self) -> Result<Vec<Bytes>, ConnectionError> {
        loop {
            // A cancelled call may have left a `PONG` in the buffer.
            self.writer.flush().await?;
            match self.reader.next().await? {
                Decoded::Message(frames) => return Ok(frames),
                Decoded::Ping { pong } => self.writer.push_pong(&pong),
            }
        }
    }
}

impl PeerStream {
    /// Connects to `endpoint`, without a handshake. Has no timeout.
    pub(crate) async fn connect(endpoint: &Endpoint) -> io::Result<Self> {
        match endpoint {
            Endpoint::Tcp { host, port } => {
                let stream = connect_tcp(host, *port).await?;
                stream.set_nodelay(true)?;
                set_keepalive(&SockRef::from(&stream))?;
                Ok(Self::Tcp(WatchedStream::new(stream)))
            }
            Endpoint::Ipc(path) => Ok(Self::Ipc(WatchedStream::new(
                SocketPath::new(path)?.connect().await?,
            ))),
        }
    }
}

impl fmt::Debug for ZmtpConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZmtpConnection").finish_non_exhaustive()
    }
}

/// Creates an unguessable identity: 16 random bytes as 32 hexadecimal digits.
///
/// # Errors
/// Returns an error if the operating system provides no random bytes.
pub fn random_identity() -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(format!("{:032x}", u128::from_be_bytes(random)))
}

/// The reason why a connection ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The peer closed the connection.
    Closed,
    /// The peer violated the protocol or a limit.
    Violation(Violation),
    /// The peer accepted no bytes for the write stall timeout while messages to it were waiting.
    Stalled,
    /// This side disconnected the peer.
    Abandoned,
    /// The peer was not [admitted](crate::ServerSender::admit) in time, or its place was given to another one.
    NotAdmitted,
    /// The operating system reported an error.
    Io(io::Error),
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the peer closed the connection"),
            Self::Violation(violation) => violation.fmt(f),
            Self::Stalled => f.write_str("the peer does not read its messages"),
            Self::Abandoned => f.write_str("disconnected by this side"),
            Self::NotAdmitted => f.write_str("the peer was not admitted"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConnectionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Closed | Self::Stalled | Self::Abandoned | Self::NotAdmitted => None,
            Self::Violation(violation) => Some(violation),
            Self::Io(error) => Some(error),
        }
    }
}

impl From<io::Error> for ConnectionError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Violation> for ConnectionError {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}
