//! A transport within the process, for tests.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use crate::client::{ClientDriver, client_channel};
use crate::connection::ConnectionError;
use crate::limits::OUTBOUND_MESSAGES;
use crate::link::{Backoff, STABLE_AFTER, ShutdownReason, ShutdownSignal, shutdown_channel};
use crate::queue::{EventSender, event_queue, message_size};
use crate::server::{OutgoingQueue, ServerCommand};
use crate::{
    ClientEvent, DealerClient, Endpoint, Generation, Holder, LinkConfig, LinkState, ListenerHandle,
    RouterServer, RoutingId, ServerEvent, ServerLimits, ServerSender, Transport, TransportError,
};

/// A transport within the process, in which endpoints are only names.
///
/// A clone is the same network. Two networks that were created separately are not connected. Of the limits and settings,
/// only the sizes of the event queues and of the send queue of a client apply. The queue of a server to each peer holds 1024
/// messages. No message waits for a timer, so the network works with tokio's paused clock; only a client that
/// [disconnects](crate::ClientSender::disconnect) waits before it connects again. Shutting a socket down ignores the linger time: all
/// queued messages are passed on first.
///
/// ```
/// use brubeck_zmtp::{InMemory, LinkConfig, ServerEvent, ServerLimits, Transport};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let network = InMemory::default();
/// let mut server = network.server("ipc://any/name".parse()?, ServerLimits::default()).await?;
/// let client = network.client("ipc://any/name".parse()?, LinkConfig::default())?;
///
/// let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
/// client.outbound.send_by(vec!["hello".into()], deadline).await?;
/// let Some(ServerEvent::Message { frames, .. }) = server.inbound.recv().await else { panic!() };
/// assert_eq!(frames, ["hello"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct InMemory(Arc<Mutex<HashMap<Endpoint, EndpointSlot>>>);

/// The server that is currently bound to an endpoint, or `None`.
type EndpointSlot = watch::Sender<Option<Arc<BoundServer>>>;

struct BoundServer {
    inbound: EventSender<ServerEvent>,
    peers: Mutex<HashMap<RoutingId, mpsc::Sender<Vec<Bytes>>>>,
    next_peer: AtomicU64,
}

impl BoundServer {
    fn peers(&self) -> MutexGuard<'_, HashMap<RoutingId, mpsc::Sender<Vec<Bytes>>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self) -> (RoutingId, mpsc::Receiver<Vec<Bytes>>) {
        let number = self.next_peer.fetch_add(1, Ordering::Relaxed);
        let peer = RoutingId::new(number.to_be_bytes().to_vec());
        let (sender, receiver) = mpsc::channel(OUTBOUND_MESSAGES);
        self.peers().insert(peer.clone(), sender);
        (peer, receiver)
    }

    async fn emit(&self, event: ServerEvent, bytes: usize) {
        if let Some(permit) = self.inbound.reserve().await {
            permit.send(event, bytes);
        }
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemory").finish_non_exhaustive()
    }
}

impl InMemory {
    fn slot(&self, endpoint: &Endpoint) -> EndpointSlot {
        let mut endpoints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        endpoints
            .entry(endpoint.clone())
            .or_insert_with(|| watch::Sender::new(None))
            .clone()
    }
}

impl Transport for InMemory {
    fn server(
        &self,
        endpoint: Endpoint,
        limits: ServerLimits,
    ) -> BoxFuture<'_, Result<RouterServer, TransportError>> {
        let slot = self.slot(&endpoint);
        Box::pin(async move {
            let (sender, mut inbound) = event_queue(limits.inbound_messages, limits.inbound_bytes);
            let bound = Arc::new(BoundServer {
                inbound: sender,
                peers: Mutex::default(),
                next_peer: AtomicU64::new(1),
            });
            let was_free = slot.send_if_modified(|current| {
                let free = current.is_none();
                if free {
                    *current = Some(bound.clone());
                }
                free
            });
            if !was_free {
                return Err(TransportError::InUse {
                    endpoint,
                    holder: Holder::ThisProcess,
                });
            }
            let (outbound, queue) = ServerSender::to_queue();
            let (shutdown, signal) = shutdown_channel();
            let served = ServedEndpoint { server: bound, slot };
            let listener = served.listener();
            inbound.close_with(&listener);
            tokio::spawn(serve(served, queue, signal));
            Ok(RouterServer {
                local: endpoint,
                inbound,
                outbound,
                listener,
                shutdown,
            })
        })
    }

    fn client(&self, endpoint: Endpoint, config: LinkConfig) -> Result<DealerClient, TransportError> {
        endpoint.check_connect()?;
        let (client, driver) = client_channel(&config);
        let backoff = Backoff::new(config.backoff_min, config.backoff_max);
        tokio::spawn(keep_connected(driver, self.slot(&endpoint).subscribe(), backoff));
        Ok(client)
    }
}

/// Executes the commands of a server until it is closed.
async fn serve(bound: ServedEndpoint, mut queue: OutgoingQueue, mut shutdown: ShutdownSignal) {
    let server = &bound.server;
    let reason = loop {
        tokio::select! {
            command = queue.commands.recv() => match command {
                Some(command) => execute(server, &queue, command),
                None => break ShutdownReason::Unused,
            },
            reason = shutdown.requested() => break reason,
            () = server.inbound.closed() => break ShutdownReason::Unused,
        }
    };
    while let Ok(command) = queue.commands.try_recv() {
        execute(server, &queue, command);
    }
    drop(bound);
    reason.complete(true);
}

