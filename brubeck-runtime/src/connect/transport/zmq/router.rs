//! The ROUTER behind a [`Server`].

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::timeout;
use zeromq::{RouterSocket, Socket, SocketEvent, SocketOptions, SocketRecv, ZmqError, ZmqMessage};

use super::super::closing::Ask;
use super::super::limits::{BATCH, LINGER};
use super::super::server::{Outgoing, ServerDriver, server};
use super::super::{Endpoint, Limits, Peer, Server, ServerEvent, TransportError, io_thread};
use super::listener;
use super::socket::{self, Monitor, Sent, bury, send_now, size, written};

/// Departures that wait while the inbox is full; beyond this they go unannounced.
const DEPARTED: usize = 4096;

/// Binds and starts serving. Runs on the I/O thread.
pub(super) async fn open(endpoint: Endpoint, limits: Limits) -> Result<Server, TransportError> {
    let mut socket = RouterSocket::with_options(SocketOptions::default());
    let monitor = socket::monitor(&mut socket);
    let local = bind(&mut socket, endpoint).await?;
    let (server, driver) = server(local, &limits);
    let router = Router {
        socket,
        monitor,
        driver,
        departed: VecDeque::new(),
    };
    io_thread::spawn(router.run())?;
    Ok(server)
}

async fn bind(socket: &mut RouterSocket, endpoint: Endpoint) -> Result<Endpoint, TransportError> {
    let (bound, local) = match &endpoint {
        Endpoint::Tcp { host, port } => {
            let (listener, local) = listener::tcp(host, *port).await?;
            (socket.bind_listener(listener).await, local)
        }
        Endpoint::Ipc(path) => (socket.bind_listener(listener::ipc(path)?).await, endpoint.clone()),
    };
    match bound {
        Ok(_) => Ok(local),
        Err(error) => Err(TransportError::Bind {
            endpoint,
            source: std::io::Error::other(error),
        }),
    }
}

struct Router {
    socket: RouterSocket,
    monitor: Monitor,
    driver: ServerDriver,
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
            Outgoing::Message { peer, frames } => {
                let message = ZmqMessage::try_from(frames).map(|mut message| {
                    message.push_front(peer.identity().clone());
                    message
                });
                match message.map(|message| send_now(&mut self.socket, message)) {
                    Ok(Sent::Yes) => self.driver.counters.sent(),
                    Ok(Sent::Gone) | Err(_) => self.driver.counters.gone(1),
                    Ok(Sent::Stalled) => {
                        self.driver.counters.stalled();
                        tracing::warn!(?peer, "cutting off a peer that does not read its messages");
                        self.cut(&peer);
                    }
                }
            }
            Outgoing::Cut { peer } => self.cut(&peer),
        }
    }

    fn cut(&mut self, peer: &Peer) {
        if let Ok(identity) = peer.identity().clone().try_into() {
            self.socket.backend().peer_disconnected(&identity);
        }
    }

    /// Sends what was accepted, then lets everything go. Returns whether all of it left the process.
    async fn close(mut self, limit: Duration) -> bool {
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
        timeout(limit, buried).await.is_ok()
    }
}
