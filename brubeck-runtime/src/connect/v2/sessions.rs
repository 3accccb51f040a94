//! The serving side: the sessions of the callers, and the handlers that run for them.

use super::{Clock, Wakes, convert, keep_time, seed};
use crate::call::SLOT;
use crate::call::protocol::{JobId, Numbered, StopReason, Worker, WorkerAction, WorkerConfig, WorkerEvent};
use crate::connect::introspection::{Called, Introspected};
use crate::connect::transport::{Peer, ServerOutbox};
use crate::wire::v2::{Reply, Request};
use bytes::Bytes;
use std::cell::Cell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tracing::Instrument;

/// The sessions of one service.
#[derive(Clone)]
pub(in crate::connect) struct Sessions(Arc<Shared>);

struct Shared {
    application: Arc<Introspected>,
    clock: Clock,
    rearm: Arc<Notify>,
    idle: Notify,
    state: Mutex<State>,
}

struct State {
    worker: Worker,
    /// Kept from event to event, so that none allocates.
    actions: Vec<WorkerAction>,
    /// The handlers that run; taking one out stops it.
    jobs: Numbered<JobId, Running>,
    /// Handlers that are to begin. They do so when the lock is gone, because what they answer at once takes it again.
    starting: VecDeque<Starting>,
    outlet: Outlet,
    armed: Option<Instant>,
}

impl Sessions {
    /// No sessions yet.
    pub(in crate::connect) fn new(
        config: WorkerConfig,
        application: Arc<Introspected>,
        outbound: ServerOutbox,
    ) -> crate::Result<Sessions> {
        let shared = Arc::new(Shared {
            application,
            clock: Clock::start(),
            rearm: Arc::default(),
            idle: Notify::new(),
            state: Mutex::new(State {
                worker: Worker::new(config, seed()?),
                actions: Vec::new(),
                jobs: Numbered::default(),
                starting: VecDeque::new(),
                outlet: Outlet {
                    outbound,
                    waiting: VecDeque::new(),
                    flushing: false,
                },
                armed: None,
            }),
        });
        tokio::spawn(keep_time(Arc::downgrade(&shared), shared.rearm.clone()));
        Ok(Sessions(shared))
    }

    /// A caller sent a message.
    pub(in crate::connect) fn take(&self, peer: &Peer, frames: Vec<Bytes>) {
        self.0.happened(WorkerEvent::Frames {
            peer: peer.identity().clone(),
            frames,
        });
    }

    /// A caller's connection is gone: nobody wants its answers.
    pub(in crate::connect) fn gone(&self, peer: &Peer) {
        self.0.happened(WorkerEvent::PeerGone {
            peer: peer.identity().clone(),
        });
    }

    /// Takes no more calls.
    pub(in crate::connect) fn drain(&self) {
        self.0.happened(WorkerEvent::Drain);
    }

    /// Returns when everything that was taken is answered, after [`drain`](Sessions::drain).
    pub(in crate::connect) async fn idle(&self) {
        self.0.idle.notified().await;
    }

    /// Stops every handler.
    pub(in crate::connect) fn stop(&self) {
        drop(std::mem::take(&mut self.0.lock().jobs));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the core, and carries out what it asks for.
    fn happened(self: &Arc<Self>, event: WorkerEvent) {
        let now = self.clock.now();
        let mut state = self.lock();
        if let WorkerEvent::Finished { job, .. } = &event {
            state.jobs.remove(job);
        }
        let mut actions = std::mem::take(&mut state.actions);
        state.worker.on(now, event, &mut actions);
        for action in actions.drain(..) {
            self.carry_out(&mut state, action);
        }
        state.actions = actions;
        let next = state.worker.next_wake().map(|moment| self.clock.instant(moment));
        let sooner = match (next, state.armed) {
            (Some(next), Some(armed)) => next < armed,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if sooner {
            state.armed = next;
            self.rearm.notify_one();
        }
        while let Some(starting) = state.starting.pop_front() {
            let more = !state.starting.is_empty();
            drop(state);
            self.start(starting);
            if !more {
                return;
            }
            state = self.lock();
        }
    }

    fn carry_out(self: &Arc<Self>, state: &mut State, action: WorkerAction) {
        match action {
            WorkerAction::Send { peer, frames } => {
                if state.outlet.send(Peer::new(peer), frames) {
                    tokio::spawn(flush(self.clone()));
                }
            }
            WorkerAction::Start {
                job,
                request,
                deadline,
                ..
            } => {
                state.jobs.insert(job, Running::Beginning);
                state.starting.push_back(Starting {
                    job,
                    request,
                    until: self.clock.instant(deadline),
                });
            }
            WorkerAction::Stop { job, reason } => {
                let why = match reason {
                    StopReason::Cancelled => "the caller cancelled the call",
                    StopReason::Deadline => "its deadline passed",
                    StopReason::Lost => "the caller is gone",
                };
                tracing::debug!(job = job.0, why, "a handler is stopped");
                state.jobs.remove(&job);
            }
            WorkerAction::Cut { peer } => {
                tracing::warn!(peer = %peer.escape_ascii(), "a caller that does not read its answers is cut off");
                state.outlet.cut(Peer::new(peer));
            }
            WorkerAction::Idle => self.idle.notify_one(),
        }
    }
}

/// A handler that was started and has not ended.
enum Running {
    /// It has no task yet.
    Beginning,
    /// Its task ends when this is dropped.
    InTask { _stop: oneshot::Sender<Infallible> },
}

/// A handler that is to begin.
struct Starting {
    job: JobId,
    request: Box<Request>,
    until: Instant,
}

thread_local! {
    /// Whether a handler is being polled where its request was read.
    static AT_ONCE: Cell<bool> = const { Cell::new(false) };
}

impl Shared {
    /// Has a request answered: at once, where its handler has been quick of late, and by a task of its own otherwise.
    fn start(self: &Arc<Self>, starting: Starting) {
        let Starting { job, request, until } = starting;
        let job = Arc::new(Job {
            job,
            shared: self.clone(),
            finished: AtomicBool::new(false),
        });
        let span = tracing::info_span!(
            "handle",
            method = %request.ask.method,
            path = %request.ask.path,
            traceparent = %request.ask.traceparent,
        );
        let called = convert::message(request.ask, until).map(|message| self.application.call(message));
        let at_once = called.as_ref().is_ok_and(Called::is_quick) && !AT_ONCE.get();
        let finishes = job.clone();
        let answer = async move {
            let reply = match called {
                Ok(called) => convert::reply(called.response().await),
                Err(status) => convert::failure(status),
            };
            finishes.finish(match reply.check() {
                Ok(()) => reply,
                Err(error) => {
                    tracing::error!(%error, "an answer could not be written");
                    convert::failure(crate::status::Status::INTERNAL_SERVER_ERROR)
                }
            });
        };
        let id = job.job;
        let mut answer = Box::pin(SLOT.scope(job, answer.instrument(span)));
        if at_once && poll_at_once(answer.as_mut()) {
            return;
        }
        let (stop, stopped) = oneshot::channel();
        if let Some(running) = self.lock().jobs.get_mut(&id) {
            *running = Running::InTask { _stop: stop };
        }
        // Where it was stopped meanwhile, so is its task.
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = stopped => {}
                () = answer => {}
            }
        });
    }
}

