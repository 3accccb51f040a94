//! The calling side: the processes of one service, and the calls on their way to them.

mod resolve;

pub(crate) use resolve::system_resolver;

use super::api::{CallError, Link, Origin, PendingResponse, ServiceAddress, ServiceRequest, ServiceResponse};
use super::codec::WireReply;
use super::convert;
use super::core::{CallId, CallOptions, Caller, CallerAction, CallerConfig, CallerEvent, IdMap, PeerId};
use super::driver::{Clock, Driver, TimerTarget, random_seed, run_timer};
use brubeck_zmtp::{
    Client, ClientEvent, ClientSender, Endpoint, EventReceiver, LINGER, LinkConfig, ShutdownHandle,
    Transport, TransportError,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use resolve::{PoolMembers, Resolver};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// Messages that may wait for one connection, however many calls may be on their way.
const MESSAGES: usize = 1 << 20;

/// Bytes of a message beside its body, and more than that: a body that is a little too large is one of its call alone.
const SPARE: usize = 64 << 20;

/// A link to a service that runs in one process or in many; each call goes to one that has room.
pub(crate) struct Pool {
    address: String,
    shared: Arc<PoolInner>,
}

pub(super) struct PoolInner {
    transport: Arc<dyn Transport>,
    runtime: Handle,
    timing: LinkConfig,
    /// `None`: names are no more than names.
    resolve: Option<Resolver>,
    members: Mutex<PoolMembers>,
    clock: Clock,
    timer_changed: Arc<Notify>,
    state: Mutex<PoolState>,
}

struct PoolState {
    /// A process may be added or removed by a thread of the user's, outside of the runtime.
    runtime: Handle,
    driver: Driver<Caller>,
    waiting: IdMap<CallId, PendingCall>,
    workers: IdMap<PeerId, WorkerConnection>,
    next_call: u64,
    next_worker: u64,
}

struct PendingCall {
    accepted: Option<oneshot::Sender<()>>,
    ended: oneshot::Sender<Result<WireReply, CallError>>,
}

struct WorkerConnection {
    outbound: ClientSender,
    shutdown: ShutdownHandle,
    /// Held for as long as the link is to be there.
    inbound: Option<EventReceiver<ClientEvent>>,
}

impl Pool {
    /// A pool of the processes at these addresses; connecting goes on in the background.
    pub(crate) fn open(
        transport: Arc<dyn Transport>,
        service: &ServiceAddress,
        resolve: Option<Resolver>,
    ) -> crate::Result<Pool> {
        let config = CallerConfig::of(service);
        let timing = LinkConfig {
            // Beside a request for each call that may be on its way, what is said about it.
            outbound_messages: config.max_in_flight.saturating_mul(2).clamp(1, MESSAGES),
            max_message_bytes: config
                .max_body
                .saturating_add(SPARE)
                .max(LinkConfig::default().max_message_bytes),
            ..LinkConfig::default()
        };
        let shared = Arc::new(PoolInner {
            transport,
            runtime: Handle::current(),
            timing,
            resolve,
            members: Mutex::default(),
            clock: Clock::start(),
            timer_changed: Arc::default(),
            state: Mutex::new(PoolState {
                runtime: Handle::current(),
                driver: Driver::new(Caller::new(config, random_seed()?)),
                waiting: IdMap::default(),
                workers: IdMap::default(),
                next_call: 0,
                next_worker: 0,
            }),
        });
        let pool = Pool {
            address: service.addresses().collect::<Vec<_>>().join(", "),
            shared,
        };
        for address in service.addresses() {
            pool.shared.add(address)?;
        }
        tokio::spawn(run_timer(
            Arc::downgrade(&pool.shared),
            pool.shared.timer_changed.clone(),
        ));
        Ok(pool)
    }

    /// Hands a call to the core; `accepted` is told when a process has taken it.
    fn begin(
        &self,
        request: ServiceRequest,
        deadline: Instant,
        accepted: Option<oneshot::Sender<()>>,
    ) -> PoolCall {
        let (end, ended) = oneshot::channel();
        let request = convert::to_call_request(request, accepted.is_some());
        let deadline = self.shared.clock.moment(deadline);
        let options = CallOptions {
            wait_for_ready: self.shared.members().are_unresolved(),
        };
        let mut state = self.shared.lock();
        let call = CallId(state.next_call);
        state.next_call += 1;
        let waiting = PendingCall { accepted, ended: end };
        state.waiting.insert(call, waiting);
        let event = CallerEvent::Call {
            call,
            request: request.into(),
            deadline,
            options,
        };
        self.shared.tell(&mut state, event);
        drop(state);
        PoolCall {
            ended,
            waiting: CancelOnDrop {
                call,
                shared: self.shared.clone(),
                ended: false,
            },
        }
    }
}

impl CallerConfig {
    /// How a caller of this service behaves.
    fn of(service: &ServiceAddress) -> CallerConfig {
        let mut config = CallerConfig {
            passphrase: service.passphrase().clone(),
            ..CallerConfig::default()
        };
        if let Some(bytes) = service.body_limit {
            config.max_body = bytes;
            // One that is sent, and one that is answered.
            config.max_pending_bytes = config.max_pending_bytes.max(bytes.saturating_mul(2));
        }
        if let Some(calls) = service.concurrency {
            (config.max_in_flight, config.max_queue) = (calls, calls);
        }
        config
    }
}

/// A call that was handed to the core, and ends in its answer.
struct PoolCall {
    ended: oneshot::Receiver<Result<WireReply, CallError>>,
    waiting: CancelOnDrop,
}

impl Future for PoolCall {
    type Output = Result<ServiceResponse<Bytes>, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.ended).poll(cx));
        self.waiting.ended = true;
        Poll::Ready(
            outcome
                .unwrap_or(Err(CallError::ShuttingDown))
                .map(convert::to_service_response),
        )
    }
}

