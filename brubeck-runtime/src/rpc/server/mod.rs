//! The serving side: the sessions of the callers, and the handlers that run for them.

mod introspection;

use super::codec::CallRequest;
use super::convert;
use super::core::{IdMap, JobId, Moment, StopReason, Worker, WorkerAction, WorkerConfig, WorkerEvent};
use super::driver::{Clock, Driver, TimerTarget, random_seed, run_timer};
use crate::handler::blocking::{JobGuard, JobTracker, with_job_guard};
use crate::handler::poll_inline;
use crate::response::{IntoReply, Response};
use brubeck_zmtp::{RoutingId, ServerSender};
use bytes::Bytes;
use futures_util::FutureExt;
pub(crate) use introspection::InstrumentedApplication;
use introspection::InstrumentedCall;
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::Span;

/// The sessions of one service.
#[derive(Clone)]
pub(crate) struct CallerSessions(Arc<SessionsInner>);

struct SessionsInner {
    application: Arc<InstrumentedApplication>,
    clock: Clock,
    timer_changed: Arc<Notify>,
    idle: Notify,
    state: Mutex<SessionsState>,
}

struct SessionsState {
    driver: Driver<Worker>,
    /// The handlers that have a task, which most do not need.
    tasks: IdMap<JobId, AbortHandle>,
    /// Whether every handler is to stop.
    stopped: bool,
    /// Handlers that are to begin. They do so when the lock is gone, because what they answer at once takes it again.
    starting: VecDeque<PendingJob>,
    outlet: SendBuffer,
}

impl CallerSessions {
    /// No sessions yet.
    pub(crate) fn new(
        config: WorkerConfig,
        application: Arc<InstrumentedApplication>,
        outbound: ServerSender,
    ) -> crate::Result<CallerSessions> {
        let shared = Arc::new(SessionsInner {
            application,
            clock: Clock::start(),
            timer_changed: Arc::default(),
            idle: Notify::new(),
            state: Mutex::new(SessionsState {
                driver: Driver::new(Worker::new(config, random_seed()?)),
                tasks: IdMap::default(),
                stopped: false,
                starting: VecDeque::new(),
                outlet: SendBuffer::new(outbound),
            }),
        });
        tokio::spawn(run_timer(Arc::downgrade(&shared), shared.timer_changed.clone()));
        Ok(CallerSessions(shared))
    }

    /// A caller sent a message.
    pub(crate) fn handle_message(&self, peer: &RoutingId, frames: Vec<Bytes>) {
        self.0.happened(WorkerEvent::Frames {
            peer: peer.identity().clone(),
            frames,
        });
    }

    /// A caller's connection is gone: nobody wants its answers.
    pub(crate) fn handle_disconnect(&self, peer: &RoutingId) {
        self.0.happened(WorkerEvent::PeerGone {
            peer: peer.identity().clone(),
        });
    }

    /// Takes no more calls.
    pub(crate) fn drain(&self) {
        self.0.happened(WorkerEvent::Drain);
    }

    /// Returns when everything that was taken is answered, after [`drain`](Sessions::drain).
    pub(crate) async fn wait_until_idle(&self) {
        self.0.idle.notified().await;
    }

    /// Stops every handler.
    pub(crate) fn abort_handlers(&self) {
        let mut state = self.0.lock();
        state.stopped = true;
        let tasks = std::mem::take(&mut state.tasks);
        drop(state);
        tasks.into_values().for_each(|task| task.abort());
    }
}

