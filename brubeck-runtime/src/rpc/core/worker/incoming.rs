//! Messages of callers, and which of their requests are admitted.

use super::peer_session::IDLE;
use super::{Due, Job, JobId, JobState, Worker, WorkerAction};
use crate::rpc::codec::{
    CallRequest, ErrorCode, ErrorReply, MessageKind, RawMessage, WireMessage, WireRequest, limits,
};
use crate::rpc::core::session::Dropped;
use crate::rpc::core::{Moment, RETRY_AFTER, TOO_MANY_HOPS};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

impl Worker {
    pub(super) fn frames(&mut self, peer: &Bytes, frames: &[Bytes], actions: &mut Vec<WorkerAction>) {
        let Ok(raw) = RawMessage::read(frames) else {
            self.counters.unreadable += 1;
            return;
        };
        match raw.head().kind {
            MessageKind::Hello | MessageKind::Proof if raw.size() > limits::MAX_HANDSHAKE_MESSAGE => {
                self.counters.oversized += 1
            }
            MessageKind::Hello => self.hello(peer, &raw, actions),
            MessageKind::Proof if !self.guests.contains_key(&raw.head().session) => {
                self.proof(peer, &raw, actions)
            }
            _ => self.in_session(peer, &raw, actions),
        }
    }

    fn in_session(&mut self, peer: &Bytes, raw: &RawMessage, actions: &mut Vec<WorkerAction>) {
        let id = raw.head().session;
        let Some(guest) = self.guests.get_mut(&id) else {
            self.counters.unknown += 1;
            return;
        };
        if guest.peer != *peer {
            self.counters.forged += 1;
            return;
        }
        let opened = guest.session.open(raw);
        match opened {
            Ok((message, acknowledged)) => {
                guest.heard = self.now;
                guest.acknowledged = acknowledged;
                guest.window.acknowledge(acknowledged, self.now);
                self.release(id, actions);
                self.take_in(id, message, actions);
            }
            Err(Dropped::Unreadable(unreadable)) => {
                guest.heard = self.now;
                self.counters.unreadable += 1;
                if let Some(call) = unreadable.request_id.filter(|call| *call > guest.last_call) {
                    guest.last_call = call;
                    let error = ErrorReply::new(ErrorCode::BadRequest, unreadable.error.to_string());
                    self.fail(id, call, error, actions);
                }
            }
            Err(Dropped::Forged) => self.counters.forged += 1,
            Err(Dropped::Replayed) => self.counters.replayed += 1,
        }
    }

