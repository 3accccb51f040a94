//! The ROUTER behind a [`Server`](crate::Server).
//!
//! A bound socket is what strangers reach, and the crate believes every byte it reads: nine of them make it allocate until
//! the process is killed, a silent connection is kept for ever, a second peer with the same identity takes the first one's
//! replies, a heartbeat is an error. So this socket is our own. It checks the handshake and every frame header before it
//! makes room for what they announce, and knows what each peer has taken, which bounds what waits for one that does not
//! read. Each connection is one task on the runtime of the handlers, so no message changes threads on its way to them.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::codec::frames::Violation;
use crate::connection::handshake::{get_ready, greet, hear};
use crate::connection::random_name;
use crate::limits::LINGER;
use crate::link::shutdown::{Ask, Stop, closing};
use crate::listener::bind as listener;
use crate::listener::limits::{Caps, HandshakePlace, Place};
use crate::queue::events::{Inlet, inbox};
use crate::server::peers::{Connected, Peers};
use crate::{Endpoint, Limits, Peer, Server, ServerEvent, ServerOutbox, TransportError};

/// How long to wait when the system has no file descriptor for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Binds and starts serving.
pub async fn open(endpoint: Endpoint, limits: Limits) -> Result<Server, TransportError> {
    let (door, local) = Door::open(&endpoint).await?;
    let (inlet, inbound) = inbox(limits.inbound_messages, limits.inbound_bytes);
    let (closing, stop) = closing();
    let peers = Peers::new(&limits);
    let (outbound, dropped) = ServerOutbox::to(peers.clone());
    let router = Arc::new(Router {
        caps: Caps::new(&limits),
        limits,
        peers,
        inlet,
    });
    tokio::spawn(router.keep(door, stop, dropped));
    Ok(Server {
        local,
        inbound,
        outbound,
        closing,
    })
}

/// Where peers come in.
enum Door {
    Tcp(TcpListener),
    Ipc(UnixListener, PathBuf),
}

/// Who came in.
enum Arrival {
    Tcp(TcpStream, IpAddr),
    Ipc(UnixStream),
}

impl Door {
    async fn open(endpoint: &Endpoint) -> Result<(Self, Endpoint), TransportError> {
        let fail = |source| TransportError::Bind {
            endpoint: endpoint.clone(),
            source,
        };
        match endpoint {
            Endpoint::Tcp { host, port } => {
                let (listener, local) = listener::tcp(host, *port).await?;
                Ok((Self::Tcp(TcpListener::from_std(listener).map_err(fail)?), local))
            }
            Endpoint::Ipc(path) => {
                let listener = UnixListener::from_std(listener::ipc(path)?).map_err(fail)?;
                Ok((Self::Ipc(listener, path.clone()), endpoint.clone()))
            }
        }
    }

    async fn accept(&self) -> io::Result<Arrival> {
        match self {
            Self::Tcp(listener) => {
                let (peer, address) = listener.accept().await?;
                // It fails only if the peer is gone already.
                let _ = peer.set_nodelay(true);
                Ok(Arrival::Tcp(peer, address.ip()))
            }
            Self::Ipc(listener, _) => Ok(Arrival::Ipc(listener.accept().await?.0)),
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Before the listener: whoever binds next must not find a file that nobody serves, nor lose its own.
        if let Self::Ipc(_, file) = self
            && let Err(error) = std::fs::remove_file(&file)
        {
            tracing::debug!(file = %file.display(), %error, "a socket file stays behind");
        }
    }
}

/// What the connections share.
struct Router {
    caps: Arc<Caps>,
    limits: Limits,
    peers: Arc<Peers>,
    inlet: Inlet<ServerEvent>,
}

impl Router {
    /// Lets peers in until somebody asks for the end, or nobody is left who could use the socket; then lets what was
    /// accepted leave.
    async fn keep(self: Arc<Self>, door: Door, mut stop: Stop, mut dropped: mpsc::Receiver<Infallible>) {
        let mut inside = JoinSet::new();
        let ask = loop {
            tokio::select! {
                came = door.accept() => match came {
                    Ok(Arrival::Tcp(peer, address)) => self.let_in(peer, Some(address), &mut inside),
                    Ok(Arrival::Ipc(peer)) => self.let_in(peer, None, &mut inside),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection; pausing");
                        sleep(PAUSE).await;
                    }
                },
                Some(_) = inside.join_next() => {}
                _ = dropped.recv() => break None,
                () = self.inlet.closed() => break None,
                ask = stop.asked() => break Some(ask),
            }
        };
        drop(door);
        self.peers.close();
        let limit = ask.as_ref().map_or(LINGER, |ask: &Ask| ask.linger);
        let all_left = timeout(limit, async { while inside.join_next().await.is_some() {} })
            .await
            .is_ok();
        if let Some(ask) = ask {
            ask.done(all_left);
        }
    }

    /// Lets a connection in, if there is a place.
    fn let_in<S: Stream>(self: &Arc<Self>, peer: S, address: Option<IpAddr>, inside: &mut JoinSet<()>) {
        let Some((place, handshaking)) = self.caps.admit(address) else {
            tracing::debug!(
                ?address,
                "refused a connection: there are as many as the limits allow"
            );
            return;
        };
        let router = self.clone();
        inside.spawn(async move {
            if let Err(refusal) = router.attend(peer, place, handshaking).await {
                tracing::debug!(?address, %refusal, "closed a connection");
            }
        });
    }

    async fn attend<S: Stream>(
        &self,
        mut peer: S,
        _place: Place,
        handshaking: HandshakePlace,
    ) -> Result<(), Refusal> {
        let introduced = timeout(self.limits.handshake, self.introduce(&mut peer)).await;
        let connected = introduced.map_err(|_| Refusal::Silent)??;
        drop(handshaking);
        let (reader, writer) = peer.halves();
        super::connection::serve(reader, writer, connected, &self.inlet, &self.limits).await
    }

    /// Completes the handshake with a peer.
    async fn introduce<S: Stream>(&self, peer: &mut S) -> Result<Connected, Refusal> {
        greet(peer).await?;
        let mut identity = hear(peer, &["DEALER", "REQ", "ROUTER"]).await?;
        if identity.is_empty() {
            identity = Bytes::from(random_name()?);
        }
        let connected = self.peers.join(Peer::new(identity)).ok_or(Refusal::Identity)?;
        get_ready(peer, "ROUTER", b"").await?;
        Ok(connected)
    }
}

/// A connection whose halves need no lock.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    fn halves(&mut self) -> (impl AsyncRead + Unpin + Send, impl AsyncWrite + Unpin + Send);
}

impl Stream for TcpStream {
    fn halves(&mut self) -> (impl AsyncRead + Unpin + Send, impl AsyncWrite + Unpin + Send) {
        self.split()
    }
}

impl Stream for UnixStream {
    fn halves(&mut self) -> (impl AsyncRead + Unpin + Send, impl AsyncWrite + Unpin + Send) {
        self.split()
    }
}

/// Why a connection is closed.
#[derive(Debug)]
pub enum Refusal {
    /// It did not finish its handshake in time.
    Silent,
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
