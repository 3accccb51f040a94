//! The server side of brubeck's protocol: the sessions of callers, and the handlers that run for them.

mod introspection;
mod key_access;
#[cfg(test)]
mod tests;

use super::api::KeyPin;
use super::codec::{CallRequest, Denial, Outcome};
use super::convert;
use super::core::{IdMap, JobId, Moment, StopReason, Worker, WorkerAction, WorkerConfig, WorkerEvent};
use super::driver::{Clock, Driver, TimerTarget, random_seed, run_timer};
use crate::handler::blocking::{JobGuard, JobTracker, with_job_guard};
use crate::handler::poll_inline;
use crate::response::{IntoReply, Response};
use brubeck_zmtp::watchdog::{self, DeferredWork, WorkPlace};
use brubeck_zmtp::{Endpoint, RoutingId, ServerSender, TransportError};
use bytes::Bytes;
use futures_util::FutureExt;
use introspection::InstrumentedCall;
pub(crate) use introspection::{InstrumentedApplication, served_operations, service_specs};
pub(crate) use key_access::{KeyAccess, ServedKey};
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::Span;

/// The default of the concurrent handlers of a service.
pub(crate) const DEFAULT_CONCURRENCY: usize = 1024;

/// A denial for the same reason as the last one, within this time after it, is not logged as a warning.
const DENIAL_SERIES: Duration = Duration::from_secs(60);

/// Parses the address of a service.
pub(crate) fn parse_endpoint(address: &str) -> crate::Result<Endpoint> {
    address
        .parse()
        .map_err(|error| serve_error(address, TransportError::from(error)))
}

pub(crate) fn serve_error(address: &str, error: TransportError) -> crate::Error {
    crate::Error::because(format!("cannot serve at {address}"), error)
}

/// The sessions of the callers of one service.
///
/// The [`Worker`], a state machine without I/O, implements the protocol. Every event, such as a received message or the end of a
/// handler, is passed to the `Worker` under one lock, and the actions that it returns are executed under the same lock.
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
    /// The tasks of running jobs. A job whose handler responds when it is polled inline has none.
    tasks: IdMap<JobId, AbortHandle>,
    /// Set by `abort_handlers`. Tasks that start later are aborted at once.
    aborted: bool,
    /// Jobs that start when the lock is released.
    pending_jobs: VecDeque<PendingJob>,
    /// The time of the last event. It is the start time of the next job that starts, which saves a clock read: the end of a job that
    /// ran inline is an event, too.
    last_event: Moment,
    send_buffer: SendBuffer,
    /// The last denial and its time.
    last_denial: Option<(Denial, Moment)>,
}

impl CallerSessions {
    pub(crate) fn new(
        config: WorkerConfig,
        application: Arc<InstrumentedApplication>,
        outbound: ServerSender,
    ) -> crate::Result<CallerSessions> {
        let inner = Arc::new(SessionsInner {
            application,
            clock: Clock::start(),
            timer_changed: Arc::default(),
            idle: Notify::new(),
            state: Mutex::new(SessionsState {
                driver: Driver::new(Worker::new(config, random_seed()?)),
                tasks: IdMap::default(),
                aborted: false,
                pending_jobs: VecDeque::new(),
                last_event: Moment::ZERO,
                send_buffer: SendBuffer::new(outbound),
                last_denial: None,
            }),
        });
        watchdog::spawn(run_timer(Arc::downgrade(&inner), inner.timer_changed.clone()));
        Ok(CallerSessions(inner))
    }

    /// Handles a message of a caller.
    pub(crate) fn handle_message(&self, peer: &RoutingId, frames: Vec<Bytes>) {
        self.0.handle_event(WorkerEvent::Frames {
            peer: peer.identity().clone(),
            frames,
        });
    }

    /// Allows a caller to open a session. `key` is the key that it has proven.
    pub(crate) fn handle_verified(&self, peer: &RoutingId, key: Option<KeyPin>) {
        self.0.handle_event(WorkerEvent::Verified {
            peer: peer.identity().clone(),
            key,
        });
    }

    /// Ends the session of a caller and stops its handlers.
    pub(crate) fn handle_disconnect(&self, peer: &RoutingId) {
        self.0.handle_event(WorkerEvent::PeerGone {
            peer: peer.identity().clone(),
        });
    }

