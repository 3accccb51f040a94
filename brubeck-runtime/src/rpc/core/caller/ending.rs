//! How calls and sessions end.

use crate::rpc::core::RETRY_AFTER;
use std::cmp::Reverse;

use super::outgoing::{CallState, Pending, delay};
use super::peer::State;
use super::{CallId, Caller, CallerAction, PeerId};
use crate::rpc::api::{CallError, Phase};
use crate::rpc::codec::{WireMessage, WireReply};

/// Whether a move to another worker counts against the budget.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// The worker did nothing for it.
    Free,
    /// It adds to the load.
    One,
}

impl Caller {
    /// Takes a call out of everything; tells its worker, if it has one and `cancel` is set.
    pub(super) fn take(
        &mut self,
        id: CallId,
        cancel: bool,
        actions: &mut Vec<CallerAction>,
    ) -> Option<Pending> {
        let pending = self.calls.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(pending.request.size());
        match pending.place {
            CallState::Queued(place) => self.queue.remove(place),
            CallState::Postponed(_) => {
                self.queue.take_postponed(id);
                self.forget_timer();
            }
            CallState::Sent { peer, id: call, .. } => {
                let ready = self.peers.get_mut(&peer).and_then(|peer| peer.ready_mut());
                let was_there = ready.is_some_and(|ready| ready.in_flight.remove(&call).is_some());
                if was_there && cancel {
                    self.counters.cancels += 1;
                    self.send(peer, &WireMessage::Cancel { request_id: call }, actions);
                }
                self.forget_if_done(peer, actions);
            }
        }
        self.forget_timer();
        Some(pending)
    }

    /// Ends a call. Does nothing if it has ended.
    pub(super) fn finish(
        &mut self,
        id: CallId,
        outcome: Result<WireReply, CallError>,
        actions: &mut Vec<CallerAction>,
    ) {
        let Some(pending) = self.take(id, false, actions) else {
            return;
        };
        self.conclude(id, &pending, outcome, actions);
    }

    fn conclude(
        &mut self,
        id: CallId,
        pending: &Pending,
        outcome: Result<WireReply, CallError>,
        actions: &mut Vec<CallerAction>,
    ) {
        let outcome = outcome.map_err(|error| pending.honest(error));
        match &outcome {
            Ok(_) => self.counters.replies += 1,
            Err(error) => self.count(error),
        }
        actions.push(CallerAction::Finish { call: id, outcome });
    }

    pub(super) fn count(&mut self, error: &CallError) {
        self.counters.errors += 1;
        match error {
            CallError::Busy { .. } => self.counters.busy += 1,
            CallError::Deadline { .. } => self.counters.deadlines += 1,
            CallError::Lost { .. } => self.counters.lost += 1,
            _ => {}
        }
    }

    pub(super) fn deadline(&mut self, id: CallId, actions: &mut Vec<CallerAction>) {
        let Some(pending) = self.take(id, true, actions) else {
            return;
        };
        let phase = match pending.place {
            CallState::Sent { .. } => Phase::Running,
            CallState::Queued(_) | CallState::Postponed(_) => Phase::Waiting,
        };
        self.conclude(id, &pending, Err(CallError::Deadline { phase }), actions);
    }

    /// Ends what waits if there is nothing left to wait for.
    pub(super) fn end_the_hopeless(&mut self, actions: &mut Vec<CallerAction>) {
        let Err(error) = self.hope() else { return };
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

    /// Ends the session of a worker, if there is one, and what was on its way. `arrived` is the last call that the worker
    /// says it has seen of a session that it has closed: later ones can never begin.
    pub(super) fn end_session(&mut self, id: PeerId, arrived: Option<u64>, actions: &mut Vec<CallerAction>) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        self.worse = true;
        if let State::Ready(ready) = std::mem::replace(&mut peer.state, State::Down) {
            self.counters.sessions_ended += 1;
            let mut lost: Vec<_> = ready.in_flight.into_iter().collect();
            // From the last to the first, because each that can go elsewhere goes to the front of the queue.
            lost.sort_unstable_by_key(|(call, _)| Reverse(*call));
            for (call, pending) in lost {
                let may_have_run = arrived.is_none_or(|arrived| call <= arrived);
                self.lose(pending, may_have_run, actions);
            }
        }
        self.forget_if_done(id, actions);
        self.arm(id);
    }

