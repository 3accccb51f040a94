//! Messages from workers.

use super::peer::{PeerState, ReadySession};
use super::queue::CallState;
use super::retry::RetryBudgetCost;
use super::{CallNumber, Caller, CallerAction, PeerId};
use crate::rpc::api::{CallError, CallErrorReason, Phase};
use crate::rpc::codec::{ErrorCode, ErrorReply, RawMessage, WireMessage, WireReply};
use crate::rpc::core::channel::ReceiveError;
use crate::rpc::core::{MAX_RETRY_AFTER, MIN_RETRY_AFTER};
use bytes::Bytes;
use std::time::Duration;

/// The received messages and bytes after which a ping acknowledges them, if nothing else was sent.
const ACKNOWLEDGE_AFTER_MESSAGES: usize = 256;
const ACKNOWLEDGE_AFTER_BYTES: usize = 1 << 20;

/// If a worker reports that a call expired, the call fails if this much time or less is left here, and is rerouted otherwise. The
/// two sides read their clocks at different times.
const DEADLINE_TOLERANCE: Duration = Duration::from_millis(10);

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
            self.counters.invalid += 1;
            return;
        };
        match peer.state {
            PeerState::Disconnected => self.counters.stale += 1,
            PeerState::AwaitingWelcome { .. } => self.handle_handshake(id, &raw, actions),
            PeerState::Ready(_) => self.handle_session_message(id, &raw, actions),
        }
    }

    fn handle_session_message(&mut self, id: PeerId, raw: &RawMessage<'_>, actions: &mut Vec<CallerAction>) {
        let now = self.now;
        let Some(ready) = self.ready_mut(id) else { return };
        let decoded = ready.channel.decode(raw);
        // Malformed messages of the session prove that the worker is alive, too.
        if let Ok(_) | Err(ReceiveError::Invalid(_)) = &decoded {
            ready.last_seen = now;
            ready.unacknowledged_messages += 1;
            ready.unacknowledged_bytes += raw.size();
        }
        match decoded {
            Ok((message, _)) => self.handle_message(id, message, actions),
            Err(ReceiveError::Misdirected) => self.counters.misdirected += 1,
            Err(ReceiveError::Repeated) => self.counters.duplicates += 1,
            Err(ReceiveError::Invalid(invalid)) => {
                self.counters.invalid += 1;
                if let Some(request_id) = invalid.request_id {
                    let error = CallError::BadReply(CallErrorReason::of(invalid.error));
                    self.complete(id, request_id, None, Err(error), actions);
                }
            }
        }
        let Some(ready) = self.peers.get(&id).and_then(|peer| peer.ready()) else {
            return;
        };
        if ready.contracts.awaits_list() {
            self.request_list(id, actions);
        }
        let Some(ready) = self.peers.get(&id).and_then(|peer| peer.ready()) else {
            return;
        };
        if ready.unacknowledged_messages >= ACKNOWLEDGE_AFTER_MESSAGES
            || ready.unacknowledged_bytes >= ACKNOWLEDGE_AFTER_BYTES
        {
            self.ping(id, actions);
        }
    }

    fn handle_message(&mut self, id: PeerId, message: WireMessage, actions: &mut Vec<CallerAction>) {
        match message {
            WireMessage::Reply {
                request_id,
                limit,
                reply,
            } => {
                let outcome = if reply.body_len() > self.config.max_body {
                    Err(CallError::BadReply(
                        format!(
                            "the response has {} bytes, and the limit of this client is {} bytes; raise it with \
                             `ServiceAddress::body_limit`",
                            reply.body_len(),
                            self.config.max_body
                        )
                        .into(),
                    ))
                } else {
                    Ok(reply)
                };
                self.complete(id, request_id, Some(limit), outcome, actions);
            }
            WireMessage::Error {
                request_id,
                limit,
                error,
            } => self.handle_error(id, request_id, limit, error, actions),
            WireMessage::Accepted { request_id, limit } => self.started(id, request_id, limit, actions),
            WireMessage::Credit { limit } | WireMessage::Pong { limit, .. } => {
                if let Some(ready) = self.ready_mut(id) {
                    ready.limit = limit;
                }
            }
            WireMessage::Draining => {
                if self.begin_draining(id, actions) {
                    // The worker cannot stop before this acknowledgement: further requests might still be in flight.
                    self.ping(id, actions);
                }
            }
            WireMessage::Bye { last_request_id } => {
                let reason = "the worker ended the session";
                self.drop_link(id, reason, Some(last_request_id), actions);
            }
            _ => self.counters.unexpected += 1,
        }
    }

    /// Sends no further calls to a worker. Calls wait for its successor for a while. Returns `false` if there is no open session.
    fn begin_draining(&mut self, id: PeerId, actions: &mut Vec<CallerAction>) -> bool {
        let grace_until = self.now + self.config.reconnect_grace;
        let Some(peer) = self.peers.get_mut(&id) else {
            return false;
        };
        let Some(ready) = peer.ready_mut() else {
            return false;
        };
        if !std::mem::replace(&mut ready.draining, true) {
            peer.grace_until = Some(grace_until);
            self.recheck_availability = true;
            self.schedule_wake(id);
            actions.push(CallerAction::PeerDraining { peer: id });
        }
        true
    }

    fn ready_mut(&mut self, id: PeerId) -> Option<&mut ReadySession> {
        self.peers.get_mut(&id).and_then(|peer| peer.ready_mut())
    }

    /// Updates the limit of a session, and returns the call of a request. Returns `None` if the request is not in flight.
    fn find_call(&mut self, id: PeerId, request_id: u64, limit: Option<u64>) -> Option<CallNumber> {
        let ready = self.ready_mut(id)?;
        ready.limit = limit.unwrap_or(ready.limit);
        let call = ready.in_flight.get(&request_id).copied();
        if call.is_none() && !ready.contracts.is_list(request_id) {
            self.counters.late += 1;
        }
        call
    }

    /// Ends the call of a request with its reply or an error.
    fn complete(
        &mut self,
        id: PeerId,
        request_id: u64,
        limit: Option<u64>,
        outcome: Result<WireReply, CallError>,
        actions: &mut Vec<CallerAction>,
    ) {
        let Some(call) = self.find_call(id, request_id, limit) else {
            return self.list_received(id, request_id, &outcome, actions);
        };
        if let Some(CallState::Sent { at, .. }) = self.calls.get(&call).map(|pending| pending.state) {
            self.record_outcome(id, at, &outcome, actions);
        }
        self.finish(call, outcome, actions);
    }

    /// Handles an error from a worker. Depending on its code, the call is rerouted, retried or failed.
    fn handle_error(
        &mut self,
        id: PeerId,
        request_id: u64,
        limit: u64,
        error: ErrorReply,
        actions: &mut Vec<CallerAction>,
    ) {
        let ErrorReply {
            code,
            may_have_run,
            retry_after_ms,
            message,
        } = error;
        let error = match code {
            ErrorCode::Busy => {
                let retry_after =
                    Duration::from_millis(retry_after_ms.into()).clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER);
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.busy_until = self.now + retry_after;
                    self.schedule_wake(id);
                }
                let error = CallError::busy(retry_after);
                return self.not_begun(id, request_id, limit, RetryBudgetCost::One, error, actions);
            }
            ErrorCode::Draining => {
                self.begin_draining(id, actions);
                let error = CallError::lost(false);
                return self.not_begun(id, request_id, limit, RetryBudgetCost::Free, error, actions);
            }
            ErrorCode::TimedOut if !may_have_run => {
                let error = CallError::deadline(Phase::Queued);
                return self.not_begun(id, request_id, limit, RetryBudgetCost::One, error, actions);
            }
            ErrorCode::Cancelled => {
                return self.cancelled_by_worker(id, request_id, limit, may_have_run, actions);
            }
            ErrorCode::TimedOut => CallError::deadline(Phase::Running),
            ErrorCode::Refused | ErrorCode::BadRequest => CallError::Refused(message.to_string().into()),
            ErrorCode::TooLarge => CallError::TooLarge(message.to_string().into()),
            ErrorCode::Failed => CallError::BadReply(message.to_string().into()),
        };
        self.complete(id, request_id, Some(limit), Err(error), actions);
    }

    /// Handles the confirmation of a cancellation. If the call has not ended, retries or fails it like a lost one.
    fn cancelled_by_worker(
        &mut self,
        id: PeerId,
        request_id: u64,
        limit: u64,
        may_have_run: bool,
        actions: &mut Vec<CallerAction>,
    ) {
        let Some(ready) = self.ready_mut(id) else { return };
        ready.limit = limit;
        match ready.in_flight.remove(&request_id) {
            Some(call) => {
                self.handle_lost_call(call, may_have_run, "the worker stopped the handler", actions);
                self.remove_peer_if_done(id, actions);
            }
            // The usual case: the call was removed when its cancellation was sent.
            None => self.counters.late += 1,
        }
    }

    /// Reroutes a call that the worker has not begun and never will. Fails the call with `error` if it cannot be rerouted, or if
    /// `error` is a passed deadline and no more than [`DEADLINE_TOLERANCE`] is left here.
    fn not_begun(
        &mut self,
        id: PeerId,
        request_id: u64,
        limit: u64,
        cost: RetryBudgetCost,
        error: CallError,
        actions: &mut Vec<CallerAction>,
    ) {
        let Some(call) = self.find_call(id, request_id, Some(limit)) else {
            return;
        };
        let time_left = self
            .calls
            .get(&call)
            .map(|pending| pending.time_left(self.now))
            .unwrap_or_default();
        if time_left <= DEADLINE_TOLERANCE && matches!(error, CallError::Deadline { .. }) {
            return self.finish(call, Err(error), actions);
        }
        if let Some(ready) = self.ready_mut(id) {
            ready.in_flight.remove(&request_id);
        }
        self.reroute(call, cost, error, actions);
        self.remove_peer_if_done(id, actions);
    }

    /// Handles the confirmation of a `nowait` call.
    fn started(&mut self, id: PeerId, request_id: u64, limit: u64, actions: &mut Vec<CallerAction>) {
        let Some(call) = self.find_call(id, request_id, Some(limit)) else {
            return;
        };
        match self.calls.get_mut(&call) {
            Some(pending) if pending.request.nowait => {
                if !std::mem::replace(&mut pending.accepted, true) {
                    actions.push(CallerAction::Accepted { call });
                }
            }
            _ => self.counters.unexpected += 1,
        }
    }
}