    fn take_in(&mut self, id: u64, message: WireMessage, actions: &mut Vec<WorkerAction>) {
        match message {
            WireMessage::Request(request) => self.request(id, request, actions),
            WireMessage::Cancel { request_id: call } => self.cancel(id, call, actions),
            WireMessage::Ping {
                stamp,
                last_request_id: last_call,
            } => {
                let Some(guest) = self.guests.get_mut(&id) else {
                    return;
                };
                guest.last_call = guest.last_call.max(last_call);
                if guest.active && guest.calls.is_empty() && self.now >= guest.last_request + IDLE {
                    guest.active = false;
                    self.active -= 1;
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
}

impl Worker {
    pub(super) fn request(&mut self, id: u64, request: WireRequest, actions: &mut Vec<WorkerAction>) {
        let Some(guest) = self.guests.get_mut(&id) else {
            return;
        };
        if request.id <= guest.last_call {
            self.counters.repeated += 1;
            return;
        }
        guest.last_call = request.id;
        guest.last_request = self.now;
        if !std::mem::replace(&mut guest.active, true) {
            self.active += 1;
        }
        self.counters.requests += 1;
        match self.refusal(id, &request) {
            Some(failure) => self.fail(id, request.id, failure, actions),
            None => self.take(id, request, actions),
        }
    }

    /// Why a request is not taken.
    fn refusal(&self, id: u64, request: &WireRequest) -> Option<ErrorReply> {
        let waiting_for = self.guests.get(&id).map_or(0, |guest| guest.calls.len());
        let full = self.running >= self.config.concurrency
            && self.queue.len() >= self.config.capacity() - self.config.concurrency;
        if self.draining {
            Some(ErrorReply::new(ErrorCode::Draining, "this process is stopping"))
        } else if request.call.body.len() > self.config.max_body {
            Some(ErrorReply::new(
                ErrorCode::TooLarge,
                "the body is larger than this service takes",
            ))
        } else if request.call.hops > limits::MAX_HOPS {
            Some(ErrorReply::new(ErrorCode::Refused, TOO_MANY_HOPS))
        } else if request.timeout_ms == 0 {
            Some(ErrorReply::new(ErrorCode::Expired, "there is no time left"))
        } else if full || waiting_for >= self.config.capacity() {
            Some(ErrorReply {
                retry_after_ms: self.retry_after(),
                ..ErrorReply::new(ErrorCode::Busy, "all concurrency are taken")
            })
        } else {
            None
        }
    }

    /// When a place should be free, in milliseconds.
    fn retry_after(&self) -> u32 {
        let ahead = u32::try_from(self.queue.len().saturating_add(1)).unwrap_or(u32::MAX);
        let concurrency = u32::try_from(self.config.concurrency).unwrap_or(u32::MAX).max(1);
        let wait = self.service_time.unwrap_or_default().saturating_mul(ahead) / concurrency;
        let (shortest, longest) = RETRY_AFTER;
        u32::try_from(wait.clamp(shortest, longest).as_millis()).unwrap_or(u32::MAX)
    }

    fn take(&mut self, id: u64, request: WireRequest, actions: &mut Vec<WorkerAction>) {
        self.last_job += 1;
        let job = JobId(self.last_job);
        let WireRequest {
            id: call,
            timeout_ms,
            more_waiting: more,
            call: request,
        } = request;
        let deadline = self.now + Duration::from_millis(timeout_ms.into());
        let nowait = request.nowait;
        // Most need not wait in the queue.
        let (state, begins) = match self.running < self.config.concurrency && self.queue.is_empty() {
            true => (JobState::Running(self.now), Some(request)),
            false => (JobState::Waiting(request), None),
        };
        self.jobs.insert(
            job,
            Job {
                session: id,
                call,
                deadline,
                state,
            },
        );
        self.timers.set(deadline, Due::Deadline(job));
        if let Some(guest) = self.guests.get_mut(&id) {
            guest.calls.insert(call, Some(job));
        }
        let limit = self.limit(id);
        if nowait {
            self.send_or_hold(
                id,
                WireMessage::Started {
                    request_id: call,
                    limit,
                },
                actions,
            );
        } else if more && self.guests.get(&id).is_some_and(|guest| limit > guest.told) {
            self.send_or_drop(id, &WireMessage::Credit { limit }, actions);
        }
        match begins {
            Some(request) => self.begin(job, request, deadline, actions),
            None => self.queue.insert(job, ()),
        }
    }

    /// Starts what waits, for as long as there are concurrency.
    pub(super) fn fill(&mut self, actions: &mut Vec<WorkerAction>) {
        while self.running < self.config.concurrency {
            let Some((id, ())) = self.queue.pop_first() else {
                return;
            };
            let Some(job) = self.jobs.get_mut(&id) else {
                continue;
            };
            let deadline = job.deadline;
            if let JobState::Waiting(request) = std::mem::replace(&mut job.state, JobState::Running(self.now))
            {
                self.begin(id, request, deadline, actions);
            }
        }
    }

    fn begin(
        &mut self,
        job: JobId,
        request: Arc<CallRequest>,
        deadline: Moment,
        actions: &mut Vec<WorkerAction>,
    ) {
        self.running += 1;
        self.counters.started += 1;
        actions.push(WorkerAction::Start {
            job,
            request,
            deadline,
        });
    }

    /// How many calls a caller may have here: an equal share of what there is, and at least one, so that none starves.
    /// What is promised beyond the capacity that way is answered as busy.
    pub(super) fn lease(&self, guest: &super::peer_session::Guest) -> usize {
        if self.draining {
            return 0;
        }
        if !guest.active {
            return 1;
        }
        let places = self.config.capacity().saturating_sub(self.stopping);
        (places / self.active.max(1)).max(1)
    }

    /// The highest call id that a caller may send.
    pub(super) fn limit(&self, id: u64) -> u64 {
        let Some(guest) = self.guests.get(&id) else {
            return 0;
        };
        let free = self.lease(guest).saturating_sub(guest.calls.len());
        // A caller chooses its ids, and may choose the last one there is.
        guest.last_call.saturating_add(free as u64)
    }
}