    /// Refuses further calls. Calls that were accepted finish.
    pub(crate) fn drain(&self) {
        self.0.handle_event(WorkerEvent::Drain);
    }

    /// Waits, after [`drain`](CallerSessions::drain), until all accepted calls have ended, their responses are sent, and every
    /// connected caller has acknowledged that it sends no further calls. Use it for one waiter only: others never wake.
    pub(crate) async fn wait_until_idle(&self) {
        self.0.idle.notified().await;
    }

    /// Aborts the tasks of all handlers, including those that start later. A blocking handler continues to run.
    pub(crate) fn abort_handlers(&self) {
        let mut state = self.0.lock();
        state.aborted = true;
        let tasks = std::mem::take(&mut state.tasks);
        // Aborting may drop a handler, whose job guard takes the lock.
        drop(state);
        tasks.into_values().for_each(|task| task.abort());
    }
}

impl SessionsInner {
    fn lock(&self) -> MutexGuard<'_, SessionsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes an event to the state machine, executes the actions that follow from it, and starts new jobs. In the task of a
    /// connection the jobs start after its poll: the watchdog cannot poll a connection while a handler blocks within it.
    fn handle_event(self: &Arc<Self>, event: WorkerEvent) {
        let now = self.clock.now();
        let mut state = self.lock();
        if let WorkerEvent::Finished { job, .. } = &event {
            state.tasks.remove(job);
        }
        state.last_event = now;
        let waiting = state.pending_jobs.len();
        state.driver.handle_event(event);
        while let Some(action) = state.driver.poll_action(now) {
            self.execute(&mut state, now, action);
        }
        if state.driver.timeout_changed().is_some() {
            self.timer_changed.notify_one();
        }
        if state.pending_jobs.len() == waiting || watchdog::after_poll(self) {
            return;
        }
        if waiting == 0 {
            return self.start_pending_jobs(state, WorkPlace::Task);
        }
        // The thread that received the other jobs starts them. It may be this one, which is polling an earlier job inline.
        let started = state.pending_jobs.split_off(waiting);
        drop(state);
        let now = self.clock.instant(now);
        started
            .into_iter()
            .for_each(|job| self.start_job(job, now, WorkPlace::Task));
    }

    /// Starts all pending jobs.
    ///
    /// Jobs start without the lock, because the response of a handler that is polled inline takes it again. After the last job
    /// the function returns, so that the usual case, one job, takes the lock only once.
    fn start_pending_jobs<'a>(
        self: &'a Arc<Self>,
        mut state: MutexGuard<'a, SessionsState>,
        place: WorkPlace,
    ) {
        while let Some(job) = state.pending_jobs.pop_front() {
            let is_last = state.pending_jobs.is_empty();
            let now = self.clock.instant(state.last_event);
            drop(state);
            self.start_job(job, now, place);
            if is_last {
                return;
            }
            state = self.lock();
        }
    }

    fn execute(self: &Arc<Self>, state: &mut SessionsState, now: Moment, action: WorkerAction) {
        match action {
            WorkerAction::Send { peer, frames } => {
                if state.send_buffer.send(RoutingId::new(peer), frames) == SendOutcome::NeedsFlush {
                    tokio::spawn(flush(self.clone()));
                }
            }
            WorkerAction::SessionOpened { peer } => {
                // Fails only if the socket is closed.
                let _ = state.send_buffer.outbound.admit(&RoutingId::new(peer));
            }
            WorkerAction::Start {
                job,
                request,
                deadline,
                key,
            } => {
                state.pending_jobs.push_back(PendingJob {
                    job,
                    request,
                    deadline: self.clock.instant(deadline),
                    key,
                });
            }
            WorkerAction::Stop { job, reason } => {
                let reason = match reason {
                    StopReason::Cancelled => "call cancelled",
                    StopReason::Deadline => "deadline passed",
                    StopReason::Lost => "caller disconnected",
                };
                tracing::debug!(job = job.0, reason, "stopping handler");
                if let Some(task) = state.tasks.remove(&job) {
                    task.abort();
                }
            }
            WorkerAction::Disconnect { peer } => {
                tracing::warn!(peer = %peer.escape_ascii(), "disconnecting caller that does not read its responses");
                state.send_buffer.disconnect(RoutingId::new(peer));
            }
            WorkerAction::Denied { reason } => {
                let advice = match reason {
                    Denial::Version => {
                        "its version of brubeck's protocol is too old; use the same release of brubeck on both sides"
                    }
                    Denial::NotSealed => "its connection is in clear; it must use TLS",
                    Denial::OtherService => {
                        "it calls a service with another name; check the port and the name after it in its address"
                    }
                    Denial::Full => {
                        "the limit of callers is reached; raise `Service::max_connections`, or add a worker"
                    }
                };
                // A caller that cannot succeed tries again and again, so only the first of a series is a warning.
                let previous = state.last_denial.replace((reason, now));
                if previous.is_some_and(|(last, at)| last == reason && now.saturating_sub(at) < DENIAL_SERIES)
                {
                    tracing::debug!(reason = advice, "denied a session to a caller again");
                } else {
                    tracing::warn!(reason = advice, "denied a session to a caller");
                }
            }
            WorkerAction::Drained => self.idle.notify_one(),
        }
    }
}

