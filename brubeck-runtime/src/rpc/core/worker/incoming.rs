//! Messages from callers, and the admission of their requests.

use super::session::{IDLE_AFTER, PeerSession};
use super::{Job, JobId, JobState, Worker, WorkerAction, WorkerTimer};
use crate::rpc::api::KeyPin;
use crate::rpc::codec::{
    CallRequest, ErrorCode, ErrorReply, MessageKind, OPERATION_LIST, Outcome, RESERVED_OPERATIONS,
    RawMessage, WireMessage, WireReply, WireRequest, limits,
};
use crate::rpc::core::channel::ReceiveError;
use crate::rpc::core::{MAX_RETRY_AFTER, MIN_RETRY_AFTER, Moment, TOO_MANY_HOPS, too_large_for_service};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

impl Worker {
    pub(super) fn frames(&mut self, peer: &Bytes, frames: &[Bytes], actions: &mut Vec<WorkerAction>) {
        let Ok(raw) = RawMessage::read(frames) else {
            self.counters.invalid += 1;
            return;
        };
        match raw.head().kind {
            MessageKind::Hello if raw.size() > limits::MAX_HANDSHAKE_MESSAGE => {
                self.counters.oversized += 1;
            }
            MessageKind::Hello => self.hello(peer, &raw, actions),
            _ => self.handle_session_message(peer, &raw, actions),
        }
    }

    fn handle_session_message(
        &mut self,
        peer: &Bytes,
        raw: &RawMessage<'_>,
        actions: &mut Vec<WorkerAction>,
    ) {
        let id = raw.head().session;
        let Some(session) = self.sessions.get_mut(&id) else {
            self.counters.unknown_session += 1;
            return;
        };
        if session.peer != *peer {
            self.counters.misdirected += 1;
            return;
        }
        match session.channel.decode(raw) {
            Ok((message, acknowledged)) => {
                session.last_seen = self.now;
                session.acknowledged = acknowledged;
                session.window.acknowledge(acknowledged, self.now);
                self.release_held(id, actions);
                self.handle_message(id, message, actions);
            }
            Err(ReceiveError::Invalid(invalid)) => {
                session.last_seen = self.now;
                self.counters.invalid += 1;
                if let Some(request_id) = invalid
                    .request_id
                    .filter(|request_id| *request_id > session.last_request_id)
                {
                    session.last_request_id = request_id;
                    let error = ErrorReply::new(ErrorCode::BadRequest, invalid.error.to_string());
                    self.fail(id, request_id, error, actions);
                }
            }
            Err(ReceiveError::Misdirected) => self.counters.misdirected += 1,
            Err(ReceiveError::Repeated) => self.counters.duplicates += 1,
        }
    }

    fn handle_message(&mut self, id: u64, message: WireMessage, actions: &mut Vec<WorkerAction>) {
        match message {
            WireMessage::Request(request) => self.request(id, request, actions),
            WireMessage::Cancel { request_id } => self.cancel(id, request_id, actions),
            WireMessage::Ping {
                stamp,
                last_request_id,
            } => {
                let Some(session) = self.sessions.get_mut(&id) else {
                    return;
                };
                // Links keep order, so requests up to this id that have not arrived are lost.
                session.last_request_id = session.last_request_id.max(last_request_id);
                let idle = session.requests.is_empty() && self.now >= session.last_request_at + IDLE_AFTER;
                if session.active && idle {
                    session.active = false;
                    self.active_sessions -= 1;
                }
                let pong = WireMessage::Pong {
                    stamp,
                    limit: self.limit(id),
                };
                self.send_or_drop(id, &pong, actions);
            }
            WireMessage::Bye { .. } => self.end_session(id, actions),
            _ => self.counters.unexpected += 1,
        }
    }

