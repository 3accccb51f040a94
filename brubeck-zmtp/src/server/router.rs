//! The `ROUTER` of a [`RouterServer`]: accepts peers, completes their handshakes, and shuts down.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use brubeck_sockets::Listener;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::connection::{PendingAdmission, run_connection};
use super::handshake_log::HandshakeLog;
use super::peer_error::PeerError;
use super::peers::{PeerTable, RegisterError, RegisteredPeer};
use crate::codec::SocketType;
use crate::connection::{ConnectionError, exchange_greeting, random_identity, read_ready, send_ready};
use crate::link::{ShutdownReason, ShutdownSignal, shutdown_channel};
use crate::listener::{AcceptedConnection, ConnectionLimits, HandshakeSlot, PeerStream, ZmtpListener};
use crate::queue::{EventSender, event_queue};
use crate::watchdog::{self, WatchedStream, timeout, timeout_at};
use crate::{
    DuplexStream, Endpoint, RouterServer, RoutingId, ServerEvent, ServerLimits, ServerSender, StreamWrapper,
    TransportError, WrappedStream,
};

/// Binds a server and starts its tasks on the current runtime.
pub(crate) async fn bind_server(
    endpoint: &Endpoint,
    limits: ServerLimits,
    wrapper: Option<Arc<dyn StreamWrapper>>,
) -> Result<RouterServer, TransportError> {
    let mode = limits.ipc_mode;
    let listener = ZmtpListener::bind_with_mode(endpoint, connection_limits(&limits), mode).await?;
    Ok(serve(listener, limits, wrapper))
}

/// Starts a server at sockets that are bound already.
pub(crate) fn serve_sockets(
    sockets: Listener,
    limits: ServerLimits,
    wrapper: Option<Arc<dyn StreamWrapper>>,
) -> Result<RouterServer, TransportError> {
    let listener = ZmtpListener::from_sockets(sockets, connection_limits(&limits))?;
    Ok(serve(listener, limits, wrapper))
}

fn connection_limits(limits: &ServerLimits) -> ConnectionLimits {
    ConnectionLimits {
        max_connections: limits.max_connections,
        max_connections_per_address: limits.max_connections_per_address,
        max_handshakes: limits.max_handshakes,
    }
}

/// Starts the tasks of a server on the current runtime.
fn serve(
    listener: ZmtpListener,
    limits: ServerLimits,
    wrapper: Option<Arc<dyn StreamWrapper>>,
) -> RouterServer {
    let local = listener.local_endpoint().clone();
    let (sender, mut inbound) = event_queue(limits.inbound_messages, limits.inbound_bytes);
    let handle = listener.handle();
    inbound.close_with(&handle);
    let (shutdown, signal) = shutdown_channel();
    let peers = PeerTable::new(&limits);
    let (outbound, dropped) = ServerSender::to_peers(peers.clone());
    let router = Arc::new(RouterInner {
        limits,
        peers,
        wrapper,
        inbound: sender,
        closing: watch::Sender::new(false),
        refusals: HandshakeLog::default(),
    });
    watchdog::spawn(router.run(listener, signal, dropped));
    RouterServer {
        local,
        inbound,
        outbound,
        listener: handle,
        shutdown,
    }
}

/// The state of one server, which its connections share.
struct RouterInner {
    limits: ServerLimits,
    peers: Arc<PeerTable>,
    wrapper: Option<Arc<dyn StreamWrapper>>,
    inbound: EventSender<ServerEvent>,
    /// `true` once the server is closing. Ends the handshakes of peers that are not registered yet.
    closing: watch::Sender<bool>,
    refusals: HandshakeLog,
}

impl RouterInner {
    /// Accepts peers until the server is shut down or no longer used. Then waits until each connection has sent its messages
    /// and has ended, for at most the linger time. Connections that are still open afterwards are aborted.
    async fn run(
        self: Arc<Self>,
        listener: ZmtpListener,
        mut shutdown: ShutdownSignal,
        mut senders_dropped: mpsc::Receiver<Infallible>,
    ) {
        let mut connections = JoinSet::new();
        let reason = loop {
            tokio::select! {
                accepted = listener.accept() => self.spawn_connection(accepted, &mut connections),
                Some(_) = connections.join_next() => {}
                _ = senders_dropped.recv() => break ShutdownReason::Unused,
                () = self.inbound.closed() => break ShutdownReason::Unused,
                reason = shutdown.requested() => break reason,
            }
        };
        // The endpoint is free from here on, so the next server can bind it while this one lingers.
        drop(listener);
        self.closing.send_replace(true);
        self.peers.close();
        let all_ended = async { while connections.join_next().await.is_some() {} };
        let flushed = timeout(reason.linger(), all_ended).await.is_ok();
        reason.complete(flushed);
    }

    fn spawn_connection(self: &Arc<Self>, accepted: AcceptedConnection, connections: &mut JoinSet<()>) {
        let router = self.clone();
        let AcceptedConnection {
            stream,
            address,
            slot,
            handshake_slot,
        } = accepted;
        watchdog::spawn_in(connections, async move {
            let ended = router.wrap_and_serve(stream, address, handshake_slot).await;
            if let Err(error) = ended {
                router.refusals.record(address, &error);
            }
            // The slot is held until here, so that the limits count the connection as long as it is open.
            drop(slot);
        });
    }

