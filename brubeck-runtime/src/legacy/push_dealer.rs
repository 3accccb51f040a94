//! The client side of services that connect: a bound `PUSH` for requests and a bound `DEALER` for responses.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use brubeck_zmtp::codec::{Decoded, FrameLimits};
use brubeck_zmtp::{
    AcceptedConnection, ConnectionError, ConnectionLimits, Endpoint, EventReceiver, EventSender, Generation,
    LinkConfig, PeerStream, Role, SendError, ShutdownHandle, ShutdownReason, ShutdownSignal, SocketType,
    Traffic, TransportError, ZmtpConnection, ZmtpListener, event_queue, message_size, random_identity,
    shutdown_channel,
};
use bytes::Bytes;
use futures_util::future::select_all;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::io_thread::with_runtime;

/// Requests that may wait for one service. Beyond it other services get them.
const QUEUED_REQUESTS: usize = 64;

/// Connections to one of the two sockets.
const MAX_CONNECTIONS: usize = 1024;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for the `ROUTER` of a service to register our identity. It does so some time after the handshake, and drops
/// responses until then.
const SETTLE_TIME: Duration = Duration::from_millis(20);

/// Time for which responses of a service that disconnected may still arrive on its other connection.
const RESPONSE_GRACE: Duration = Duration::from_millis(250);

/// Frames of one message.
const MAX_FRAMES: usize = 16;

/// An event of a [`PushDealerClient`]. A generation is one service process, for as long as it stays connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PushDealerEvent {
    /// A service sent a message. The sockets do not tell which service.
    Message {
        /// The frames; at least one.
        frames: Vec<Bytes>,
    },
    /// A service disconnected. It may or may not have read what was sent to it; the responses that it had sent have been
    /// received.
    Down {
        /// Its number, which is never used again.
        generation: Generation,
        /// The reason, for the log.
        reason: String,
    },
}

/// A client that services connect to, any number of them.
///
/// Requests go to one service after the other. A service gets none before it is connected for the responses, too, because
/// its first response would be lost.
#[derive(Debug)]
pub(crate) struct PushDealerClient {
    /// The identity that services must send their responses to.
    pub(crate) identity: Bytes,
    /// Events. Dropping it closes the hub.
    pub(crate) inbound: EventReceiver<PushDealerEvent>,
    /// Requests to the services. Dropping all clones closes the hub.
    pub(crate) outbound: PushDealerSender,
}

/// Binds `requests` and `responses` for services that connect to both.
///
/// # Errors
/// Returns an error if one of the endpoints cannot be bound: see [`TransportError`].
pub(crate) fn bind_push_dealer(
    requests: &Endpoint,
    responses: &Endpoint,
    config: &LinkConfig,
) -> Result<PushDealerClient, TransportError> {
    with_runtime(|| open(requests, responses, config))?.map(|(hub, ..)| hub)
}

/// Binds a hub on the current runtime. Returns with it the two endpoints, with their real ports, and its shutdown.
fn open(
    requests: &Endpoint,
    responses: &Endpoint,
    config: &LinkConfig,
) -> Result<(PushDealerClient, [Endpoint; 2], ShutdownHandle), TransportError> {
    let limits = || ConnectionLimits {
        max_connections: MAX_CONNECTIONS,
        max_connections_per_address: MAX_CONNECTIONS,
        max_handshakes: MAX_CONNECTIONS,
    };
    let requests = ZmtpListener::bind_blocking(requests, limits())?;
    let responses = ZmtpListener::bind_blocking(responses, limits())?;
    let (sender, inbound) = event_queue(config.inbound_messages, config.inbound_bytes);
    let (set_ready, ready) = watch::channel(Some(Arc::from([])));
    let (shutdown, signal) = shutdown_channel();
    let identity = Bytes::from(random_identity()?);
    let endpoints = [&requests, &responses].map(|listener| listener.local_endpoint().clone());
    tracing::debug!(requests = %endpoints[0], responses = %endpoints[1], "waiting for services to connect");
    let shared = Arc::new(PushDealerState {
        services: Mutex::default(),
        ready: set_ready,
        inbound: sender,
        identity: identity.clone(),
        limits: FrameLimits {
            max_message_bytes: config.inbound_bytes,
            max_frames: MAX_FRAMES,
        },
    });
    tokio::spawn(serve(requests, responses, shared, signal));
    let hub = PushDealerClient {
        identity,
        inbound,
        outbound: PushDealerSender {
            ready,
            turn: Arc::default(),
        },
    };
    Ok((hub, endpoints, shutdown))
}

/// The services that accept requests; `None` once the hub is closed.
type ReadyServices = Option<Arc<[RequestQueue]>>;

/// The requests that one service has not been sent yet.
#[derive(Clone, Debug)]
struct RequestQueue {
    generation: Generation,
    requests: mpsc::Sender<Bytes>,
}

