//! The client's sockets in the `Pypi` dialects: a bound `PUSH` for requests and a bound `DEALER` for responses.
//!
//! In these dialects the client binds both sockets, and each service connects to both of them.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use brubeck_zmtp::codec::{Decoded, FrameLimits};
use brubeck_zmtp::{
    AcceptedConnection, ConnectionError, ConnectionLimits, Endpoint, EventReceiver, EventSender, Generation,
    HandshakeSlot, LinkConfig, ListenerGuard, PeerStream, Role, SendError, ShutdownHandle, ShutdownReason,
    ShutdownSignal, SocketType, Traffic, TransportError, ZmtpConnection, ZmtpListener, event_queue,
    message_size, random_identity, shutdown_channel,
};
use bytes::Bytes;
use futures_util::future::select_all;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::io_thread::with_runtime;

/// Maximum number of requests that wait for one service. Further requests go to other services, or wait until one has
/// space.
const MAX_QUEUED_REQUESTS: usize = 64;

/// Maximum number of connections to each of the two sockets.
const MAX_CONNECTIONS: usize = 1024;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Delay between the handshake with the `ROUTER` of a service and the first request to the service. The `ROUTER` registers
/// our identity some time after the handshake, and drops responses until then.
const REGISTRATION_DELAY: Duration = Duration::from_millis(20);

/// Time during which responses may still arrive after the request connection of their service was lost.
const RESPONSE_GRACE: Duration = Duration::from_millis(250);

/// Maximum number of frames in one message.
const MAX_FRAMES: usize = 16;

/// An event of a [`PushDealerClient`]. A generation identifies one service while it is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PushDealerEvent {
    /// A service sent a message. The protocol does not identify the service.
    Message {
        /// The frames, at least one.
        frames: Vec<Bytes>,
    },
    /// The request connection of a service was lost. The service may or may not have received the requests that were sent to it.
    /// Responses that arrive up to [`RESPONSE_GRACE`] after the loss come before this event.
    Down {
        /// The number of the service, which is never reused.
        generation: Generation,
        /// The reason, for the log.
        reason: String,
    },
}

/// A client that any number of services connect to.
///
/// Requests are distributed round robin. A service receives requests only once it is most likely connected to both sockets,
/// because its first response would otherwise be lost. The protocol does not show this for certain: see
/// [`publish`](PushDealerState::publish).
#[derive(Debug)]
pub(crate) struct PushDealerClient {
    /// The identity to which services send their responses.
    pub(crate) identity: Bytes,
    /// Receives events. Dropping the receiver closes the client.
    pub(crate) inbound: EventReceiver<PushDealerEvent>,
    /// Requests to the services. Dropping all clones closes the client.
    pub(crate) outbound: PushDealerSender,
}

/// Binds the two sockets that services connect to.
///
/// # Errors
/// Returns an error if one of the endpoints cannot be bound (see [`TransportError`]), if the I/O thread cannot be started, or if
/// the operating system provides no random numbers.
pub(crate) fn bind_push_dealer(
    requests: &Endpoint,
    responses: &Endpoint,
    config: &LinkConfig,
) -> Result<PushDealerClient, TransportError> {
    with_runtime(|| open(requests, responses, config))?.map(|(client, ..)| client)
}

/// Binds a client on the current runtime. Also returns the two bound endpoints and a handle to shut it down.
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
    let state = Arc::new(PushDealerState {
        services: Mutex::default(),
        ready: set_ready,
        inbound: sender,
        identity: identity.clone(),
        limits: FrameLimits {
            max_message_bytes: config.inbound_bytes,
            max_frames: MAX_FRAMES,
        },
    });
    let listeners = [&requests, &responses].map(|listener| listener.handle().guard());
    tokio::spawn(serve(requests, responses, state, signal));
    let client = PushDealerClient {
        identity,
        inbound,
        outbound: PushDealerSender {
            ready,
            next_service: Arc::default(),
            _listeners: Arc::new(listeners),
        },
    };
    Ok((client, endpoints, shutdown))
}

/// The services that accept requests. `None` once the client is closed.
type ReadyServices = Option<Arc<[RequestQueue]>>;

/// The requests that wait to be sent to one service.
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

    /// Waits for space. Never completes if the service has disconnected; the list of services then changes.
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
    /// Round-robin counter.
    next_service: Arc<AtomicUsize>,
    /// Frees both addresses when the last clone is dropped. The task that accepts would do it later.
    _listeners: Arc<[ListenerGuard; 2]>,
}

