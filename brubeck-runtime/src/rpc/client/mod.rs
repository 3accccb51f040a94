//! The client side of brubeck's protocol: a pool of connections to the workers of one service.

mod contracts;
mod pool_call;
mod resolve;
mod successor;

pub(crate) use resolve::system_resolver;

use super::api::{
    CallError, CallSite, DeadlineTimer, Link, Origin, PendingResponse, ServiceAddress, ServiceRequest,
};
use super::codec::limits::MAX_FRAMES;
use super::codec::{ByteStr, WireReply};
use super::convert;
use super::core::{CallNumber, CallOptions, Caller, CallerAction, CallerConfig, CallerEvent, IdMap, PeerId};
use super::driver::{Clock, Driver, TimerTarget, random_seed, run_timer};
use brubeck_zmtp::{
    ClientEvent, ClientSender, DealerClient, Endpoint, EventReceiver, LINGER, LinkConfig, ShutdownHandle,
    Transport, TransportError, watchdog,
};
use futures_util::future::BoxFuture;
use pool_call::{CancelOnDrop, PoolCall};
use resolve::{Resolver, WorkerAddresses};
use std::future::ready;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use successor::Succession;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// The maximum number of workers of a pool, including those that were removed and finish their calls.
const MAX_CONNECTED_WORKERS: usize = 2 * resolve::MAX_WORKERS;

/// Upper bound of the send queue of one connection, in messages.
const MAX_QUEUED_MESSAGES: usize = 1 << 20;

/// The number of bytes by which a message may exceed the body limit before its connection is closed.
///
/// It covers the headers of a message. It is large, so that a response body slightly above the limit fails its own call
/// and not the connection.
const MESSAGE_SLACK_BYTES: usize = 64 << 20;

/// A link to a service with one or more workers. Each call goes to a worker that has capacity.
///
/// The [`Caller`], a state machine without I/O, implements the protocol. Every event, such as a new call or a received message,
/// is passed to the `Caller` under one lock, and the actions that it returns are executed under the same lock.
pub(crate) struct Pool {
    address: String,
    inner: Arc<PoolInner>,
}

pub(super) struct PoolInner {
    transport: Arc<dyn Transport>,
    runtime: Handle,
    link_config: LinkConfig,
    /// Resolves each host name to the addresses of its workers. If it is `None`, a host name counts as one worker, and the
    /// transport resolves the name.
    resolver: Option<Resolver>,
    /// Locked before `state`: adding a worker passes an event to the state machine.
    addresses: Mutex<WorkerAddresses>,
    clock: Clock,
    timer_changed: Arc<Notify>,
    /// Set, under the lock of the state, when the runtime has ended. No call is accepted then, because nothing would end it at its
    /// deadline.
    closed: AtomicBool,
    state: Mutex<PoolState>,
}

struct PoolState {
    /// The addresses of the service, for errors.
    address: String,
    /// The workers are reached over sockets, which do not wait for a paused clock.
    network: bool,
    clock: Clock,
    /// For actions that must not run under the lock of the state.
    pool: Weak<PoolInner>,
    /// Workers may be added and removed on threads outside of the runtime.
    runtime: Handle,
    driver: Driver<Caller>,
    calls: IdMap<CallNumber, CallChannels>,
    workers: IdMap<PeerId, WorkerConnection>,
    next_call: u64,
    next_worker: u64,
    /// The error of the last resolution of a host name, if it failed.
    resolve_error: Option<String>,
}

/// The channels to the future of a call that has not ended.
struct CallChannels {
    /// Notified when a worker has accepted the call. `None` after that, or if the caller does not wait for the acceptance.
    accepted: Option<oneshot::Sender<()>>,
    result: oneshot::Sender<ReplyOfWorker>,
}

/// A reply and the address of its worker. An error has it in its site.
type ReplyOfWorker = Result<(WireReply, Option<Arc<str>>), CallError>;