/// A job that the state machine has accepted and whose handler has not started.
struct PendingJob {
    job: JobId,
    request: Arc<CallRequest>,
    deadline: Instant,
    key: Option<KeyPin>,
}

impl SessionsInner {
    /// Starts the handler of a job, inline or in a task; see [`JobTask::start`]. A request that is not valid gets an error
    /// response.
    fn start_job(self: &Arc<Self>, pending: PendingJob, now: Instant, place: WorkPlace) {
        let PendingJob {
            job,
            request,
            deadline,
            key,
        } = pending;
        let message = convert::to_message(&request, deadline, key);
        if let Ok(message) = &message
            && let Some(reason) = self.application.refusal(message, key)
        {
            tracing::debug!(path = %request.path, operation = %request.operation, reason, "refused a call");
            let sessions = self.clone();
            // In a task, for the same reason as below.
            tokio::spawn(async move { sessions.handle_event(WorkerEvent::Refused { job, reason }) });
            return;
        }
        let guard = JobGuard::new(self.clone(), job.0);
        let span = tracing::info_span!(
            "handle",
            method = %request.method,
            path = %request.path,
            operation = %request.operation,
            traceparent = %request.traceparent,
        );
        let call = match message {
            Ok(message) => self.application.call(message),
            Err(status) => {
                // In a task, because the end of a job may start the next one. Without the task, many queued requests that are
                // not valid would overflow the stack.
                tokio::spawn(
                    async move { guard.complete(status.into_reply().with_outcome(Outcome::Rejected)) },
                );
                return;
            }
        };
        let Some(task) = JobTask::new(guard, call, span).start(now, place) else {
            return;
        };
        let mut state = self.lock();
        if !state.aborted && state.driver.machine.is_running(job) {
            state.tasks.insert(job, task);
            return;
        }
        drop(state);
        // The job has ended or was stopped before its task was registered, or all handlers are being aborted.
        task.abort();
    }
}

impl DeferredWork for SessionsInner {
    fn run(self: Arc<Self>, place: WorkPlace) {
        self.start_pending_jobs(self.lock(), place);
    }
}

impl JobTracker for SessionsInner {
    fn job_ended(self: Arc<Self>, job: u64, response: Option<Response>) {
        if response.is_none() && self.lock().aborted {
            // The application has stopped without this handler, whose caller loses the connection.
            return;
        }
        // The end must be reported even if the conversion panics, or the job would count as running forever.
        let convert = |response| catch_unwind(AssertUnwindSafe(|| convert::to_wire_reply(response))).ok();
        let reply = response.and_then(convert);
        self.handle_event(WorkerEvent::Finished {
            job: JobId(job),
            reply,
        });
    }
}

