//! The ROUTER behind a [`Server`].

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::net::{TcpListener, UnixListener};
use tokio::time::timeout;
use zeromq::{RouterSocket, Socket, SocketEvent, SocketOptions, SocketRecv, ZmqError, ZmqMessage};

use super::super::closing::Ask;
use super::super::gate::{Door, Gate};
use super::super::limits::{BATCH, LINGER};
use super::super::server::{Outgoing, ServerDriver, server};
use super::super::{Endpoint, Limits, Peer, Server, ServerEvent, TransportError, io_thread};
use super::listener;
use super::private::PrivatePath;
use super::socket::{self, Monitor, Sent, bury, random_name, send_now, size, size_on_wire, written};

/// Departures that wait while the inbox is full; beyond this they go unannounced.
const DEPARTED: usize = 4096;

/// Binds and starts serving. Runs on the I/O thread.
pub(super) async fn open(endpoint: Endpoint, limits: Limits) -> Result<Server, TransportError> {
    let mut socket = RouterSocket::with_options(SocketOptions::default());
    let monitor = socket::monitor(&mut socket);
    let (local, front) = bind(&mut socket, &endpoint, &limits).await?;
    let (server, driver) = server(local, &limits);
    let router = Router {
        socket,
        monitor,
        driver,
        front,
        limits,
        departed: VecDeque::new(),
    };
    io_thread::spawn(router.run())?;
    Ok(server)
}

/// What stands before the socket.
struct Front {
    gate: Gate,
    /// Where the gate reaches the socket.
    _inner: PrivatePath,
    /// The file the gate listens at, if it is not TCP.
    file: Option<PathBuf>,
}

async fn bind(
    socket: &mut RouterSocket,
    endpoint: &Endpoint,
    limits: &Limits,
) -> Result<(Endpoint, Option<Front>), TransportError> {
    let fail = |source: io::Error| TransportError::Bind {
        endpoint: endpoint.clone(),
        source,
    };
    let (door, file, local) = match endpoint {
        Endpoint::Tcp { host, port } => {
            let (listener, local) = listener::tcp(host, *port).await?;
            (
                Door::Tcp(TcpListener::from_std(listener).map_err(fail)?),
                None,
                local,
            )
        }
        Endpoint::Ipc(path) if limits.gate_ipc => {
            let listener = UnixListener::from_std(listener::ipc(path)?).map_err(fail)?;
            (Door::Unix(listener), Some(path.clone()), endpoint.clone())
        }
        Endpoint::Ipc(path) => {
            let bound = socket.bind_listener(listener::ipc(path)?).await;
            bound.map_err(|error| fail(io::Error::other(error)))?;
            return Ok((endpoint.clone(), None));
        }
    };
    let (inner, listener) = PrivatePath::create().map_err(fail)?;
    socket
        .bind_listener(listener)
        .await
        .map_err(|error| fail(io::Error::other(error)))?;
    let gate = Gate::open(door, inner.socket.clone(), limits.clone(), random_name);
    Ok((
        local,
        Some(Front {
            gate,
            _inner: inner,
            file,
        }),
    ))
}

struct Router {
    socket: RouterSocket,
    monitor: Monitor,
    driver: ServerDriver,
    front: Option<Front>,
    limits: Limits,
    departed: VecDeque<Peer>,
}

/// What came in.
enum Came {
    Message(ZmqMessage),
    Departure(Peer),
    Fault(ZmqError),
}

impl Router {
    async fn run(mut self) {
        let ask = self.serve().await;
        let limit = ask.as_ref().map_or(LINGER, |ask| ask.linger);
        let all_left = self.close(limit).await;
        if let Some(ask) = ask {
            ask.done(all_left);
        }
    }