impl Link for Pool {
    fn call(&self, request: ServiceRequest, _origin: Option<Origin>, deadline: Instant) -> PendingResponse {
        Box::pin(self.begin(request, deadline, None))
    }

    fn post(
        &self,
        request: ServiceRequest,
        _origin: Option<Origin>,
        deadline: Instant,
    ) -> BoxFuture<'static, Result<PendingResponse, CallError>> {
        let (accept, accepted) = oneshot::channel();
        let begun = self.begin(request, deadline, Some(accept));
        Box::pin(async move {
            let mut end = Box::pin(begun);
            tokio::select! {
                biased;
                Ok(()) = accepted => Ok(end as PendingResponse),
                answer = &mut end => {
                    answer.map(|answer| Box::pin(std::future::ready(Ok(answer))) as PendingResponse)
                }
            }
        })
    }

    fn address(&self) -> &str {
        &self.address
    }

    fn add_worker(&self, address: &str) -> crate::Result<()> {
        self.shared.add(address)
    }

    fn remove_worker(&self, address: &str) -> crate::Result<bool> {
        Ok(self.shared.remove(address))
    }

    fn workers(&self) -> Vec<String> {
        self.shared.members().addresses()
    }
}

/// Gives the call up when whoever waits has gone.
struct CancelOnDrop {
    call: CallId,
    shared: Arc<PoolInner>,
    ended: bool,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut state = self.shared.lock();
        if state.waiting.remove(&self.call).is_some() {
            let event = CallerEvent::Cancel { call: self.call };
            self.shared.tell(&mut state, event);
        }
    }
}

/// What the core is told of what happens on the link to one process.
fn told(peer: PeerId, address: &str, event: ClientEvent) -> CallerEvent {
    match event {
        ClientEvent::Up { generation: link } => {
            tracing::debug!(address, link, "connected to a service");
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
            tracing::warn!(address, link, reason, "the connection to a service is lost");
            CallerEvent::LinkDown { peer, link }
        }
    }
}

impl PoolInner {
    /// Connects to one more process.
    pub(super) fn join(self: &Arc<Self>, endpoint: Endpoint) -> Result<PeerId, TransportError> {
        let address = endpoint.to_string();
        let _entered = self.runtime.enter();
        let Client {
            mut inbound,
            outbound,
            shutdown,
            ..
        } = self.transport.client(endpoint, self.timing.clone())?;
        let peer = {
            let mut state = self.lock();
            let peer = PeerId(state.next_worker);
            state.next_worker += 1;
            let worker = WorkerConnection {
                outbound,
                shutdown,
                inbound: None,
            };
            state.workers.insert(peer, worker);
            peer
        };
        self.happened(CallerEvent::AddPeer { peer });
        let shared = Arc::downgrade(self);
        inbound.set_handler(move |event| {
            if let Some(shared) = shared.upgrade() {
                shared.happened(told(peer, &address, event));
            }
        });
        if let Some(worker) = self.lock().workers.get_mut(&peer) {
            worker.inbound = Some(inbound);
        }
        Ok(peer)
    }

    /// Sends a process no more calls; the connection ends with those that are on their way.
    pub(super) fn leave(&self, peer: PeerId) {
        self.happened(CallerEvent::RemovePeer { peer });
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn happened(&self, event: CallerEvent) {
        self.tell(&mut self.lock(), event);
    }

    /// Tells the core, and carries out what it asks for.
    fn tell(&self, state: &mut PoolState, event: CallerEvent) {
        let now = self.clock.now();
        state.driver.handle_event(event);
        while let Some(action) = state.driver.poll_action(now) {
            state.carry_out(action);
        }
        if state.driver.timeout_changed().is_some() {
            self.timer_changed.notify_one();
        }
    }
}

impl PoolState {
    fn carry_out(&mut self, action: CallerAction) {
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
                    .waiting
                    .get_mut(&call)
                    .and_then(|waiting| waiting.accepted.take())
                {
                    // Whoever waited may have gone this very moment.
                    let _ = accepted.send(());
                }
            }
            CallerAction::Finish { call, outcome } => {
                if let Some(waiting) = self.waiting.remove(&call) {
                    let _ = waiting.ended.send(outcome);
                }
            }
            CallerAction::DropLink { peer, link, reason } => {
                if let Some(worker) = self.workers.get(&peer) {
                    tracing::warn!(link, reason, "the connection to a service is given up");
                    worker.outbound.disconnect(link);
                }
            }
            CallerAction::PeerRemoved { peer } => {
                if let Some(worker) = self.workers.remove(&peer) {
                    self.runtime.spawn(async move {
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
        self.happened(CallerEvent::Wake);
    }
}

impl Drop for PoolInner {
    fn drop(&mut self) {
        self.timer_changed.notify_one();
    }
}
