//! Connections that we make: how they are opened, read and written.
//!
//! They are our own, because the sockets of the `zeromq` crate read and write one message at a time, each by way of another
//! task, and believe every length that a peer announces.

use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout, timeout_at};

use super::super::Endpoint;
use super::listener::keep_alive;
use super::quiet::Quiet;
use super::router::frames::{Decoder, FrameLimits, Said};
use super::router::output::Output;
use super::socket::random_name;
use super::zmtp::handshake;

/// Bytes read at once: few from a peer that is mostly idle, more while it fills them.
pub(super) const FIRST_CHUNK: usize = 2 << 10;
pub(super) const LARGEST_CHUNK: usize = 64 << 10;

pub(super) const CLOSED: &str = "the peer closed the connection";

/// What a connection is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Role {
    /// What we are.
    pub(super) ours: &'static str,
    /// What the peer may be.
    pub(super) theirs: &'static [&'static str],
    /// What the peer may send.
    pub(super) limits: FrameLimits,
    /// Bytes read at once from a peer that is mostly idle.
    pub(super) chunk: usize,
    /// Whether next to nothing comes from the peer.
    pub(super) only_sends: bool,
}

/// A socket with one peer.
pub(super) struct Socket {
    pub(super) incoming: Incoming,
    pub(super) writer: Box<dyn AsyncWrite + Send + Unpin>,
    pub(super) output: Output,
}

/// The reading half of a socket.
pub(super) struct Incoming {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    input: BytesMut,
    chunk: usize,
    least: usize,
    decoder: Decoder,
}

impl Incoming {
    /// What the peer says next; fails, with the reason, where the connection has ended. Nothing is lost when the future is
    /// dropped.
    pub(super) async fn next(&mut self) -> Result<Said, String> {
        loop {
            if let Some(said) = self.here()? {
                return Ok(said);
            }
            if self.input.is_empty() && self.input.capacity() > LARGEST_CHUNK.min(2 * self.chunk) {
                // An idle peer keeps no large buffer.
                self.input = BytesMut::new();
            }
            self.input.reserve(self.chunk);
            match self.reader.read_buf(&mut self.input).await {
                Ok(0) => return Err(CLOSED.to_owned()),
                Ok(count) => self.came(count),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// The same if it is here already.
    pub(super) fn here(&mut self) -> Result<Option<Said>, String> {
        self.decoder
            .next(&mut self.input)
            .map_err(|violation| violation.to_string())
    }

    fn came(&mut self, count: usize) {
        self.chunk = match count >= self.chunk {
            true => (self.chunk * 2).min(LARGEST_CHUNK),
            false => count.next_power_of_two().clamp(self.least, self.chunk),
        };
    }

    /// Reads on until the peer has closed, too: closing while its bytes wait unread would reset the connection and destroy
    /// the last messages to it. A peer that goes on sending is closed on.
    pub(super) async fn discard(&mut self, until: Instant) {
        let drained = async {
            while self
                .reader
                .read_buf(&mut self.input)
                .await
                .is_ok_and(|count| count > 0)
            {
                self.input.clear();
            }
        };
        let _ = timeout_at(until, drained).await;
    }
}

impl Socket {
    /// Connects within so much time, handshake included.
    pub(super) async fn connect(endpoint: &Endpoint, role: Role, limit: Duration) -> io::Result<Socket> {
        timeout(limit, Socket::introduced(endpoint, role))
            .await
            .unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    }

    async fn introduced(endpoint: &Endpoint, role: Role) -> io::Result<Socket> {
        // A new socket gets a new name that nobody can guess, so that the server never mistakes it for the one before.
        let identity = random_name()?;
        let Role {
            ours, theirs, limits, ..
        } = role;
        let (reader, writer): (
            Box<dyn AsyncRead + Send + Unpin>,
            Box<dyn AsyncWrite + Send + Unpin>,
        ) = match endpoint {
            Endpoint::Tcp { host, port } => {
                let mut stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                keep_alive(&SockRef::from(&stream))?;
                handshake(&mut stream, ours, identity.as_bytes(), theirs).await?;
                let (reader, writer) = stream.into_split();
                (Box::new(reader), Box::new(writer))
            }
            Endpoint::Ipc(path) if role.only_sends => {
                let mut stream = Quiet::new(UnixStream::connect(path).await?)?;
                handshake(&mut stream, ours, identity.as_bytes(), theirs).await?;
                let (reader, writer) = tokio::io::split(stream);
                (Box::new(reader), Box::new(writer))
            }
            Endpoint::Ipc(path) => {
                let mut stream = UnixStream::connect(path).await?;
                handshake(&mut stream, ours, identity.as_bytes(), theirs).await?;
                let (reader, writer) = stream.into_split();
                (Box::new(reader), Box::new(writer))
            }
        };
        Ok(Socket {
            incoming: Incoming {
                reader,
                input: BytesMut::new(),
                chunk: role.chunk,
                least: role.chunk,
                decoder: Decoder::new(limits),
            },
            writer,
            output: Output::default(),
        })
    }

    /// The next message; heartbeats are answered. Not to be dropped half-way, unless the connection is given up.
    pub(super) async fn message(&mut self) -> Result<Vec<Bytes>, String> {
        loop {
            match self.incoming.next().await? {
                Said::Message(frames) => return Ok(frames),
                Said::Ping(answer) => self
                    .writer
                    .write_all(&answer)
                    .await
                    .map_err(|error| error.to_string())?,
            }
        }
    }
}