impl PushDealerSender {
    /// Reserves space for one request, at the next service or at the first one after it that has space. Waits if
    /// no service has space.
    ///
    /// # Errors
    /// Returns [`SendError::Closed`] if the client is closed.
    pub(crate) async fn reserve(&self) -> Result<RequestPermit, SendError> {
        let mut ready = self.ready.clone();
        loop {
            let services = ready.borrow_and_update().clone().ok_or(SendError::Closed)?;
            let next = self.next_service.fetch_add(1, Relaxed) % services.len().max(1);
            let (before, after) = services.split_at(next);
            if let Some(permit) = after.iter().chain(before).find_map(RequestQueue::try_reserve) {
                return Ok(permit);
            }
            // Wait in the queues of all services at the same time, for the first that has space. Waiting for a notification
            // and trying again would not do: with many waiting callers, most would find the space already taken.
            let reservations: Vec<_> = services.iter().map(|queue| Box::pin(queue.reserve())).collect();
            let any_space = async {
                if reservations.is_empty() {
                    std::future::pending().await
                } else {
                    select_all(reservations).await.0
                }
            };
            tokio::select! {
                permit = any_space => return Ok(permit),
                changed = ready.changed() => changed.map_err(|_| SendError::Closed)?,
            }
        }
    }
}

/// Reserved space for one request to one service. Dropping it releases the space.
#[derive(Debug)]
#[must_use = "dropping a permit releases the space without sending"]
pub(crate) struct RequestPermit {
    queue: RequestQueue,
    permit: mpsc::OwnedPermit<Bytes>,
}

impl RequestPermit {
    /// Returns the generation of the service. Record it before sending, because its [`PushDealerEvent::Down`] may arrive at any
    /// time afterwards.
    pub(crate) fn generation(&self) -> Generation {
        self.queue.generation
    }

    /// Queues the request. The request may still be lost if the service disconnects before it is written.
    ///
    /// # Errors
    /// Returns [`SendError::LinkDown`] if the service has disconnected. The request was not sent in this case.
    pub(crate) fn send(self, request: Bytes) -> Result<(), SendError> {
        if self.queue.requests.is_closed() {
            return Err(SendError::LinkDown);
        }
        self.permit.send(request);
        Ok(())
    }
}

/// The state that the connections of a client share.
struct PushDealerState {
    services: Mutex<ConnectedServices>,
    ready: watch::Sender<ReadyServices>,
    inbound: EventSender<PushDealerEvent>,
    identity: Bytes,
    limits: FrameLimits,
}

#[derive(Default)]
struct ConnectedServices {
    /// Request connections, oldest first.
    request_queues: BTreeMap<Generation, mpsc::Sender<Bytes>>,
    /// Number of response connections.
    response_connections: usize,
    last_generation: Generation,
    closed: bool,
}

impl PushDealerState {
    /// Changes the services, then publishes them.
    fn update<T>(&self, update: impl FnOnce(&mut ConnectedServices) -> T) -> T {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let result = update(&mut services);
        self.publish(services);
        result
    }

    /// Publishes the services that accept requests.
    ///
    /// The protocol does not show which two connections belong to the same service. If there are `n` response connections,
    /// the `n` oldest request connections accept requests: most likely, the newest services are the ones whose second
    /// connection is still missing.
    fn publish(&self, services: MutexGuard<'_, ConnectedServices>) {
        let ready = services.request_queues.iter().take(services.response_connections);
        let queue = |(generation, requests): (&Generation, &mpsc::Sender<Bytes>)| RequestQueue {
            generation: *generation,
            requests: requests.clone(),
        };
        let ready = (!services.closed).then(|| ready.map(queue).collect());
        self.ready.send_replace(ready);
    }
}

/// Accepts services until the client is closed, then sends the accepted requests, for at most the linger time.
async fn serve(
    requests: ZmtpListener,
    responses: ZmtpListener,
    state: Arc<PushDealerState>,
    mut shutdown: ShutdownSignal,
) {
    let mut request_tasks = JoinSet::new();
    let mut response_tasks = JoinSet::new();
    let reason = loop {
        tokio::select! {
            accepted = requests.accept() => {
                request_tasks.spawn(send_requests(accepted, state.clone()));
            }
            accepted = responses.accept() => {
                response_tasks.spawn(receive_responses(accepted, state.clone()));
            }
            Some(_) = request_tasks.join_next() => {}
            Some(_) = response_tasks.join_next() => {}
            () = state.inbound.closed() => break ShutdownReason::Unused,
            () = state.ready.closed() => break ShutdownReason::Unused,
            reason = shutdown.requested() => break reason,
        }
    };
    drop((requests, responses));
    state.update(|services| {
        services.closed = true;
        services.request_queues.clear();
    });
    let all_ended = async { while request_tasks.join_next().await.is_some() {} };
    let flushed = timeout(reason.linger(), all_ended).await.is_ok();
    reason.complete(flushed);
}