    /// Ends the session of a worker and gives its link up.
    pub(super) fn drop_link(
        &mut self,
        id: PeerId,
        reason: &'static str,
        arrived: Option<u64>,
        actions: &mut Vec<CallerAction>,
    ) {
        let Some(peer) = self.peers.get(&id) else { return };
        actions.push(CallerAction::DropLink {
            peer: id,
            link: peer.link,
            reason,
        });
        self.end_session(id, arrived, actions);
    }

    /// A call was on its way to a worker that is gone.
    pub(super) fn lose(&mut self, id: CallId, may_have_run: bool, actions: &mut Vec<CallerAction>) {
        if !may_have_run {
            return self.move_on(id, Cost::Free, CallError::Lost { may_have_run }, actions);
        }
        let max_attempts = self.config.max_attempts;
        let Some(pending) = self.calls.get_mut(&id) else {
            return;
        };
        pending.may_have_run = true;
        let again = pending.request.idempotent && pending.attempts < max_attempts && !self.closing;
        if !again || !self.within_budget(Cost::One) {
            return self.finish(id, Err(CallError::Lost { may_have_run }), actions);
        }
        let Some(pending) = self.calls.get_mut(&id) else {
            return;
        };
        let until = self.now + delay(self.config.retry_delay, pending.attempts, &mut self.entropy);
        pending.place = CallState::Postponed(until);
        self.counters.retried += 1;
        self.queue.postpone(id);
        self.timers.set(until, super::Due::Retry(id));
        self.worse = true;
    }

    /// A call that was on its way has not begun there, and never will: another worker gets it. If that may not be, it
    /// ends in `otherwise`.
    pub(super) fn move_on(
        &mut self,
        id: CallId,
        cost: Cost,
        otherwise: CallError,
        actions: &mut Vec<CallerAction>,
    ) {
        let Some(pending) = self.calls.get(&id) else {
            return;
        };
        if self.closing {
            return self.finish(id, Err(CallError::ShuttingDown), actions);
        }
        if pending.attempts >= self.config.max_attempts || !self.within_budget(cost) {
            return self.finish(id, Err(otherwise), actions);
        }
        self.counters.moved += 1;
        let place = CallState::Queued(self.queue.push_front(id));
        if let Some(pending) = self.calls.get_mut(&id) {
            pending.place = place;
        }
        self.worse = true;
    }

    fn within_budget(&mut self, cost: Cost) -> bool {
        let within = cost == Cost::Free || self.budget.withdraw(self.now);
        if !within {
            self.counters.over_budget += 1;
        }
        within
    }

    /// The time to send a call again has come.
    pub(super) fn retry(&mut self, id: CallId) {
        if self.queue.take_postponed(id)
            && let Some(pending) = self.calls.get_mut(&id)
        {
            pending.place = CallState::Queued(self.queue.push_back(id));
        }
    }

    /// The link did not take a message.
    pub(super) fn unsent(
        &mut self,
        from: PeerId,
        link: u64,
        call: Option<CallId>,
        actions: &mut Vec<CallerAction>,
    ) {
        let Some(id) = call else { return };
        let Some(pending) = self.calls.get(&id) else {
            return;
        };
        let CallState::Sent {
            peer: to, id: call, ..
        } = pending.place
        else {
            return;
        };
        let Some(peer) = self
            .peers
            .get_mut(&to)
            .filter(|peer| to == from && peer.link == link)
        else {
            return;
        };
        // It is full or about to be lost: give it a moment before the next call.
        peer.busy_until = self.now + RETRY_AFTER.0;
        if peer
            .ready_mut()
            .is_some_and(|ready| ready.in_flight.remove(&call).is_some())
        {
            self.move_on(id, Cost::Free, CallError::Lost { may_have_run: false }, actions);
            self.forget_if_done(to, actions);
        }
        self.arm(to);
    }
}