impl SessionsInner {
    fn lock(&self) -> MutexGuard<'_, SessionsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the core, and carries out what it asks for.
    fn happened(self: &Arc<Self>, event: WorkerEvent) {
        let now = self.clock.now();
        let mut state = self.lock();
        if let WorkerEvent::Finished { job, .. } = &event {
            state.tasks.remove(job);
        }
        state.driver.handle_event(event);
        while let Some(action) = state.driver.poll_action(now) {
            self.carry_out(&mut state, now, action);
        }
        if state.driver.timeout_changed().is_some() {
            self.timer_changed.notify_one();
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

    fn carry_out(self: &Arc<Self>, state: &mut SessionsState, now: Moment, action: WorkerAction) {
        match action {
            WorkerAction::Send { peer, frames } => {
                if state.outlet.send(RoutingId::new(peer), frames) {
                    tokio::spawn(flush(self.clone()));
                }
            }
            WorkerAction::Start {
                job,
                request,
                deadline,
            } => {
                state.starting.push_back(PendingJob {
                    job,
                    request,
                    now: self.clock.instant(now),
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
                if let Some(task) = state.tasks.remove(&job) {
                    task.abort();
                }
            }
            WorkerAction::Disconnect { peer } => {
                tracing::warn!(peer = %peer.escape_ascii(), "a caller that does not read its answers is cut off");
                state.outlet.cut(RoutingId::new(peer));
            }
            WorkerAction::Drained => self.idle.notify_one(),
        }
    }
}

/// A handler that is to begin.
struct PendingJob {
    job: JobId,
    request: Arc<CallRequest>,
    now: Instant,
    until: Instant,
}

impl SessionsInner {
    /// Has a request answered: at once, where its handler has been quick of late, and by a task of its own otherwise.
    fn start(self: &Arc<Self>, starting: PendingJob) {
        let PendingJob {
            job,
            request,
            now,
            until,
        } = starting;
        let slot = JobGuard::new(self.clone(), job.0);
        let span = tracing::info_span!(
            "handle",
            method = %request.method,
            path = %request.path,
            traceparent = %request.traceparent,
        );
        let called = match convert::to_message(&request, until) {
            Ok(message) => self.application.call(message),
            Err(status) => return slot.complete(status.into_reply()),
        };
        let Some(task) = JobTask::new(slot, called, span).begin(now) else {
            return;
        };
        let mut state = self.lock();
        if !state.stopped && state.driver.machine.is_running(job) {
            state.tasks.insert(job, task);
            return;
        }
        drop(state);
        // It has ended already, or was stopped meanwhile.
        task.abort();
    }
}

impl JobTracker for SessionsInner {
    fn job_ended(self: Arc<Self>, job: u64, response: Option<Response>) {
        // The job is free whatever happens, so a response that cannot be converted is none.
        let convert = |response| catch_unwind(AssertUnwindSafe(|| convert::to_wire_reply(response))).ok();
        let reply = response.and_then(convert);
        self.happened(WorkerEvent::Finished {
            job: JobId(job),
            reply,
        });
    }
}

/// Sends what waits, one after the other.
async fn flush(shared: Arc<SessionsInner>) {
    loop {
        // Taken out first: the lock is not held while there is no room.
        let left = shared.lock().outlet.left();
        let Some((outbound, peer, frames)) = left else {
            return;
        };
        if outbound.send(peer, frames).await.is_err() {
            return;
        }
    }
}

impl TimerTarget for SessionsInner {
    fn next_wake(&self) -> Option<Instant> {
        let timeout = self.lock().driver.poll_timeout();
        timeout.map(|moment| self.clock.instant(moment))
    }

    fn wake(self: &Arc<Self>) {
        self.happened(WorkerEvent::Wake);
    }
}

impl Drop for SessionsInner {
    fn drop(&mut self) {
        self.timer_changed.notify_one();
    }
}

/// The way to the socket, in order: what does not fit into its queue waits here, and the core bounds how much
/// that is for each caller.
pub(super) struct SendBuffer {
    outbound: ServerSender,
    waiting: VecDeque<(RoutingId, Vec<Bytes>)>,
    flushing: bool,
}

impl SendBuffer {
    pub(super) fn new(outbound: ServerSender) -> SendBuffer {
        SendBuffer {
            outbound,
            waiting: VecDeque::new(),
            flushing: false,
        }
    }

    /// Sends, or keeps it for later; `true` asks for somebody who sends [what is left](SendBuffer::left).
    pub(super) fn send(&mut self, peer: RoutingId, frames: Vec<Bytes>) -> bool {
        let waits = match self.flushing {
            true => Some((peer, frames)),
            false => match self.outbound.try_send_or_return(peer, frames) {
                Err(given_back) => given_back,
                Ok(()) => None,
            },
        };
        let Some(waits) = waits else { return false };
        self.waiting.push_back(waits);
        !std::mem::replace(&mut self.flushing, true)
    }

    pub(super) fn cut(&mut self, peer: RoutingId) {
        self.waiting.retain(|(waiting, _)| *waiting != peer);
        let outbound = self.outbound.clone();
        tokio::spawn(async move { outbound.disconnect(peer).await });
    }

    /// What has waited longest, and the way it is to go; `None` ends the sending.
    pub(super) fn left(&mut self) -> Option<(ServerSender, RoutingId, Vec<Bytes>)> {
        let left = self.waiting.pop_front();
        self.flushing = left.is_some();
        left.map(|(peer, frames)| (self.outbound.clone(), peer, frames))
    }
}

thread_local! {
    /// Whether a handler is being polled where its request was read.
    static INLINE: Cell<bool> = const { Cell::new(false) };
}

/// A handler with its slot, which gets its answer.
pub(super) struct JobTask {
    /// Not here while a thread has it, and after the end.
    slot: Option<JobGuard>,
    called: InstrumentedCall,
    /// Where somebody listens.
    span: Option<Box<Span>>,
}

impl JobTask {
    pub(super) fn new(slot: JobGuard, called: InstrumentedCall, span: Span) -> JobTask {
        JobTask {
            slot: Some(slot),
            called,
            span: (!span.is_disabled()).then(|| Box::new(span)),
        }
    }

    /// Begins at once, at this time, where the handler has been quick of late; what does not end then, or was not, gets a
    /// task.
    pub(super) fn begin(mut self, now: Instant) -> Option<AbortHandle> {
        if self.called.should_poll_inline() && !INLINE.get() {
            self.called.begins(now);
            if self.poll_once() {
                return None;
            }
        }
        Some(tokio::spawn(self).abort_handle())
    }

    /// Polls once. Whether that was the end.
    fn poll_once(&mut self) -> bool {
        INLINE.set(true);
        let polled = catch_unwind(AssertUnwindSafe(|| poll_inline(self)));
        INLINE.set(false);
        match polled {
            Ok(polled) => polled.is_ready(),
            Err(_) => {
                tracing::error!("what is around a handler panicked");
                true
            }
        }
    }
}

impl Future for JobTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let JobTask { slot, called, span } = &mut *self;
        let _within = span.as_ref().map(|span| span.enter());
        let response = ready!(with_job_guard(slot, || called.poll_unpin(cx)));
        if let Some(slot) = slot.take() {
            slot.complete(response);
        }
        Poll::Ready(())
    }
}