/// Sends the buffered messages in order, waiting for space in the queue of the socket. Returns when the buffer is empty, or
/// when the socket is closed.
async fn flush(sessions: Arc<SessionsInner>) {
    loop {
        // A separate statement, so that the lock is not held while waiting.
        let next = sessions.lock().send_buffer.pop();
        let Some((outbound, peer, frames)) = next else {
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
        self.handle_event(WorkerEvent::Wake);
    }
}

impl Drop for SessionsInner {
    fn drop(&mut self) {
        // Ends `run_timer`, which finds the sessions gone.
        self.timer_changed.notify_one();
    }
}

/// The messages that did not fit into the queue of the socket, in order.
///
/// The state machine bounds how much is buffered for each caller.
struct SendBuffer {
    outbound: ServerSender,
    buffered: VecDeque<(RoutingId, Vec<Bytes>)>,
    /// Set while a [`flush`] task runs. Until it has finished, messages must be buffered to keep their order.
    is_flushing: bool,
}

#[derive(PartialEq, Eq)]
enum SendOutcome {
    /// There is nothing to do: the message is in the queue of the socket, a running flush task will send it, or the socket is
    /// closed.
    Done,
    /// The message is buffered, and the caller must start a flush task.
    NeedsFlush,
}

impl SendBuffer {
    fn new(outbound: ServerSender) -> SendBuffer {
        SendBuffer {
            outbound,
            buffered: VecDeque::new(),
            is_flushing: false,
        }
    }

    fn send(&mut self, peer: RoutingId, frames: Vec<Bytes>) -> SendOutcome {
        if self.is_flushing {
            self.buffered.push_back((peer, frames));
            return SendOutcome::Done;
        }
        // `Err(None)` means that the socket is closed.
        if let Err(Some(rejected)) = self.outbound.try_send_or_return(peer, frames) {
            self.buffered.push_back(rejected);
            self.is_flushing = true;
            return SendOutcome::NeedsFlush;
        }
        SendOutcome::Done
    }

    /// Drops the buffered messages of a caller and closes its connection.
    fn disconnect(&mut self, peer: RoutingId) {
        self.buffered.retain(|(receiver, _)| *receiver != peer);
        let outbound = self.outbound.clone();
        tokio::spawn(async move { outbound.disconnect(peer).await });
    }

    /// Removes the oldest message. Returns `None`, which ends the flush, if the buffer is empty.
    fn pop(&mut self) -> Option<(ServerSender, RoutingId, Vec<Bytes>)> {
        let oldest = self.buffered.pop_front();
        self.is_flushing = oldest.is_some();
        oldest.map(|(peer, frames)| (self.outbound.clone(), peer, frames))
    }
}

thread_local! {
    /// Set while this thread polls a handler inline. Other handlers then start in tasks, so that the stack stays small:
    /// a handler can send a message to a service in the same process, and its response can start a queued job.
    static IS_POLLING_INLINE: Cell<bool> = const { Cell::new(false) };
}

/// A running handler and the guard that reports its end.
struct JobTask {
    /// `None` while a blocking thread holds it, and once the response is reported.
    guard: Option<JobGuard>,
    call: InstrumentedCall,
    /// `None` if no subscriber records the span. It is boxed because most services have no trace subscriber.
    span: Option<Box<Span>>,
}

impl JobTask {
    fn new(guard: JobGuard, call: InstrumentedCall, span: Span) -> JobTask {
        JobTask {
            guard: Some(guard),
            call,
            span: (!span.is_disabled()).then(|| Box::new(span)),
        }
    }

    /// Polls the handler once inline if it is expected to be fast and this thread does not poll another one inline. If it has
    /// not finished then, moves it to a task.
    ///
    /// Returns the handle of the task, or `None` if the handler finished inline.
    fn start(mut self, now: Instant, place: WorkPlace) -> Option<AbortHandle> {
        if place == WorkPlace::Task && self.call.should_poll_inline() && !IS_POLLING_INLINE.get() {
            self.call.set_started(now);
            if self.poll_once().is_ready() {
                return None;
            }
        }
        Some(tokio::spawn(self).abort_handle())
    }

    fn poll_once(&mut self) -> Poll<()> {
        IS_POLLING_INLINE.set(true);
        let result = catch_unwind(AssertUnwindSafe(|| poll_inline(self)));
        IS_POLLING_INLINE.set(false);
        // Panics of handlers are caught closer to the handler. Other panics must not take the connection down either.
        result.unwrap_or_else(|_| {
            tracing::error!("panic outside of a handler, call dropped");
            Poll::Ready(())
        })
    }
}

impl Future for JobTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let JobTask { guard, call, span } = &mut *self;
        let _entered = span.as_ref().map(|span| span.enter());
        let response = ready!(with_job_guard(guard, || call.poll_unpin(cx)));
        if let Some(guard) = guard.take() {
            guard.complete(response);
        }
        Poll::Ready(())
    }
}
