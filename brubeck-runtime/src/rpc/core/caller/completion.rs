//! The end of calls and sessions.

use super::peer::PeerState;
use super::queue::{ActiveCall, CallState};
use super::{CallNumber, Caller, CallerAction, PeerId};
use crate::rpc::api::{CallError, Phase};
use crate::rpc::codec::{WireMessage, WireReply};
use std::cmp::Reverse;

/// The reason of a lost call whose connection did not end by a message of the worker.
pub(super) const CONNECTION_CLOSED: &str = "the connection was closed";

impl Caller {
    /// Removes a call from every collection. If the call is in flight and `notify_worker` is set, cancels it at its worker.
    pub(super) fn remove_call(
        &mut self,
        id: CallNumber,
        notify_worker: bool,
        actions: &mut Vec<CallerAction>,
    ) -> Option<ActiveCall> {
        let pending = self.calls.remove(&id)?;
        self.pending_bytes = self.pending_bytes.saturating_sub(pending.request.size());
        match pending.state {
            CallState::Queued(position) => self.queue.remove(position),
            CallState::RetryDelay(_) => {
                self.queue.remove_delayed(id);
                self.note_cancelled_timer();
            }
            CallState::Sent { peer, request_id, .. } => {
                let ready = self.peers.get_mut(&peer).and_then(|peer| peer.ready_mut());
                let in_flight = ready.is_some_and(|ready| ready.in_flight.remove(&request_id).is_some());
                if in_flight && notify_worker {
                    self.counters.cancels_sent += 1;
                    self.send(peer, &WireMessage::Cancel { request_id }, actions);
                }
                self.remove_peer_if_done(peer, actions);
            }
        }
        // The timer of the deadline. If it has just expired, it is counted as cancelled, too: the count is an upper estimate.
        self.note_cancelled_timer();
        Some(pending)
    }

    /// Ends a call, unless it has ended already.
    pub(super) fn finish(
        &mut self,
        id: CallNumber,
        outcome: Result<WireReply, CallError>,
        actions: &mut Vec<CallerAction>,
    ) {
        let Some(pending) = self.remove_call(id, false, actions) else {
            return;
        };
        self.report_outcome(id, &pending, outcome, actions);
    }

    fn report_outcome(
        &mut self,
        id: CallNumber,
        pending: &ActiveCall,
        outcome: Result<WireReply, CallError>,
        actions: &mut Vec<CallerAction>,
    ) {
        let outcome = outcome.map_err(|error| pending.adjust_error(error));
        match &outcome {
            Ok(_) => self.counters.replies += 1,
            Err(error) => self.count_error(error),
        }
        let peer = match pending.state {
            CallState::Sent { peer, .. } => Some(peer),
            CallState::Queued(_) | CallState::RetryDelay(_) => None,
        };
        actions.push(CallerAction::Finish {
            call: id,
            peer,
            outcome,
        });
    }

    pub(super) fn count_error(&mut self, error: &CallError) {
        self.counters.errors += 1;
        match error {
            CallError::Busy { .. } => self.counters.busy += 1,
            CallError::Deadline { .. } => self.counters.deadlines += 1,
            CallError::Lost { .. } => self.counters.lost += 1,
            _ => {}
        }
    }

    /// Fails a call whose deadline has passed.
    pub(super) fn expire(&mut self, id: CallNumber, actions: &mut Vec<CallerAction>) {
        let Some(pending) = self.remove_call(id, true, actions) else {
            return;
        };
        let phase = match pending.state {
            CallState::Sent { .. } => Phase::Running,
            CallState::Queued(_) | CallState::RetryDelay(_) => Phase::Waiting,
        };
        let outcome = Err(CallError::deadline(phase));
        if let CallState::Sent { peer, at, .. } = pending.state {
            self.record_outcome(peer, at, &outcome, actions);
        }
        self.report_outcome(id, &pending, outcome, actions);
    }

    /// Fails the queued and delayed calls if there is no worker left to wait for, except those with `wait_for_ready`.
    pub(super) fn fail_unroutable(&mut self, actions: &mut Vec<CallerAction>) {
        let Err(error) = self.check_available() else {
            return;
        };
        for id in self.queue.all() {
            if self
                .calls
                .get(&id)
                .is_some_and(|call| !call.options.wait_for_ready)
            {
                self.finish(id, Err(error.clone()), actions);
            }
        }
    }

    /// Makes the calls with `wait_for_ready` fail as others do if there is no worker to wait for.
    pub(super) fn stop_waiting_for_ready(&mut self) {
        for call in self.calls.values_mut() {
            call.options.wait_for_ready = false;
        }
        self.recheck_availability = true;
    }

    /// Ends the session or the handshake with a worker, if there is one, and retries or fails its calls in flight.
    ///
    /// `last_received` is the last request id that the worker reported when it ended the session; the worker never begins later
    /// requests. Without such a report, every call in flight may have run. `reason` is for the errors of the calls.
    pub(super) fn end_session(
        &mut self,
        id: PeerId,
        last_received: Option<u64>,
        reason: &'static str,
        actions: &mut Vec<CallerAction>,
    ) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        self.recheck_availability = true;
        if let PeerState::Ready(ready) = std::mem::replace(&mut peer.state, PeerState::Disconnected) {
            self.counters.sessions_ended += 1;
            // A worker that drained is being restarted since then.
            peer.grace_until
                .get_or_insert(self.now + self.config.reconnect_grace);
            let mut lost: Vec<_> = ready.in_flight.into_iter().collect();
            let ran =
                |(request_id, _): &(u64, CallNumber)| last_received.is_none_or(|last| *request_id <= last);
            if lost.iter().any(ran) {
                self.record_lost_session(id, actions);
            }
            // In descending order: each rerouted call goes to the front of the queue, so the oldest must be the last.
            lost.sort_unstable_by_key(|(request_id, _)| Reverse(*request_id));
            for lost_call in lost {
                self.handle_lost_call(lost_call.1, ran(&lost_call), reason, actions);
            }
        }
        self.remove_peer_if_done(id, actions);
        self.schedule_wake(id);
    }

    /// Drops the link to a worker, and ends the session or the handshake on it.
    pub(super) fn drop_link(
        &mut self,
        id: PeerId,
        reason: &'static str,
        last_received: Option<u64>,
        actions: &mut Vec<CallerAction>,
    ) {
        let Some(peer) = self.peers.get(&id) else { return };
        actions.push(CallerAction::DropLink {
            peer: id,
            link: peer.link,
            reason,
        });
        self.end_session(id, last_received, reason, actions);
    }
}