    /// Works until somebody asks for the end, or nobody is left who could use the socket.
    async fn serve(&mut self) -> Option<Ask> {
        let inlet = self.driver.inlet.clone();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let receive = async {
                let room = inlet.room().await?;
                let came = match self.departed.pop_front() {
                    Some(peer) => Came::Departure(peer),
                    None => match self.socket.recv().await {
                        Ok(message) => Came::Message(message),
                        Err(error) => Came::Fault(error),
                    },
                };
                Some((room, came))
            };
            tokio::select! {
                came = receive => match came? {
                    (room, Came::Message(message)) => {
                        let mut frames = message.into_vecdeque();
                        if let Some(identity) = frames.pop_front().filter(|_| !frames.is_empty()) {
                            let frames = Vec::from(frames);
                            let bytes = size(&frames);
                            room.put(ServerEvent::Message { peer: Peer::new(identity), frames }, bytes);
                        }
                    }
                    (room, Came::Departure(peer)) => room.put(ServerEvent::Gone { peer }, 0),
                    (_, Came::Fault(error)) => {
                        tracing::warn!(%error, "a server socket failed to receive");
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                },
                taken = self.driver.outbox.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        return None;
                    }
                    for outgoing in batch.drain(..) {
                        self.carry_out(outgoing);
                    }
                    // Without this a busy outbox would starve every other task of the thread.
                    tokio::task::yield_now().await;
                }
                Some(event) = self.monitor.next() => {
                    if let SocketEvent::Disconnected(identity) = event
                        && self.departed.len() < DEPARTED
                    {
                        self.departed.push_back(Peer::new(Bytes::from(identity)));
                    }
                }
                // A receive that waits for a peer does not notice this.
                () = inlet.closed() => return None,
                ask = self.driver.stop.asked() => return Some(ask),
            }
        }
    }

    fn carry_out(&mut self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Message { peer, frames } => match self.send(&peer, frames) {
                Sent::Yes => self.driver.counters.sent(),
                Sent::Gone => self.driver.counters.gone(1),
                Sent::Stalled => {
                    self.driver.counters.stalled();
                    tracing::warn!(?peer, "cutting off a peer that does not read its messages");
                    self.cut(&peer);
                }
            },
            Outgoing::Cut { peer } => self.cut(&peer),
        }
    }

    fn send(&mut self, peer: &Peer, frames: Vec<Bytes>) -> Sent {
        if let Some(front) = &self.front {
            let Some(account) = front.gate.accounts.get(peer.identity()) else {
                return Sent::Gone;
            };
            let (max_bytes, max_messages) = (self.limits.queued_bytes, self.limits.queued_messages);
            if !account.send(size_on_wire(&frames), max_bytes as u64, max_messages as u64) {
                account.cut();
                return Sent::Stalled;
            }
        }
        match ZmqMessage::try_from(frames) {
            Ok(mut message) => {
                message.push_front(peer.identity().clone());
                send_now(&mut self.socket, message)
            }
            Err(_) => Sent::Gone,
        }
    }

    fn cut(&mut self, peer: &Peer) {
        if let Ok(identity) = peer.identity().clone().try_into() {
            self.socket.backend().peer_disconnected(&identity);
        }
    }

    /// Sends what was accepted, then lets everything go. Returns whether all of it left the process.
    async fn close(mut self, limit: Duration) -> bool {
        if let Some(front) = &self.front {
            front.gate.close();
        }
        self.driver.outbox.close();
        let mut batch = Vec::with_capacity(BATCH);
        while self.driver.outbox.recv_many(&mut batch, BATCH).await > 0 {
            for outgoing in batch.drain(..) {
                self.carry_out(outgoing);
            }
            tokio::task::yield_now().await;
        }
        for error in self.socket.unbind_all().await {
            tracing::debug!(%error, "a listener did not close well");
        }
        let backend = self.socket.backend();
        drop(self.socket);
        let mut monitor = self.monitor;
        // A task, because peers that never finish their handshake outlive any limit.
        let buried = tokio::spawn(async move {
            bury(&*backend).await;
            drop(backend);
            written(&mut monitor).await;
        });
        let front = &mut self.front;
        let closed = async {
            let _ = buried.await;
            if let Some(front) = front {
                front.gate.left().await;
            }
        };
        let all_left = timeout(limit, closed).await.is_ok();
        if let Some(Front { file: Some(file), .. }) = &self.front
            && let Err(error) = std::fs::remove_file(file)
        {
            tracing::debug!(file = %file.display(), %error, "a socket file stays behind");
        }
        all_left
    }
}