    fn request(&mut self, id: u64, request: WireRequest, actions: &mut Vec<WorkerAction>) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if request.id <= session.last_request_id {
            self.counters.repeated += 1;
            return;
        }
        session.last_request_id = request.id;
        if request.call.operation.as_str().starts_with(RESERVED_OPERATIONS) {
            return self.reserved_operation(id, &request, actions);
        }
        session.last_request_at = self.now;
        if !std::mem::replace(&mut session.active, true) {
            self.active_sessions += 1;
        }
        self.counters.requests += 1;
        match self.check_request(id, &request) {
            Ok(()) => self.accept(id, request, actions),
            Err(error) => self.fail(id, request.id, error, actions),
        }
    }

    /// Responds to a request for the worker itself. No handler runs, so the capacity does not matter.
    fn reserved_operation(&mut self, id: u64, request: &WireRequest, actions: &mut Vec<WorkerAction>) {
        self.counters.requests += 1;
        let key = self.sessions.get(&id).and_then(|session| session.key);
        let served = self.config.keys.as_ref();
        if served.is_some_and(|keys| key.is_none_or(|key| !keys.contains(&key))) {
            let reason = "the service does not serve the key of the caller";
            return self.fail(
                id,
                request.id,
                ErrorReply::new(ErrorCode::Refused, reason),
                actions,
            );
        }
        let reply = if request.call.operation.as_str() == OPERATION_LIST {
            WireReply {
                status: 200,
                message: "OK".into(),
                body: self.config.operations.list(),
                ..WireReply::default()
            }
        } else {
            WireReply {
                outcome: Outcome::Rejected,
                status: 404,
                message: "the worker has no such operation".into(),
                body: Bytes::from_static(b"{}"),
                ..WireReply::default()
            }
        };
        self.reply(id, request.id, Some(reply), actions);
    }

    /// Returns an error if the request is refused.
    fn check_request(&self, id: u64, request: &WireRequest) -> Result<(), ErrorReply> {
        let refuse = |code, message: &'static str| Err(ErrorReply::new(code, message));
        if self.draining {
            return refuse(ErrorCode::Draining, "the worker is shutting down");
        }
        let (body_len, max_body) = (request.call.body_len(), self.config.max_body);
        if body_len > max_body {
            let reason = too_large_for_service(body_len, max_body);
            return Err(ErrorReply::new(ErrorCode::TooLarge, reason));
        }
        if request.call.hops > limits::MAX_HOPS {
            return refuse(ErrorCode::Refused, TOO_MANY_HOPS);
        }
        if request.timeout_ms == 0 {
            return refuse(ErrorCode::TimedOut, "the request has no time left");
        }
        let queue_capacity = self.config.capacity() - self.config.concurrency;
        let full = self.running >= self.config.concurrency && self.queue.len() >= queue_capacity;
        // Replies that are held back count too, so a caller that does not read cannot make the worker buffer without bound.
        let unanswered = self.sessions.get(&id).map_or(0, |session| session.requests.len());
        let reason = if full {
            "the service is at its concurrency limit and its queue is full"
        } else if unanswered >= self.config.capacity() {
            "the caller has not read the responses to as many calls as the service accepts at once"
        } else {
            return Ok(());
        };
        Err(ErrorReply {
            retry_after_ms: self.retry_after_ms(),
            ..ErrorReply::new(ErrorCode::Busy, reason)
        })
    }

    /// Estimates the time until the worker can accept a request again, in milliseconds, within the bounds of the hint.
    fn retry_after_ms(&self) -> u32 {
        let calls = u32::try_from(self.queue.len().saturating_add(1)).unwrap_or(u32::MAX);
        let concurrency = u32::try_from(self.config.concurrency).unwrap_or(u32::MAX).max(1);
        let wait = self.service_time.unwrap_or_default().saturating_mul(calls) / concurrency;
        u32::try_from(wait.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER).as_millis()).unwrap_or(u32::MAX)
    }

    /// Starts the handler of a request, or queues the request.
    fn accept(&mut self, id: u64, request: WireRequest, actions: &mut Vec<WorkerAction>) {
        self.last_job += 1;
        let job = JobId(self.last_job);
        let WireRequest {
            id: request_id,
            timeout_ms,
            more_waiting,
            call,
        } = request;
        let deadline = self.now + Duration::from_millis(timeout_ms.into());
        let nowait = call.nowait;
        // In the common case the handler starts without passing through the queue.
        let (state, to_start) = if self.running < self.config.concurrency && self.queue.is_empty() {
            (JobState::Running(self.now), Some(call))
        } else {
            (JobState::Queued(call), None)
        };
        self.jobs.insert(
            job,
            Job {
                session: id,
                request_id,
                deadline,
                state,
            },
        );
        self.timers.set(deadline, WorkerTimer::Deadline(job));
        let mut key = None;
        if let Some(session) = self.sessions.get_mut(&id) {
            session.requests.insert(request_id, Some(job));
            key = session.key;
        }
        // A reply carries the limit. A separate message is only worthwhile if the caller has more calls waiting for credit.
        let limit = self.limit(id);
        if nowait {
            self.send_or_hold(id, WireMessage::Accepted { request_id, limit }, actions);
        } else if more_waiting
            && self
                .sessions
                .get(&id)
                .is_some_and(|session| limit > session.advertised_limit)
        {
            self.send_or_drop(id, &WireMessage::Credit { limit }, actions);
        }
        match to_start {
            Some(call) => self.start(job, call, deadline, key, actions),
            None => self.queue.insert(job, ()),
        }
    }

    /// Starts the handlers of queued requests, up to the concurrency limit.
    pub(super) fn start_queued(&mut self, actions: &mut Vec<WorkerAction>) {
        while self.running < self.config.concurrency {
            let Some((id, ())) = self.queue.pop_first() else {
                return;
            };
            let Some(job) = self.jobs.get_mut(&id) else {
                continue;
            };
            let (deadline, session) = (job.deadline, job.session);
            let previous = std::mem::replace(&mut job.state, JobState::Running(self.now));
            if let JobState::Queued(request) = previous {
                let key = self.sessions.get(&session).and_then(|session| session.key);
                self.start(id, request, deadline, key, actions);
            }
        }
    }

    fn start(
        &mut self,
        job: JobId,
        request: Arc<CallRequest>,
        deadline: Moment,
        key: Option<KeyPin>,
        actions: &mut Vec<WorkerAction>,
    ) {
        self.running += 1;
        self.counters.started += 1;
        actions.push(WorkerAction::Start {
            job,
            request,
            deadline,
            key,
        });
    }

    /// Returns how many calls a session may have here: none while draining, one if the session is idle, and otherwise an equal
    /// share of the capacity, at least one, so that no caller starves. With many sessions the sum may exceed the capacity;
    /// requests beyond it are refused as busy.
    pub(super) fn lease(&self, session: &PeerSession) -> usize {
        if self.draining {
            return 0;
        }
        if !session.active {
            return 1;
        }
        let capacity = self.config.capacity().saturating_sub(self.stopping);
        (capacity / self.active_sessions.max(1)).max(1)
    }

    /// Returns the highest request id that the caller of a session may send.
    pub(super) fn limit(&self, id: u64) -> u64 {
        let Some(session) = self.sessions.get(&id) else {
            return 0;
        };
        let free = self.lease(session).saturating_sub(session.requests.len());
        // The caller chooses its ids and may choose `u64::MAX`.
        session.last_request_id.saturating_add(free as u64)
    }
}