struct WorkerConnection {
    /// For errors and the log.
    address: Arc<str>,
    /// The reason for which the connection was closed, and that was logged. `None` after a session was opened.
    logged_reason: Option<&'static str>,
    outbound: ClientSender,
    shutdown: ShutdownHandle,
    succession: Succession,
    /// Kept because dropping it closes the connection. `None` until its handler is set.
    inbound: Option<EventReceiver<ClientEvent>>,
}

impl Pool {
    /// Creates a pool of the workers at the addresses of `service`. Connections are made in the background. Calls wait for
    /// the first connection to a worker for `connect_grace`, or for the default of [`CallerConfig`].
    pub(crate) fn open(
        transport: Arc<dyn Transport>,
        service: &ServiceAddress,
        resolver: Option<Resolver>,
        connect_grace: Option<Duration>,
    ) -> crate::Result<Pool> {
        let mut config = CallerConfig::for_service(service);
        config.connect_grace = connect_grace.unwrap_or(config.connect_grace);
        let link_config = LinkConfig {
            // For each call in flight, its request and one message about it.
            outbound_messages: config
                .max_in_flight
                .saturating_mul(2)
                .clamp(1, MAX_QUEUED_MESSAGES),
            max_frames: MAX_FRAMES,
            max_message_bytes: config
                .max_body
                .saturating_add(MESSAGE_SLACK_BYTES)
                .max(LinkConfig::default().max_message_bytes),
            ..LinkConfig::default()
        };
        let address = service.addresses().collect::<Vec<_>>().join(", ");
        let (network, clock) = (resolver.is_some(), Clock::start());
        let inner = Arc::new(PoolInner {
            transport,
            runtime: Handle::current(),
            link_config,
            resolver,
            addresses: Mutex::default(),
            clock,
            timer_changed: Arc::default(),
            closed: AtomicBool::new(false),
            state: Mutex::new(PoolState {
                address: address.clone(),
                network,
                clock,
                pool: Weak::new(),
                runtime: Handle::current(),
                driver: Driver::new(Caller::new(config, random_seed()?)),
                calls: IdMap::default(),
                workers: IdMap::default(),
                next_call: 0,
                next_worker: 0,
                resolve_error: None,
            }),
        });
        inner.lock().pool = Arc::downgrade(&inner);
        let pool = Pool { address, inner };
        for address in service.addresses() {
            pool.inner.add_address(address, service.folder())?;
        }
        let close_with_runtime = CloseOnDrop(Arc::downgrade(&pool.inner));
        let timer = run_timer(Arc::downgrade(&pool.inner), pool.inner.timer_changed.clone());
        watchdog::spawn(async move {
            let _close_with_runtime = close_with_runtime;
            timer.await;
        });
        Ok(pool)
    }

    /// Passes a call to the state machine. `accepted` is notified when a worker has accepted the call.
    fn start_call(
        &self,
        request: ServiceRequest,
        deadline: Instant,
        accepted: Option<oneshot::Sender<()>>,
    ) -> Result<PoolCall, CallError> {
        let (result_sender, result) = oneshot::channel();
        let timer = DeadlineTimer::new(deadline);
        let declaration = request.operation.map(|operation| operation.declaration);
        let request = convert::to_call_request(request, accepted.is_some())?;
        let deadline = self.inner.clock.moment(deadline);
        let options = CallOptions {
            wait_for_ready: self.inner.addresses().has_unresolved(),
            declaration,
        };
        let mut state = self.inner.lock();
        let call = CallNumber(state.next_call);
        state.next_call += 1;
        let pending = CallChannels {
            accepted,
            result: result_sender,
        };
        // Otherwise `pending` is dropped, and the call ends with `ShuttingDown`.
        if !self.inner.is_closed() {
            state.calls.insert(call, pending);
            let event = CallerEvent::Call {
                call,
                request: request.into(),
                deadline,
                options,
            };
            self.inner.step(&mut state, event);
        }
        drop(state);
        Ok(PoolCall {
            result,
            timer,
            cancel_on_drop: CancelOnDrop {
                call,
                pool: self.inner.clone(),
                ended: false,
            },
        })
    }
}

