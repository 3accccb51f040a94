//! The gate in front of a bound socket that strangers can reach.
//!
//! The crate behind believes every byte it reads: nine of them make it allocate until the process is killed, a silent
//! connection is kept for ever, a second peer with the same identity takes the first one's replies, a heartbeat is an
//! error. So the gate accepts in its place, checks the handshake and every frame header, and passes on what is sound,
//! through a Unix socket in a folder only this process's user can enter. It also knows what each peer has really taken,
//! which bounds what waits for a peer that does not read.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use self::accounts::{Accounts, Opened};
use self::caps::{Caps, HandshakePlace, Place};
use self::frames::Violation;
use self::handshake::{greet, introduce};
use super::Limits;

mod accounts;
mod caps;
mod frames;
mod handshake;
mod pump;

/// How long the gate waits when the system has no file descriptor for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Where peers come in.
pub(crate) enum Door {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Who came in.
enum Arrival {
    Tcp(TcpStream, IpAddr),
    Unix(UnixStream),
}

impl Door {
    async fn accept(&self) -> io::Result<Arrival> {
        match self {
            Self::Tcp(listener) => {
                let (peer, address) = listener.accept().await?;
                // It fails only if the peer is gone already.
                let _ = peer.set_nodelay(true);
                Ok(Arrival::Tcp(peer, address.ip()))
            }
            Self::Unix(listener) => Ok(Arrival::Unix(listener.accept().await?.0)),
        }
    }
}

/// An open gate. Dropped, it closes with every connection that goes through it.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) accounts: Arc<Accounts>,
    closing: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Gate {
    /// Opens a gate: who comes through `door` is passed on to the socket at `inner`, and named by `name` if nameless.
    pub(crate) fn open(
        door: Door,
        inner: Arc<Path>,
        limits: Limits,
        name: fn() -> io::Result<String>,
    ) -> Self {
        let accounts = Arc::new(Accounts::default());
        let (closing, closed) = watch::channel(false);
        let keeper = Arc::new(Keeper {
            inner,
            caps: Caps::new(&limits),
            limits,
            accounts: accounts.clone(),
            name,
        });
        let task = tokio::spawn(keeper.keep(door, closed));
        Self {
            accounts,
            closing,
            task,
        }
    }

    /// Lets nobody in any more.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Waits until everybody has left.
    pub(crate) async fn left(&mut self) {
        // A gate that panicked has nobody in it either.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Keeper {
    inner: Arc<Path>,
    limits: Limits,
    caps: Arc<Caps>,
    accounts: Arc<Accounts>,
    name: fn() -> io::Result<String>,
}

impl Keeper {
    async fn keep(self: Arc<Self>, door: Door, mut closed: watch::Receiver<bool>) {
        let mut inside = JoinSet::new();
        loop {
            tokio::select! {
                came = door.accept() => match came {
                    Ok(Arrival::Tcp(peer, address)) => self.let_in(peer, Some(address), &mut inside),
                    Ok(Arrival::Unix(peer)) => self.let_in(peer, None, &mut inside),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection; pausing");
                        sleep(PAUSE).await;
                    }
                },
                Some(_) = inside.join_next() => {}
                _ = closed.changed() => break,
            }
        }
        drop(door);
        while inside.join_next().await.is_some() {}
    }

    /// Lets a connection in, if there is a place.
    fn let_in<S>(self: &Arc<Self>, peer: S, address: Option<IpAddr>, inside: &mut JoinSet<()>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some((place, handshaking)) = self.caps.admit(address) else {
            tracing::debug!(
                ?address,
                "refused a connection: there are as many as the limits allow"
            );
            return;
        };
        let keeper = self.clone();
        inside.spawn(async move {
            if let Err(refusal) = keeper.attend(peer, place, handshaking).await {
                tracing::debug!(?address, %refusal, "closed a connection");
            }
        });
    }

    async fn attend<S>(&self, mut peer: S, _place: Place, handshaking: HandshakePlace) -> Result<(), Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let introduced = timeout(self.limits.handshake, self.introduce(&mut peer)).await;
        let (opened, inner) = introduced.map_err(|_| Refusal::Silent)??;
        drop(handshaking);
        pump::pump(peer, inner, &opened.account, &self.limits).await
    }

    /// Completes the handshake with a peer, and the one for it with the socket behind.
    async fn introduce<S>(&self, peer: &mut S) -> Result<(Opened, UnixStream), Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut hello = greet(peer).await?;
        if hello.identity.is_empty() {
            hello.identity = Bytes::from((self.name)()?);
        }
        let opened = self
            .accounts
            .open(hello.identity.clone())
            .ok_or(Refusal::Identity)?;
        let mut inner = self.connect().await?;
        let ready = introduce(&mut inner, &hello).await?;
        peer.write_all(&ready).await?;
        Ok((opened, inner))
    }

    async fn connect(&self) -> io::Result<UnixStream> {
        loop {
            match UnixStream::connect(&self.inner).await {
                // The socket behind has not accepted those before yet. The handshake's time limits this loop.
                Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(Duration::from_millis(1)).await,
                connected => return connected,
            }
        }
    }
}

/// Why a connection is closed.
#[derive(Debug)]
enum Refusal {
    /// It did not finish its handshake in time.
    Silent,
    /// It does not speak as it must.
    Protocol(&'static str),
    /// It broke a rule after the handshake.
    Violation(Violation),
    /// Another living peer has its identity.
    Identity,
    /// It does not read what it is sent.
    Stalled,
    /// The server wants it gone.
    Cut,
    /// The connection failed.
    Io(io::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("it did not finish its handshake within Limits::handshake"),
            Self::Protocol(why) => f.write_str(why),
            Self::Violation(violation) => violation.fmt(f),
            Self::Identity => f.write_str("a connected peer has the same identity"),
            Self::Stalled => f.write_str("it took no byte for as long as Limits::write_stall"),
            Self::Cut => f.write_str("the server cut it off"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}
