//! The calling side: the processes of one service, and the calls on their way to them.

use super::members::{Members, Resolve};
use super::{Clock, Wakes, convert, keep_time, seed};
use crate::call::protocol::{
    CallId, Caller, CallerAction, CallerConfig, CallerEvent, Numbered, Options, PeerId,
};
use crate::call::{Answer, CallError, Link, Origin, Placed, Request};
use crate::connect::transport;
use crate::wire::v2::Reply;
use brubeck_zmtp::{
    Client, ClientEvent, ClientSender, Endpoint, EventReceiver, LINGER, LinkConfig, ShutdownHandle,
    Transport, TransportError,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// Messages that may wait for one connection, however many calls may be on their way.
const MESSAGES: usize = 1 << 20;

/// Bytes of a message beside its body, and more than that: a body that is a little too large is one of its call alone.
const SPARE: usize = 64 << 20;

/// A link to a service that runs in one process or in many; each call goes to one that has room.
pub(in crate::connect) struct Pool {
    address: String,
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    transport: Arc<dyn Transport>,
    timing: LinkConfig,
    /// `None`: names are no more than names.
    pub(super) resolve: Option<Resolve>,
    pub(super) members: Mutex<Members>,
    clock: Clock,
    rearm: Arc<Notify>,
    state: Mutex<State>,
}

struct State {
    caller: Caller,
    /// Kept from event to event, so that none allocates.
    actions: Vec<CallerAction>,
    events: VecDeque<CallerEvent>,
    waiting: Numbered<CallId, Waiting>,
    workers: Numbered<PeerId, Worker>,
    next_call: u64,
    next_worker: u64,
    armed: Option<Instant>,
}

struct Waiting {
    accepted: Option<oneshot::Sender<()>>,
    ended: oneshot::Sender<Result<Reply, CallError>>,
}

struct Worker {
    outbound: ClientSender,
    shutdown: ShutdownHandle,
    /// Held for as long as the link is to be there.
    inbound: Option<EventReceiver<ClientEvent>>,
}

impl Pool {
    /// A pool of the processes at these addresses; connecting goes on in the background.
    pub(in crate::connect) fn open(
        transport: Arc<dyn Transport>,
        addresses: &[String],
        config: CallerConfig,
        resolve: Option<Resolve>,
    ) -> crate::Result<Pool> {
        let timing = LinkConfig {
            // Beside a request for each call that may be on its way, what is said about it.
            outbound_messages: config.max_in_flight.saturating_mul(2).clamp(1, MESSAGES),
            max_message_bytes: config
                .max_body
                .saturating_add(SPARE)
                .max(LinkConfig::default().max_message_bytes),
            ..LinkConfig::default()
        };
        let shared = Arc::new(Shared {
            transport,
            timing,
            resolve,
            members: Mutex::default(),
            clock: Clock::start(),
            rearm: Arc::default(),
            state: Mutex::new(State {
                caller: Caller::new(config, seed()?),
                actions: Vec::new(),
                events: VecDeque::new(),
                waiting: Numbered::default(),
                workers: Numbered::default(),
                next_call: 0,
                next_worker: 0,
                armed: None,
            }),
        });
        let pool = Pool {
            address: addresses.join(", "),
            shared,
        };
        for address in addresses {
            pool.shared.add(address)?;
        }
        tokio::spawn(keep_time(Arc::downgrade(&pool.shared), pool.shared.rearm.clone()));
        Ok(pool)
    }

    /// Hands a call to the core; `accepted` is told when a process has taken it.
    fn begin(&self, request: Request, deadline: Instant, accepted: Option<oneshot::Sender<()>>) -> Begun {
        let (end, ended) = oneshot::channel();
        let ask = convert::ask(request, accepted.is_some());
        let deadline = self.shared.clock.moment(deadline);
        let options = Options {
            patient: self.shared.members().are_unresolved(),
        };
        let mut state = self.shared.lock();
        let call = CallId(state.next_call);
        state.next_call += 1;
        let waiting = Waiting { accepted, ended: end };
        state.waiting.insert(call, waiting);
        let event = CallerEvent::Call {
            call,
            ask: ask.into(),
            deadline,
            options,
        };
        self.shared.tell(&mut state, event);
        drop(state);
        Begun {
            ended,
            waiting: WaitingCall {
                call,
                shared: self.shared.clone(),
                ended: false,
            },
        }
    }
}

/// A call that was handed to the core, and ends in its answer.
struct Begun {
    ended: oneshot::Receiver<Result<Reply, CallError>>,
    waiting: WaitingCall,
}

impl Future for Begun {
    type Output = Result<Answer<Bytes>, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.ended).poll(cx));
        self.waiting.ended = true;
        Poll::Ready(
            outcome
                .unwrap_or(Err(CallError::ShuttingDown))
                .map(convert::answer),
        )
    }
}

