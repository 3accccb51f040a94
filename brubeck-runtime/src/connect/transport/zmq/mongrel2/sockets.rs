//! The two connections to a Mongrel2, a PULL and an XPUB: how they are opened, read and written.
//!
//! They are our own, because the sockets of the `zeromq` crate read and write one message at a time, each by way of another
//! task: half of what a request would cost.

use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::super::super::{Endpoint, Timing};
use super::super::router::frames::{Decoder, FrameLimits, Said};
use super::super::router::output::Output;
use super::super::socket::random_name;
use super::super::zmtp::handshake;

pub(super) const CLOSED: &str = "Mongrel2 closed the connection";

/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// The longest message: Mongrel2 counts no longer bodies, and memory grows only with what comes.
const LONGEST: usize = (1 << 31) + (1 << 20);

/// One connection to a Mongrel2.
pub(super) struct Sockets {
    pub(super) requests: Socket,
    pub(super) replies: Socket,
    pub(super) recv_ident: Bytes,
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
    decoder: Decoder,
}

impl Incoming {
    /// What the peer says next. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Said, String> {
        loop {
            match self.decoder.next(&mut self.input) {
                Ok(Some(said)) => return Ok(said),
                Ok(None) => {}
                Err(violation) => return Err(violation.to_string()),
            }
            self.input.reserve(CHUNK);
            match self.reader.read_buf(&mut self.input).await {
                Ok(0) => return Err(CLOSED.to_owned()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

impl Socket {
    async fn connect(endpoint: &Endpoint, socket_type: &str, wanted: &str) -> io::Result<Socket> {
        // A new socket gets a new name that nobody can guess, so that the server never mistakes it for the one before.
        let identity = random_name()?;
        let (reader, writer): (
            Box<dyn AsyncRead + Send + Unpin>,
            Box<dyn AsyncWrite + Send + Unpin>,
        ) = match endpoint {
            Endpoint::Tcp { host, port } => {
                let mut stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                handshake(&mut stream, socket_type, identity.as_bytes(), wanted).await?;
                let (reader, writer) = stream.into_split();
                (Box::new(reader), Box::new(writer))
            }
            Endpoint::Ipc(path) => {
                let mut stream = UnixStream::connect(path).await?;
                handshake(&mut stream, socket_type, identity.as_bytes(), wanted).await?;
                let (reader, writer) = stream.into_split();
                (Box::new(reader), Box::new(writer))
            }
        };
        let decoder = Decoder::new(FrameLimits {
            message_bytes: LONGEST,
            frames: 2,
        });
        Ok(Socket {
            incoming: Incoming {
                reader,
                input: BytesMut::new(),
                decoder,
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

/// Connects the replies first, and the requests only once Mongrel2 is known to listen to the replies.
pub(super) async fn connect(
    send_spec: Endpoint,
    recv_spec: Endpoint,
    timing: Timing,
) -> Result<Sockets, String> {
    let mut replies = in_time(timing.connect, Socket::connect(&recv_spec, "XPUB", "SUB"))
        .await
        .map_err(|error| format!("recv_spec {recv_spec}: {error}"))?;
    let recv_ident = subscription(&mut replies, timing.subscription)
        .await
        .map_err(|why| {
            format!("recv_spec {recv_spec}: {why}; it must be the address Mongrel2 receives replies on")
        })?;
    let requests = in_time(timing.connect, Socket::connect(&send_spec, "PULL", "PUSH"))
        .await
        .map_err(|error| format!("send_spec {send_spec}: {error}"))?;
    Ok(Sockets {
        requests,
        replies,
        recv_ident,
    })
}

async fn in_time(limit: Duration, connected: impl Future<Output = io::Result<Socket>>) -> io::Result<Socket> {
    let connected = timeout(limit, connected).await;
    connected.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

/// Waits for Mongrel2 to say which replies it wants.
async fn subscription(replies: &mut Socket, limit: Duration) -> Result<Bytes, String> {
    let subscribed = async {
        loop {
            let frames = replies.message().await?;
            let mut frame = frames.into_iter().next().unwrap_or_default();
            if frame.first() == Some(&1) {
                return Ok(frame.split_off(1));
            }
        }
    };
    timeout(limit, subscribed)
        .await
        .unwrap_or_else(|_| Err(format!("Mongrel2 did not subscribe within {limit:?}")))
}
