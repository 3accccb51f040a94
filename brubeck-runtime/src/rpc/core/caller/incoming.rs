//! What workers say.

use crate::rpc::core::RETRY_AFTER;
use std::time::Duration;

use bytes::Bytes;

use super::ending::Cost;
use super::outgoing::CallState;
use super::peer::State;
use super::{Caller, CallerAction, PeerId};
use crate::rpc::api::{CallError, Phase};
use crate::rpc::codec::{ErrorCode, ErrorReply, RawMessage, WireMessage, WireReply};
use crate::rpc::core::session::Dropped;

/// Messages and bytes after which the worker is told at once that they came.
const ACKNOWLEDGE: (usize, usize) = (256, 1 << 20);

/// A call that the worker says has run out of time may have this much left here, because clocks are not read together.
const SKEW: Duration = Duration::from_millis(10);

impl Caller {
    pub(super) fn frames(
        &mut self,
        id: PeerId,
        link: u64,
        frames: &[Bytes],
        actions: &mut Vec<CallerAction>,
    ) {
        let Some(peer) = self.peers.get(&id).filter(|peer| peer.link == link) else {
            self.counters.stale += 1;
            return;
        };
        let Ok(raw) = RawMessage::read(frames) else {
            self.counters.unreadable += 1;
            return;
        };
        match peer.state {
            State::Down => self.counters.stale += 1,
            State::Greeting { .. } | State::Proving { .. } if !raw.head().kind.is_sealed() => {
                self.answer_to_hello(id, &raw, actions);
            }
            State::Proving { .. } => self.answer_to_proof(id, &raw),
            State::Ready(_) => self.in_session(id, &raw, actions),
            State::Greeting { .. } => self.counters.unexpected += 1,
        }
    }

    pub(super) fn count_dropped(&mut self, dropped: &Dropped) {
        match dropped {
            Dropped::Forged => self.counters.forged += 1,
            Dropped::Replayed => self.counters.replayed += 1,
            Dropped::Unreadable(_) => self.counters.unreadable += 1,
        }
    }

    fn in_session(&mut self, id: PeerId, raw: &RawMessage, actions: &mut Vec<CallerAction>) {
        let now = self.now;
        let Some(ready) = self.peers.get_mut(&id).and_then(|peer| peer.ready_mut()) else {
            return;
        };
        let opened = ready.session.open(raw);
        if let Ok(_) | Err(Dropped::Unreadable(_)) = &opened {
            ready.heard = now;
            ready.unacknowledged.0 += 1;
            ready.unacknowledged.1 += raw.size();
        }
        match opened {
            Ok((message, _)) => self.take_in(id, message, actions),
            Err(dropped) => {
                self.count_dropped(&dropped);
                if let Dropped::Unreadable(unreadable) = dropped
                    && let Some(call) = unreadable.request_id
                {
                    let error = CallError::BadReply(unreadable.error.to_string().into());
                    self.answered(id, call, None, Err(error), actions);
                }
            }
        }
        let Some(ready) = self.peers.get(&id).and_then(|peer| peer.ready()) else {
            return;
        };
        let (messages, bytes) = ready.unacknowledged;
        if messages >= ACKNOWLEDGE.0 || bytes >= ACKNOWLEDGE.1 {
            self.ping(id, actions);
        }
    }

    fn take_in(&mut self, id: PeerId, message: WireMessage, actions: &mut Vec<CallerAction>) {
        match message {
            WireMessage::Reply {
                request_id: call,
                limit,
                reply,
            } => {
                let outcome = match reply.body.len() > self.config.max_body {
                    true => Err(CallError::BadReply("it is larger than this client takes".into())),
                    false => Ok(reply),
                };
                self.answered(id, call, Some(limit), outcome, actions);
            }
            WireMessage::Error {
                request_id: call,
                limit,
                error: failure,
            } => self.failed(id, call, limit, failure, actions),
            WireMessage::Started {
                request_id: call,
                limit,
            } => self.started(id, call, limit, actions),
            WireMessage::Credit { limit } | WireMessage::Pong { limit, .. } => self.set_limit(id, limit),
            WireMessage::Draining => {
                if let Some(ready) = self.peers.get_mut(&id).and_then(|peer| peer.ready_mut()) {
                    ready.draining = true;
                    self.worse = true;
                    // Until it knows that this side knows, it cannot stop.
                    self.ping(id, actions);
                }
            }
            WireMessage::Bye {
                last_request_id: last_call,
            } => {
                self.drop_link(id, "it ended the session", Some(last_call), actions);
            }
            _ => self.counters.unexpected += 1,
        }
    }

    fn set_limit(&mut self, id: PeerId, limit: u64) {
        if let Some(ready) = self.peers.get_mut(&id).and_then(|peer| peer.ready_mut()) {
            ready.limit = limit;
        }
    }