impl Link for Pool {
    fn call(&self, request: Request, _origin: Option<Origin>, deadline: Instant) -> Placed {
        Box::pin(self.begin(request, deadline, None))
    }

    fn post(
        &self,
        request: Request,
        _origin: Option<Origin>,
        deadline: Instant,
    ) -> BoxFuture<'static, Result<Placed, CallError>> {
        let (accept, accepted) = oneshot::channel();
        let begun = self.begin(request, deadline, Some(accept));
        Box::pin(async move {
            let mut end = Box::pin(begun);
            tokio::select! {
                biased;
                Ok(()) = accepted => Ok(end as Placed),
                answer = &mut end => {
                    answer.map(|answer| Box::pin(std::future::ready(Ok(answer))) as Placed)
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
struct WaitingCall {
    call: CallId,
    shared: Arc<Shared>,
    ended: bool,
}

impl Drop for WaitingCall {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut state = self.shared.lock();
        if state.waiting.remove(&self.call).is_some() {
            let event = CallerEvent::GiveUp { call: self.call };
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

impl Shared {
    /// Connects to one more process.
    pub(super) fn join(self: &Arc<Self>, endpoint: Endpoint) -> Result<PeerId, TransportError> {
        let address = endpoint.to_string();
        let Client {
            mut inbound,
            outbound,
            shutdown,
            ..
        } = transport::connect_client(&*self.transport, endpoint, self.timing.clone())?;
        let peer = {
            let mut state = self.lock();
            let peer = PeerId(state.next_worker);
            state.next_worker += 1;
            let worker = Worker {
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn happened(&self, event: CallerEvent) {
        self.tell(&mut self.lock(), event);
    }

    /// Tells the core, and carries out what it asks for.
    fn tell(&self, state: &mut State, event: CallerEvent) {
        let now = self.clock.now();
        let mut next = Some(event);
        while let Some(event) = next {
            let mut actions = std::mem::take(&mut state.actions);
            state.caller.on(now, event, &mut actions);
            for action in actions.drain(..) {
                state.carry_out(action);
            }
            state.actions = actions;
            next = state.events.pop_front();
        }
        let next = state.caller.next_wake().map(|moment| self.clock.instant(moment));
        let sooner = match (next, state.armed) {
            (Some(next), Some(armed)) => next < armed,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if sooner {
            state.armed = next;
            self.rearm.notify_one();
        }
    }
}

impl State {
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
                    self.events.push_back(CallerEvent::Unsent { peer, link, call });
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
            CallerAction::Forget { peer } => {
                if let Some(worker) = self.workers.remove(&peer) {
                    tokio::spawn(async move {
                        let _inbound = worker.inbound;
                        worker.shutdown.shutdown(LINGER).await
                    });
                }
            }
        }
    }
}

impl Wakes for Shared {
    fn next_wake(&self) -> Option<Instant> {
        let mut state = self.lock();
        state.armed = state.caller.next_wake().map(|moment| self.clock.instant(moment));
        state.armed
    }

    fn wake(self: &Arc<Self>) {
        self.happened(CallerEvent::Wake);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.rearm.notify_one();
    }
}