    async fn wrap_and_serve(
        &self,
        stream: PeerStream,
        address: Option<IpAddr>,
        handshake_slot: HandshakeSlot,
    ) -> Result<(), PeerError> {
        // One deadline for the wrapper and for ZMTP.
        let deadline = Instant::now() + self.limits.handshake_timeout;
        let WrappedStream { stream, credentials } = match &self.wrapper {
            None => WrappedStream {
                stream,
                credentials: None,
            },
            Some(wrapper) => {
                let mut closing = self.closing.subscribe();
                tokio::select! {
                    wrapped = timeout_at(deadline, wrapper.accept(stream, address)) => {
                        wrapped.map_err(|_| PeerError::HandshakeTimeout)??
                    }
                    () = handshake_slot.evicted() => return Err(PeerError::Evicted),
                    _ = closing.wait_for(|closing| *closing) => {
                        return Err(PeerError::NotRegistered(RegisterError::ServerClosed));
                    }
                }
            }
        };
        let handshake = Handshake {
            deadline,
            slot: handshake_slot,
            credentials,
        };
        match stream {
            PeerStream::Tcp(stream) => self.serve(stream, handshake).await,
            PeerStream::Ipc(stream) => self.serve(stream, handshake).await,
            PeerStream::Wrapped(stream) => self.serve(stream, handshake).await,
        }
    }

    async fn serve<S: SplitStream>(&self, mut stream: S, handshake: Handshake) -> Result<(), PeerError> {
        let Handshake {
            deadline,
            slot,
            credentials,
        } = handshake;
        let peer = tokio::select! {
            peer = timeout_at(deadline, self.handshake(&mut stream)) => {
                peer.map_err(|_| PeerError::HandshakeTimeout)??
            }
            () = slot.evicted() => return Err(PeerError::Evicted),
        };
        // Dropped if there is no admission: then the handshake is complete.
        let slot = credentials.is_some().then_some(slot);
        let pending = slot
            .zip(self.limits.unadmitted_message_bytes)
            .map(|(slot, max_message_bytes)| PendingAdmission {
                deadline,
                slot,
                max_message_bytes,
            });
        if let Some(credentials) = credentials
            && let Some(permit) = self.inbound.reserve().await
        {
            let (peer, bytes) = (peer.peer.clone(), credentials.len());
            permit.send(ServerEvent::Verified { peer, credentials }, bytes);
        }
        let (reader, writer) = stream.split_halves();
        let ended = run_connection(reader, writer, peer, pending, &self.inbound, &self.limits).await;
        if let Err(ConnectionError::Stalled) = ended {
            self.peers.counters.record_stalled();
        }
        Ok(ended?)
    }

    /// Completes the handshake with a peer and registers it.
    async fn handshake<S: SplitStream>(&self, stream: &mut S) -> Result<RegisteredPeer, PeerError> {
        const ACCEPTED: &[SocketType] = &[SocketType::Dealer, SocketType::Req, SocketType::Router];
        let mut closing = self.closing.subscribe();
        let introduction = async {
            exchange_greeting(stream).await?;
            read_ready(stream, ACCEPTED).await
        };
        let mut identity = tokio::select! {
            identity = introduction => identity?,
            // Otherwise a peer that sends nothing would make the server linger.
            _ = closing.wait_for(|closing| *closing) => {
                return Err(PeerError::NotRegistered(RegisterError::ServerClosed));
            }
        };
        if identity.is_empty() {
            identity = Bytes::from(random_identity()?);
        }
        // Register the peer before sending our `READY`. The peer is connected once it has received `READY`, and from then on
        // the user must be able to send messages to it.
        let peer = self
            .peers
            .register(RoutingId::new(identity))
            .map_err(PeerError::NotRegistered)?;
        send_ready(stream, SocketType::Router, b"").await?;
        Ok(peer)
    }
}

/// The state of a handshake between the wrapper and the connection.
struct Handshake {
    deadline: Instant,
    slot: HandshakeSlot,
    credentials: Option<Bytes>,
}

/// A stream that splits into borrowed halves, which need no lock if the stream is a socket.
trait SplitStream: AsyncRead + AsyncWrite + Unpin + Send {
    fn split_halves(&mut self) -> (impl AsyncRead + Unpin + Send, impl AsyncWrite + Unpin + Send);
}

impl SplitStream for WatchedStream<TcpStream> {
    fn split_halves(&mut self) -> (impl AsyncRead + Unpin + Send, impl AsyncWrite + Unpin + Send) {
        self.split()
    }
}

impl SplitStream for WatchedStream<UnixStream> {
    fn split_halves(&mut self) -> (impl AsyncRead + Unpin + Send, impl AsyncWrite + Unpin + Send) {
        self.split()
    }
}

impl<D: DuplexStream + ?Sized> SplitStream for Box<D> {
    fn split_halves(&mut self) -> (impl AsyncRead + Unpin + Send, impl AsyncWrite + Unpin + Send) {
        tokio::io::split(self)
    }
}