/// Unbinds a server when it is closed, and when the runtime of its task ends.
struct ServedEndpoint {
    server: Arc<BoundServer>,
    slot: EndpointSlot,
}

impl ServedEndpoint {
    /// Returns a handle that releases the endpoint. The clients stay connected.
    fn listener(&self) -> ListenerHandle {
        let (server, slot) = (Arc::downgrade(&self.server), self.slot.clone());
        ListenerHandle::new(move || {
            if let Some(server) = server.upgrade() {
                release(&slot, &server);
            }
        })
    }
}

/// Releases the endpoint, unless another server has bound it since.
fn release(slot: &EndpointSlot, server: &Arc<BoundServer>) {
    slot.send_if_modified(|current| {
        let is_own = current.as_ref().is_some_and(|bound| Arc::ptr_eq(bound, server));
        if is_own {
            *current = None;
        }
        is_own
    });
}

impl Drop for ServedEndpoint {
    fn drop(&mut self) {
        // Release the endpoint before disconnecting the clients, so that they do not reconnect to this server.
        release(&self.slot, &self.server);
        // Dropping the senders disconnects the clients, after they have received the messages that are queued.
        self.server.peers().clear();
    }
}

fn execute(bound: &BoundServer, queue: &OutgoingQueue, command: ServerCommand) {
    let mut peers = bound.peers();
    let (peer, frames) = match command {
        ServerCommand::Message { peer, frames } => (peer, frames),
        ServerCommand::Disconnect { peer } => return drop(peers.remove(&peer)),
    };
    match peers.get(&peer).map(|sender| sender.try_send(frames)) {
        Some(Ok(())) => queue.counters.record_sent(1),
        Some(Err(mpsc::error::TrySendError::Full(_))) => {
            peers.remove(&peer);
            queue.counters.record_stalled();
        }
        Some(Err(mpsc::error::TrySendError::Closed(_))) | None => queue.counters.record_dropped(1),
    }
}

/// Connects to each server that is bound to the endpoint, until the client is closed.
async fn keep_connected(
    mut driver: ClientDriver,
    mut slot: watch::Receiver<Option<Arc<BoundServer>>>,
    mut backoff: Backoff,
) {
    let mut generation: Generation = 0;
    let reason = loop {
        let bound = tokio::select! {
            current = slot.wait_for(Option::is_some) => match current.as_deref() {
                Ok(Some(bound)) => bound.clone(),
                _ => break ShutdownReason::Unused,
            },
            reason = driver.link.wait_for_shutdown() => break reason,
        };
        generation += 1;
        let connected_at = Instant::now();
        let (peer, messages) = bound.connect();
        let ended = run_connection(&mut driver, generation, &bound, &peer, messages).await;
        bound.peers().remove(&peer);
        bound.emit(ServerEvent::Disconnected { peer }, 0).await;
        // Publish the state first, because senders check it. A message of a sender that has just checked it may still be
        // queued later; its generation ensures that it is dropped.
        driver.state.send_replace(LinkState::Connecting);
        driver.link.drop_outbound();
        let ended = match ended {
            Ok(ended) => ended,
            Err(reason) => break reason,
        };
        let down = ClientEvent::Down {
            generation,
            reason: ended.to_string(),
        };
        if let Err(reason) = driver.link.emit(down).await {
            break reason;
        }
        match ended {
            ConnectionError::Abandoned if connected_at.elapsed() < STABLE_AFTER => tokio::select! {
                () = sleep(backoff.next()) => {}
                reason = driver.link.wait_for_shutdown() => break reason,
            },
            _ => backoff.reset(),
        }
    };
    driver.state.send_replace(LinkState::Closed);
    reason.complete(true);
}

/// Runs one connection until it is lost, and returns why. Returns an error if the client is closed first.
async fn run_connection(
    driver: &mut ClientDriver,
    generation: Generation,
    bound: &BoundServer,
    peer: &RoutingId,
    mut messages: mpsc::Receiver<Vec<Bytes>>,
) -> Result<ConnectionError, ShutdownReason> {
    let ClientDriver {
        link,
        disconnected,
        state,
        ..
    } = driver;
    state.send_replace(LinkState::Up(generation));
    link.emit(ClientEvent::Up { generation }).await?;
    let send = async |(target, frames): (Generation, Vec<Bytes>), counters: &crate::MessageCounters| {
        // A message belongs to one connection. It is dropped if that is an earlier connection.
        if target != generation {
            return counters.record_dropped(1);
        }
        let bytes = message_size(&frames);
        let peer = peer.clone();
        bound.emit(ServerEvent::Message { peer, frames }, bytes).await;
        counters.record_sent(1);
    };
    loop {
        tokio::select! {
            outgoing = link.outbound.recv() => match outgoing {
                Some(outgoing) => send(outgoing, &link.counters).await,
                None => return Err(ShutdownReason::Unused),
            },
            frames = messages.recv() => {
                let Some(frames) = frames else { return Ok(ConnectionError::Closed) };
                let bytes = message_size(&frames);
                let permit = link.inbound.reserve().await.ok_or(ShutdownReason::Unused)?;
                permit.send(ClientEvent::Message { generation, frames }, bytes);
            }
            Ok(()) = disconnected.changed() => if *disconnected.borrow_and_update() >= generation {
                return Ok(ConnectionError::Abandoned);
            },
            () = link.inbound.closed() => return Err(ShutdownReason::Unused),
            reason = link.shutdown.requested() => {
                while let Ok(outgoing) = link.outbound.try_recv() {
                    send(outgoing, &link.counters).await;
                }
                return Err(reason);
            }
        }
    }
}