impl RequestQueue {
    fn try_reserve(&self) -> Option<RequestPermit> {
        let permit = self.requests.clone().try_reserve_owned().ok()?;
        Some(RequestPermit {
            queue: self.clone(),
            permit,
        })
    }

    /// Waits for space; forever if the service has disconnected, which the list of services will show.
    async fn reserve(&self) -> RequestPermit {
        match self.requests.clone().reserve_owned().await {
            Ok(permit) => RequestPermit {
                queue: self.clone(),
                permit,
            },
            Err(_) => std::future::pending().await,
        }
    }
}

/// The sending end of a [`PushDealerClient`].
#[derive(Clone, Debug)]
pub(crate) struct PushDealerSender {
    ready: watch::Receiver<ReadyServices>,
    turn: Arc<AtomicUsize>,
}

impl PushDealerSender {
    /// Reserves space for one request at the service whose turn it is, or else at the first that has space.
    ///
    /// # Errors
    /// Returns [`SendError::Deadline`] or [`SendError::Closed`].
    pub(crate) async fn reserve_by(&self, deadline: Instant) -> Result<RequestPermit, SendError> {
        timeout_at(deadline, self.reserve())
            .await
            .unwrap_or(Err(SendError::Deadline))
    }

    async fn reserve(&self) -> Result<RequestPermit, SendError> {
        let mut ready = self.ready.clone();
        loop {
            let services = ready.borrow_and_update().clone().ok_or(SendError::Closed)?;
            let turn = self.turn.fetch_add(1, Relaxed) % services.len().max(1);
            let (before, after) = services.split_at(turn);
            if let Some(permit) = after.iter().chain(before).find_map(RequestQueue::try_reserve) {
                return Ok(permit);
            }
            // Each waiting caller holds a place in the queue of every service. If they only waited for a notice and then
            // tried, most would find the space taken by others.
            let waiting: Vec<_> = services.iter().map(|queue| Box::pin(queue.reserve())).collect();
            let any_space = async {
                if waiting.is_empty() {
                    std::future::pending().await
                } else {
                    select_all(waiting).await.0
                }
            };
            tokio::select! {
                permit = any_space => return Ok(permit),
                changed = ready.changed() => changed.map_err(|_| SendError::Closed)?,
            }
        }
    }
}

/// Space for one request to one service. Dropping it frees the space.
#[derive(Debug)]
#[must_use = "the space is freed unless something is sent"]
pub(crate) struct RequestPermit {
    queue: RequestQueue,
    permit: mpsc::OwnedPermit<Bytes>,
}

impl RequestPermit {
    /// Returns the service. Note it before sending: its [`PushDealerEvent::Down`] may come at any time from then on.
    pub(crate) fn generation(&self) -> Generation {
        self.queue.generation
    }

    /// Queues the request.
    ///
    /// # Errors
    /// Returns [`SendError::LinkDown`] if the service has disconnected. The request was not sent then.
    pub(crate) fn send(self, request: Bytes) -> Result<(), SendError> {
        if self.queue.requests.is_closed() {
            return Err(SendError::LinkDown);
        }
        self.permit.send(request);
        Ok(())
    }
}

/// State that the connections of a hub share.
struct PushDealerState {
    services: Mutex<ConnectedServices>,
    ready: watch::Sender<ReadyServices>,
    inbound: EventSender<PushDealerEvent>,
    identity: Bytes,
    limits: FrameLimits,
}

#[derive(Default)]
struct ConnectedServices {
    /// Connections for requests, by age.
    pulling: BTreeMap<Generation, mpsc::Sender<Bytes>>,
    /// Number of connections for responses.
    responding: usize,
    last_generation: Generation,
    closed: bool,
}

impl PushDealerState {
    fn change<T>(&self, change: impl FnOnce(&mut ConnectedServices) -> T) -> T {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut services);
        self.publish(services);
        changed
    }

    /// Publishes the services that may get requests.
    ///
    /// Nothing in the protocol tells which two connections belong to one service. So as many services get requests as are
    /// connected for responses, the oldest first: it is the newest whose second connection is still missing.
    fn publish(&self, services: MutexGuard<'_, ConnectedServices>) {
        let ready = services.pulling.iter().take(services.responding);
        let queue = |(generation, requests): (&Generation, &mpsc::Sender<Bytes>)| RequestQueue {
            generation: *generation,
            requests: requests.clone(),
        };
        let ready = (!services.closed).then(|| ready.map(queue).collect());
        self.ready.send_replace(ready);
    }
}