    fn answered(
        &mut self,
        id: PeerId,
        call: u64,
        limit: Option<u64>,
        outcome: Result<WireReply, CallError>,
        actions: &mut Vec<CallerAction>,
    ) {
        let Some(ready) = self.peers.get_mut(&id).and_then(|peer| peer.ready_mut()) else {
            return;
        };
        ready.limit = limit.unwrap_or(ready.limit);
        let Some(pending) = ready.in_flight.get(&call).copied() else {
            self.counters.late += 1;
            return;
        };
        if let Some(CallState::Sent { at, .. }) = self.calls.get(&pending).map(|call| call.place)
            && outcome.is_ok()
        {
            self.service_time.learn(self.now.saturating_sub(at));
        }
        self.finish(pending, outcome, actions);
    }

    fn failed(
        &mut self,
        id: PeerId,
        call: u64,
        limit: u64,
        failure: ErrorReply,
        actions: &mut Vec<CallerAction>,
    ) {
        let ErrorReply {
            code,
            retry_after_ms: retry_after,
            message,
        } = failure;
        let error = match code {
            ErrorCode::Busy => {
                let (shortest, longest) = RETRY_AFTER;
                let retry_after = Duration::from_millis(retry_after.into()).clamp(shortest, longest);
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.busy_until = self.now + retry_after;
                    self.arm(id);
                }
                return self.not_begun(
                    id,
                    call,
                    limit,
                    Cost::One,
                    CallError::Busy { retry_after },
                    actions,
                );
            }
            ErrorCode::Draining => {
                if let Some(ready) = self.peers.get_mut(&id).and_then(|peer| peer.ready_mut()) {
                    ready.draining = true;
                }
                let otherwise = CallError::Lost { may_have_run: false };
                return self.not_begun(id, call, limit, Cost::Free, otherwise, actions);
            }
            ErrorCode::Expired => {
                let otherwise = CallError::Deadline { phase: Phase::Queued };
                return self.not_begun(id, call, limit, Cost::One, otherwise, actions);
            }
            ErrorCode::Cancelled => {
                let Some(ready) = self.peers.get_mut(&id).and_then(|peer| peer.ready_mut()) else {
                    return;
                };
                ready.limit = limit;
                return match ready.in_flight.remove(&call) {
                    Some(pending) => {
                        self.lose(pending, true, actions);
                        self.forget_if_done(id, actions);
                    }
                    None => self.counters.late += 1,
                };
            }
            ErrorCode::Stopped => CallError::Deadline {
                phase: Phase::Running,
            },
            ErrorCode::Refused | ErrorCode::BadRequest => CallError::Refused(message.to_string().into()),
            ErrorCode::TooLarge => CallError::TooLarge,
            ErrorCode::Failed => CallError::BadReply(message.to_string().into()),
        };
        self.answered(id, call, Some(limit), Err(error), actions);
    }

    /// The worker says that it has not begun with a call, and will not.
    fn not_begun(
        &mut self,
        id: PeerId,
        call: u64,
        limit: u64,
        cost: Cost,
        otherwise: CallError,
        actions: &mut Vec<CallerAction>,
    ) {
        let Some(ready) = self.peers.get_mut(&id).and_then(|peer| peer.ready_mut()) else {
            return;
        };
        ready.limit = limit;
        let Some(pending) = ready.in_flight.get(&call).copied() else {
            self.counters.late += 1;
            return;
        };
        let left = self
            .calls
            .get(&pending)
            .map(|call| call.left(self.now))
            .unwrap_or_default();
        if left <= SKEW && matches!(otherwise, CallError::Deadline { .. }) {
            return self.finish(pending, Err(otherwise), actions);
        }
        if let Some(ready) = self.peers.get_mut(&id).and_then(|peer| peer.ready_mut()) {
            ready.in_flight.remove(&call);
        }
        self.move_on(pending, cost, otherwise, actions);
        self.forget_if_done(id, actions);
    }

    fn started(&mut self, id: PeerId, call: u64, limit: u64, actions: &mut Vec<CallerAction>) {
        let Some(ready) = self.peers.get_mut(&id).and_then(|peer| peer.ready_mut()) else {
            return;
        };
        ready.limit = limit;
        let Some(pending) = ready.in_flight.get(&call).copied() else {
            self.counters.late += 1;
            return;
        };
        match self.calls.get_mut(&pending) {
            Some(call) if call.request.nowait => {
                if !std::mem::replace(&mut call.accepted, true) {
                    actions.push(CallerAction::Accepted { call: pending });
                }
            }
            _ => self.counters.unexpected += 1,
        }
    }
}
