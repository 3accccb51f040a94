//! Connections that we make.

pub mod handshake;
pub mod input;
pub mod read_only_interest;
pub mod reader;
pub mod writer;

use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use self::handshake::introduce;
use self::read_only_interest::Quiet;
use self::reader::Incoming;
use self::writer::Output;
use crate::Endpoint;
use crate::codec::frames::{FrameLimits, Said};
use crate::listener::bind::keep_alive;

/// What a connection is to be.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    /// What we are.
    pub ours: &'static str,
    /// What the peer may be.
    pub theirs: &'static [&'static str],
    /// What the peer may send.
    pub limits: FrameLimits,
    pub traffic: Traffic,
}

/// What goes over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Messages both ways.
    Both,
    /// Almost nothing but what comes from the peer.
    In,
    /// Almost nothing but what is sent to the peer.
    Out,
}

/// A socket with one peer.
pub struct Socket {
    pub incoming: Incoming<Box<dyn AsyncRead + Send + Unpin>>,
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
    pub output: Output,
}

impl Socket {
    /// Connects within so much time, handshake included.
    pub async fn connect(endpoint: &Endpoint, role: Role, limit: Duration) -> io::Result<Socket> {
        timeout(limit, Socket::introduced(endpoint, role))
            .await
            .unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    }

    async fn introduced(endpoint: &Endpoint, role: Role) -> io::Result<Socket> {
        // A new socket gets a new name that nobody can guess, so that the server never mistakes it for the one before.
        let identity = random_name()?;
        let (reader, writer): (
            Box<dyn AsyncRead + Send + Unpin>,
            Box<dyn AsyncWrite + Send + Unpin>,
        ) = match endpoint {
            Endpoint::Tcp { host, port } => {
                let mut stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                keep_alive(&SockRef::from(&stream))?;
                introduce(&mut stream, role.ours, identity.as_bytes(), role.theirs).await?;
                let (reader, writer) = stream.into_split();
                (Box::new(reader), Box::new(writer))
            }
            Endpoint::Ipc(path) if role.traffic == Traffic::Out => {
                let mut stream = Quiet::new(UnixStream::connect(path).await?)?;
                introduce(&mut stream, role.ours, identity.as_bytes(), role.theirs).await?;
                let (reader, writer) = tokio::io::split(stream);
                (Box::new(reader), Box::new(writer))
            }
            Endpoint::Ipc(path) => {
                let mut stream = UnixStream::connect(path).await?;
                introduce(&mut stream, role.ours, identity.as_bytes(), role.theirs).await?;
                let (reader, writer) = stream.into_split();
                (Box::new(reader), Box::new(writer))
            }
        };
        let mut incoming = Incoming::new(reader, role.limits);
        if role.traffic == Traffic::In {
            incoming.expects_much();
        }
        Ok(Socket {
            incoming,
            writer,
            output: Output::default(),
        })
    }

    /// The next message; heartbeats are answered. Not to be dropped half-way, unless the connection is given up.
    pub async fn message(&mut self) -> Result<Vec<Bytes>, String> {
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

/// 16 random bytes as 32 hexadecimal digits.
pub fn random_name() -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(format!("{:032x}", u128::from_be_bytes(random)))
}