/// Accepts services until the hub is closed, then sends the requests that it had accepted.
async fn serve(
    requests: ZmtpListener,
    responses: ZmtpListener,
    shared: Arc<PushDealerState>,
    mut shutdown: ShutdownSignal,
) {
    let mut pulling = JoinSet::new();
    let mut responding = JoinSet::new();
    let reason = loop {
        tokio::select! {
            accepted = requests.accept() => {
                pulling.spawn(send_requests(accepted, shared.clone()));
            }
            accepted = responses.accept() => {
                responding.spawn(receive_responses(accepted, shared.clone()));
            }
            Some(_) = pulling.join_next() => {}
            Some(_) = responding.join_next() => {}
            () = shared.inbound.closed() => break ShutdownReason::Unused,
            () = shared.ready.closed() => break ShutdownReason::Unused,
            reason = shutdown.requested() => break reason,
        }
    };
    drop((requests, responses));
    shared.change(|services| {
        services.closed = true;
        services.pulling.clear();
    });
    let all_ended = async { while pulling.join_next().await.is_some() {} };
    let flushed = timeout(reason.linger(), all_ended).await.is_ok();
    reason.complete(flushed);
}

/// Completes the handshake with a service. Returns `None` if it is refused.
async fn handshake(stream: PeerStream, role: Role, identity: &[u8]) -> Option<ZmtpConnection> {
    let refused = match timeout(
        HANDSHAKE_TIMEOUT,
        ZmtpConnection::handshake(stream, &role, identity),
    )
    .await
    {
        Ok(Ok(connection)) => return Some(connection),
        Ok(Err(error)) => error,
        Err(_) => io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the peer did not complete its handshake within {HANDSHAKE_TIMEOUT:?}"),
        ),
    };
    tracing::warn!(error = %refused, "refused a service connection");
    None
}

/// Serves one `PULL`: sends it requests until it disconnects.
async fn send_requests(accepted: AcceptedConnection, shared: Arc<PushDealerState>) {
    let role = Role {
        socket_type: SocketType::Push,
        accepted: &[SocketType::Pull],
        limits: shared.limits,
        traffic: Traffic::Both,
    };
    let AcceptedConnection {
        stream,
        slot: _slot,
        handshake_slot,
        ..
    } = accepted;
    let Some(connection) = handshake(stream, role, b"").await else {
        return;
    };
    drop(handshake_slot);
    let (requests, queue) = mpsc::channel(QUEUED_REQUESTS);
    let generation = shared.change(|services| {
        services.last_generation += 1;
        if !services.closed {
            services.pulling.insert(services.last_generation, requests);
        }
        services.last_generation
    });
    tracing::debug!(generation, "a service connected for requests");
    let reason = match write_requests(connection, queue).await {
        Ok(()) => "the hub is closed".to_owned(),
        Err(error) => error.to_string(),
    };
    let closed = shared.change(|services| {
        services.pulling.remove(&generation);
        services.closed
    });
    if !closed {
        sleep(RESPONSE_GRACE).await;
        if let Some(permit) = shared.inbound.reserve().await {
            permit.send(PushDealerEvent::Down { generation, reason }, 0);
        }
    }
}

/// Writes the requests of a queue until the queue ends, or the connection does.
async fn write_requests(
    connection: ZmtpConnection,
    mut queue: mpsc::Receiver<Bytes>,
) -> Result<(), ConnectionError> {
    let ZmtpConnection {
        mut reader,
        mut writer,
    } = connection;
    loop {
        let writing = !writer.is_empty();
        tokio::select! {
            written = writer.write(None), if writing => written?,
            request = queue.recv(), if !writing => {
                let Some(request) = request else {
                    return writer.shutdown().await;
                };
                writer.push_frame(request);
                while let Ok(request) = queue.try_recv() {
                    writer.push_frame(request);
                }
            }
            // A `PULL` sends nothing, but only reading notices its end.
            decoded = reader.next(), if writer.accepts_pongs() => if let Decoded::Ping { pong } = decoded? {
                writer.push_pong(&pong);
            },
        }
    }
}

/// Serves one `ROUTER`: receives its responses until it disconnects.
async fn receive_responses(accepted: AcceptedConnection, shared: Arc<PushDealerState>) {
    let role = Role {
        socket_type: SocketType::Dealer,
        accepted: &[SocketType::Router],
        limits: shared.limits,
        traffic: Traffic::Both,
    };
    let AcceptedConnection {
        stream,
        slot: _slot,
        handshake_slot,
        ..
    } = accepted;
    let Some(connection) = handshake(stream, role, &shared.identity).await else {
        return;
    };
    drop(handshake_slot);
    let mut reading = std::pin::pin!(read_responses(connection, &shared));
    let ended = tokio::select! {
        ended = &mut reading => ended,
        () = sleep(SETTLE_TIME) => {
            shared.change(|services| services.responding += 1);
            let ended = reading.await;
            shared.change(|services| services.responding -= 1);
            ended
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a service disconnected its responses");
    }
}

/// Receives responses until the connection ends with an error, or the hub is closed.
async fn read_responses(
    mut connection: ZmtpConnection,
    shared: &PushDealerState,
) -> Result<(), ConnectionError> {
    loop {
        let frames = connection.recv().await?;
        let bytes = message_size(&frames);
        let Some(permit) = shared.inbound.reserve().await else {
            return Ok(());
        };
        permit.send(PushDealerEvent::Message { frames }, bytes);
    }
}

#[cfg(test)]
mod tests;