impl CallerConfig {
    fn for_service(service: &ServiceAddress) -> CallerConfig {
        let mut config = CallerConfig {
            max_peers: MAX_CONNECTED_WORKERS,
            service: ByteStr::from(service.service_name().unwrap_or_default().to_owned()),
            ..CallerConfig::default()
        };
        if let Some(bytes) = service.body_limit {
            config.max_body = bytes;
            // Room for at least two requests of the largest size. Responses do not count.
            config.max_pending_bytes = config.max_pending_bytes.max(bytes.saturating_mul(2));
        }
        if let Some(calls) = service.concurrency {
            (config.max_in_flight, config.max_queue) = (calls, calls);
        }
        config
    }
}

impl Link for Pool {
    fn call(&self, request: ServiceRequest, _: Option<Origin>, deadline: Instant) -> PendingResponse {
        match self.start_call(request, deadline, None) {
            Ok(call) => Box::pin(call),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn post(
        &self,
        request: ServiceRequest,
        _: Option<Origin>,
        deadline: Instant,
    ) -> BoxFuture<'static, Result<PendingResponse, CallError>> {
        let (notify_accepted, accepted) = oneshot::channel();
        let call = self.start_call(request, deadline, Some(notify_accepted));
        Box::pin(async move {
            let mut call = Box::pin(call?);
            tokio::select! {
                biased;
                Ok(()) = accepted => Ok(call as PendingResponse),
                // The call ended without being accepted. A response counts as accepted.
                result = &mut call => {
                    result.map(|response| Box::pin(ready(Ok(response))) as PendingResponse)
                }
            }
        })
    }

    fn address(&self) -> &str {
        &self.address
    }

    fn response_unreadable(&self, worker: &str) {
        let mut state = self.inner.lock();
        let mut workers = state.workers.iter();
        if let Some((peer, _)) = workers.find(|(_, known)| &*known.address == worker) {
            let peer = *peer;
            self.inner.step(&mut state, CallerEvent::Unreadable { peer });
        }
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    fn add_worker(&self, address: &str) -> crate::Result<()> {
        self.inner.add_address(address, None)
    }

    fn remove_worker(&self, address: &str) -> crate::Result<bool> {
        Ok(self.inner.remove_address(address))
    }

    fn workers(&self) -> Vec<String> {
        self.inner.addresses().list()
    }
}

/// Converts an event of a connection to one of the state machine.
fn to_caller_event(peer: PeerId, address: &str, event: ClientEvent) -> CallerEvent {
    match event {
        ClientEvent::Up { generation: link } => {
            tracing::debug!(address, link, "connected to worker");
            CallerEvent::LinkUp { peer, link }
        }
        ClientEvent::Message {
            generation: link,
            frames,
        } => CallerEvent::Frames { peer, link, frames },
        ClientEvent::Down {
            generation: link,
            reason,
        } => {
            // The link has logged it as a warning, unless the pool has closed the connection itself.
            tracing::debug!(address, link, reason, "connection to worker lost, reconnecting");
            CallerEvent::LinkDown { peer, link }
        }
    }
}

impl PoolInner {
    /// Adds a worker and connects to it in the background. May be called outside of the runtime.
    pub(super) fn connect_worker(self: &Arc<Self>, endpoint: Endpoint) -> Result<PeerId, TransportError> {
        self.connect(endpoint, Succession::default())
    }

    fn connect(
        self: &Arc<Self>,
        endpoint: Endpoint,
        succession: Succession,
    ) -> Result<PeerId, TransportError> {
        let address: Arc<str> = endpoint.to_string().into();
        if self.lock().workers.len() >= MAX_CONNECTED_WORKERS {
            let reason = format!(
                "{MAX_CONNECTED_WORKERS} workers are connected, including those that were removed and finish their calls; \
                 wait until these have ended"
            );
            return Err(TransportError::Io(std::io::Error::other(reason)));
        }
        let _guard = self.runtime.enter();
        let DealerClient {
            mut inbound,
            outbound,
            shutdown,
            ..
        } = self.transport.client(endpoint, self.link_config.clone())?;
        let peer = {
            let mut state = self.lock();
            let peer = PeerId(state.next_worker);
            state.next_worker += 1;
            let worker = WorkerConnection {
                address: address.clone(),
                logged_reason: None,
                outbound,
                shutdown,
                succession,
                inbound: None,
            };
            state.workers.insert(peer, worker);
            peer
        };
        // Before the handler is set: the state machine ignores events of a worker that it does not know.
        self.handle_event(CallerEvent::AddPeer { peer });
        // The handler must not be set under the lock of the state: it may run at once, and takes that lock itself.
        let pool = Arc::downgrade(self);
        inbound.set_handler(move |event| {
            if let Some(pool) = pool.upgrade() {
                pool.handle_event(to_caller_event(peer, &address, event));
            }
        });
        if let Some(worker) = self.lock().workers.get_mut(&peer) {
            worker.inbound = Some(inbound);
        }
        Ok(peer)
    }

    /// Sends no further calls to a worker, and closes its connection once the calls in flight have ended.
    pub(super) fn remove_worker(&self, peer: PeerId) {
        self.handle_event(CallerEvent::RemovePeer { peer });
    }

    /// Returns `true` if the calling thread runs the runtime of this pool.
    fn is_current(&self) -> bool {
        Handle::try_current().is_ok_and(|current| current.id() == self.runtime.id())
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle_event(&self, event: CallerEvent) {
        self.step(&mut self.lock(), event);
    }

    /// Passes an event to the state machine and executes the actions that follow from it.
    fn step(&self, state: &mut PoolState, event: CallerEvent) {
        let now = self.clock.now();
        #[cfg(feature = "metrics")]
        let retried = state.driver.machine.counters().retried;
        state.driver.handle_event(event);
        while let Some(action) = state.driver.poll_action(now) {
            state.execute(action);
        }
        #[cfg(feature = "metrics")]
        match state.driver.machine.counters().retried - retried {
            0 => {}
            count => super::api::metrics::record_retries(&state.address, count),
        }
        if state.driver.timeout_changed().is_some() {
            self.timer_changed.notify_one();
        }
    }
}

impl PoolState {
    /// Adds the reason why no worker is reachable: that of the connections, or a paused clock.
    fn explain(&self, error: CallError) -> CallError {
        let address = &self.address;
        match error {
            CallError::NoWorkers(_) if self.network && self.clock.has_jumped() => CallError::NoWorkers(
                format!(
                    "{address}: tokio's clock is paused, so the time to connect passed before the socket was connected; use a \
                     `TestSite`, or remove `start_paused` and `tokio::time::pause`"
                )
                .into(),
            ),
            CallError::NoWorkers(reason) => {
                let mut errors = self.workers.values().filter_map(|worker| worker.outbound.last_error());
                let cause = errors.next().or_else(|| self.resolve_error.clone());
                let cause = cause.map(|error| format!(" ({error})")).unwrap_or_default();
                CallError::NoWorkers(format!("{address}: {reason}{cause}").into())
            }
            other => other,
        }
    }

    fn execute(&mut self, action: CallerAction) {
        match action {
            CallerAction::Send {
                peer,
                link,
                frames,
                call,
            } => {
                let sent = self
                    .workers
                    .get(&peer)
                    .map(|worker| worker.outbound.try_send_on(link, frames));
                if !matches!(sent, Some(Ok(()))) {
                    self.driver
                        .handle_event(CallerEvent::SendFailed { peer, link, call });
                }
            }
            CallerAction::Accepted { call } => {
                if let Some(accepted) = self
                    .calls
                    .get_mut(&call)
                    .and_then(|pending| pending.accepted.take())
                {
                    // Fails if the future of the call is being dropped on another thread.
                    let _ = accepted.send(());
                }
            }
            CallerAction::Finish { call, peer, outcome } => {
                if let Some(pending) = self.calls.remove(&call) {
                    let worker = peer.and_then(|peer| self.workers.get(&peer));
                    let worker = worker.map(|worker| worker.address.clone());
                    let outcome = match outcome {
                        Ok(reply) => Ok((reply, worker)),
                        Err(error) => Err(self.explain(error).at(CallSite::of_worker(worker))),
                    };
                    // Fails if the future of the call is being dropped on another thread.
                    let _ = pending.result.send(outcome);
                }
            }
            CallerAction::DropLink { peer, link, reason } => {
                if let Some(worker) = self.workers.get_mut(&peer) {
                    // A denial would be logged with every attempt.
                    if worker.logged_reason.replace(reason) == Some(reason) {
                        tracing::debug!(
                            worker.address = &*worker.address,
                            link,
                            reason,
                            "closing connection to worker again"
                        );
                    } else {
                        tracing::warn!(
                            worker.address = &*worker.address,
                            link,
                            reason,
                            "closing connection to worker, reconnecting until it is usable"
                        );
                    }
                    worker.outbound.disconnect(link);
                }
            }
            CallerAction::SessionOpened { peer } => {
                self.settle_succession(peer);
                if let Some(worker) = self.workers.get_mut(&peer)
                    && worker.logged_reason.take().is_some()
                {
                    tracing::info!(
                        worker.address = &*worker.address,
                        "connection to worker is usable again"
                    );
                }
            }
            CallerAction::ContractDiffers { peer, here, there } => {
                if let Some(worker) = self.workers.get(&peer) {
                    contracts::report_difference(&here, there.as_ref(), &worker.address);
                }
            }
            CallerAction::PeerEjected { peer, pause } => {
                if let Some(worker) = self.workers.get(&peer) {
                    tracing::warn!(
                        worker.address = &*worker.address,
                        pause_ms = pause.as_millis(),
                        "worker fails more often than the others, so it gets no calls for a while; look for the reason in its log"
                    );
                }
            }
            CallerAction::PeerRestored { peer } => {
                if let Some(worker) = self.workers.get(&peer) {
                    tracing::info!(
                        worker.address = &*worker.address,
                        "worker has recovered and gets its share of the calls"
                    );
                }
            }
            CallerAction::PeerDraining { peer } => self.find_successor(peer),
            CallerAction::PeerRemoved { peer } => {
                if let Some(worker) = self.workers.remove(&peer) {
                    self.end_succession(&worker.succession);
                    self.runtime.spawn(async move {
                        // If `inbound` were dropped earlier, the connection would close before the last messages are sent.
                        let _inbound = worker.inbound;
                        worker.shutdown.shutdown(LINGER).await
                    });
                }
            }
        }
    }
}

impl TimerTarget for PoolInner {
    fn next_wake(&self) -> Option<Instant> {
        let timeout = self.lock().driver.poll_timeout();
        timeout.map(|moment| self.clock.instant(moment))
    }

    fn wake(self: &Arc<Self>) {
        self.handle_event(CallerEvent::Wake);
    }
}

/// Closes a pool when the runtime drops its timer task.
struct CloseOnDrop(Weak<PoolInner>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let Some(pool) = self.0.upgrade() else { return };
        let mut state = pool.lock();
        pool.closed.store(true, Ordering::Release);
        let calls = std::mem::take(&mut state.calls);
        let workers = std::mem::take(&mut state.workers);
        // Dropped without the lock: the calls end with `ShuttingDown`, which wakes their callers, and the connections are closed.
        drop(state);
        drop((calls, workers));
    }
}

impl Drop for PoolInner {
    fn drop(&mut self) {
        // Ends `run_timer`, which finds the pool gone.
        self.timer_changed.notify_one();
    }
}