/// Completes the handshake with a service. Returns `None` if it fails.
async fn handshake(
    stream: PeerStream,
    role: Role,
    identity: &[u8],
    slot: HandshakeSlot,
) -> Option<ZmtpConnection> {
    let handshake = timeout(
        HANDSHAKE_TIMEOUT,
        ZmtpConnection::handshake(stream, &role, identity),
    );
    let result = tokio::select! {
        result = handshake => result,
        () = slot.evicted() => return None,
    };
    let error = match result {
        Ok(Ok(connection)) => return Some(connection),
        Ok(Err(error)) => error,
        Err(_) => io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the handshake did not complete within {HANDSHAKE_TIMEOUT:?}"),
        ),
    };
    tracing::warn!(%error, "the handshake with a service failed");
    None
}

/// Runs the request connection of one service, until it is lost or the client is closed.
async fn send_requests(accepted: AcceptedConnection, state: Arc<PushDealerState>) {
    let role = Role {
        socket_type: SocketType::Push,
        accepted: &[SocketType::Pull],
        limits: state.limits,
        traffic: Traffic::Both,
    };
    let AcceptedConnection {
        stream,
        slot: _slot,
        handshake_slot,
        ..
    } = accepted;
    let Some(connection) = handshake(stream, role, b"", handshake_slot).await else {
        return;
    };
    let (requests, queue) = mpsc::channel(MAX_QUEUED_REQUESTS);
    let generation = state.update(|services| {
        services.last_generation += 1;
        if !services.closed {
            services.request_queues.insert(services.last_generation, requests);
        }
        services.last_generation
    });
    tracing::debug!(generation, "service connected for requests");
    let reason = match write_requests(connection, queue).await {
        Ok(()) => "the client is closed".to_owned(),
        Err(error) => error.to_string(),
    };
    let closed = state.update(|services| {
        services.request_queues.remove(&generation);
        services.closed
    });
    if !closed {
        // The responses of the service may still be in transit on its other connection.
        sleep(RESPONSE_GRACE).await;
        if let Some(permit) = state.inbound.reserve().await {
            permit.send(PushDealerEvent::Down { generation, reason }, 0);
        }
    }
}

/// Writes requests until the queue is closed. Returns an error if the connection is lost.
async fn write_requests(
    connection: ZmtpConnection,
    mut queue: mpsc::Receiver<Bytes>,
) -> Result<(), ConnectionError> {
    let ZmtpConnection {
        mut reader,
        mut writer,
    } = connection;
    loop {
        let write_pending = !writer.is_empty();
        tokio::select! {
            // Without a stall timeout: a service that does not read delays only the requests in its own queue.
            written = writer.write(None), if write_pending => written?,
            request = queue.recv(), if !write_pending => {
                let Some(request) = request else {
                    return writer.shutdown().await;
                };
                writer.push_frame(request);
                while let Ok(request) = queue.try_recv() {
                    writer.push_frame(request);
                }
            }
            // A `PULL` sends only heartbeats, but a read is needed to detect that it disconnected.
            decoded = reader.next(), if writer.accepts_pongs() => if let Decoded::Ping { pong } = decoded? {
                writer.push_pong(&pong);
            },
        }
    }
}

/// Runs the response connection of one service, until it is lost or the client is closed.
async fn receive_responses(accepted: AcceptedConnection, state: Arc<PushDealerState>) {
    let role = Role {
        socket_type: SocketType::Dealer,
        accepted: &[SocketType::Router],
        limits: state.limits,
        traffic: Traffic::Both,
    };
    let AcceptedConnection {
        stream,
        slot: _slot,
        handshake_slot,
        ..
    } = accepted;
    let Some(connection) = handshake(stream, role, &state.identity, handshake_slot).await else {
        return;
    };
    let mut read = std::pin::pin!(read_responses(connection, &state));
    let ended = tokio::select! {
        ended = &mut read => ended,
        () = sleep(REGISTRATION_DELAY) => {
            state.update(|services| services.response_connections += 1);
            let ended = read.await;
            state.update(|services| services.response_connections -= 1);
            ended
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "response connection of a service ended");
    }
}

/// Receives responses until the client is closed. Returns an error if the connection is lost.
async fn read_responses(
    mut connection: ZmtpConnection,
    state: &PushDealerState,
) -> Result<(), ConnectionError> {
    loop {
        let frames = connection.recv().await?;
        let bytes = message_size(&frames);
        let Some(permit) = state.inbound.reserve().await else {
            return Ok(());
        };
        permit.send(PushDealerEvent::Message { frames }, bytes);
    }
}

#[cfg(test)]
mod tests;