/// Polls a handler once. Whether that ended it.
fn poll_at_once(handler: Pin<&mut impl Future<Output = ()>>) -> bool {
    AT_ONCE.set(true);
    // What is not ready is polled again, by its task, before anything can wake it.
    let mut context = Context::from_waker(Waker::noop());
    let polled = catch_unwind(AssertUnwindSafe(|| handler.poll(&mut context)));
    AT_ONCE.set(false);
    match polled {
        Ok(polled) => polled.is_ready(),
        Err(_) => {
            tracing::error!("what is around a handler panicked");
            true
        }
    }
}

/// A handler that runs. The core hears of its end once, and then its slot is free: when it has an answer, or when all of
/// it is gone, a thread that it blocks included.
struct Job {
    job: JobId,
    shared: Arc<Shared>,
    finished: AtomicBool,
}

impl Job {
    fn finish(&self, reply: Reply) {
        self.end(Some(reply));
    }

    fn end(&self, reply: Option<Reply>) {
        if !self.finished.swap(true, Ordering::Relaxed) {
            let job = self.job;
            self.shared.happened(WorkerEvent::Finished { job, reply });
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.end(None);
    }
}

/// The way to the socket, in order: what does not fit into its queue waits here, and the core bounds how much
/// that is for each caller.
struct Outlet {
    outbound: ServerOutbox,
    waiting: VecDeque<(Peer, Vec<Bytes>)>,
    flushing: bool,
}

impl Outlet {
    /// Sends, or keeps it for later; `true` asks for a [`flush`].
    fn send(&mut self, peer: Peer, frames: Vec<Bytes>) -> bool {
        let waits = match self.flushing {
            true => Some((peer, frames)),
            false => match self.outbound.offer(peer, frames) {
                Err(given_back) => given_back,
                Ok(()) => None,
            },
        };
        let Some(waits) = waits else { return false };
        self.waiting.push_back(waits);
        !std::mem::replace(&mut self.flushing, true)
    }

    fn cut(&mut self, peer: Peer) {
        self.waiting.retain(|(waiting, _)| *waiting != peer);
        let outbound = self.outbound.clone();
        tokio::spawn(async move { outbound.cut(peer).await });
    }
}

/// Sends what waits, one after the other.
async fn flush(shared: Arc<Shared>) {
    loop {
        let (outbound, (peer, frames)) = {
            let outlet = &mut shared.lock().outlet;
            match outlet.waiting.pop_front() {
                Some(next) => (outlet.outbound.clone(), next),
                None => {
                    outlet.flushing = false;
                    return;
                }
            }
        };
        if outbound.send(peer, frames).await.is_err() {
            return;
        }
    }
}

impl Wakes for Shared {
    fn next_wake(&self) -> Option<Instant> {
        let mut state = self.lock();
        state.armed = state.worker.next_wake().map(|moment| self.clock.instant(moment));
        state.armed
    }

    fn wake(self: &Arc<Self>) {
        self.happened(WorkerEvent::Wake);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.rearm.notify_one();
    }
}
