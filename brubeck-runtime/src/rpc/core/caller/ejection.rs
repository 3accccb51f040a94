//! Outlier ejection: a worker that fails more often than the others gets no calls for a while, and then one at a time.

use super::health::HealthChange;
use super::peer::{PeerState, WorkerPeer};
use super::{Caller, CallerAction, PeerId};
use crate::rpc::api::CallError;
use crate::rpc::codec::{Outcome, WireReply};
use crate::rpc::core::Moment;
use std::time::Duration;

/// A call that timed out sooner than this many times the usual latency says nothing about its worker.
const PATIENCE: u32 = 4;
const MIN_PATIENCE: Duration = Duration::from_millis(100);

impl Caller {
    /// Records that a worker ended while it ran calls.
    pub(super) fn record_lost_session(&mut self, id: PeerId, actions: &mut Vec<CallerAction>) {
        let lost = Err(CallError::lost(true));
        self.record_outcome(id, self.now, &lost, actions);
    }

    /// Records that the application could not read a response, which counted as a success.
    pub(super) fn record_unreadable(&mut self, id: PeerId, actions: &mut Vec<CallerAction>) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let change = peer.health.record_unreadable(self.now);
        self.apply(id, change, actions);
    }

    /// Records the outcome of a call that was sent to a worker at `sent`. Ejects the worker if it is an outlier, and restores it if
    /// it has recovered.
    pub(super) fn record_outcome(
        &mut self,
        id: PeerId,
        sent: Moment,
        outcome: &Result<WireReply, CallError>,
        actions: &mut Vec<CallerAction>,
    ) {
        let now = self.now;
        let elapsed = now.saturating_sub(sent);
        let Some(succeeded) = self.is_success(elapsed, outcome) else {
            return;
        };
        if succeeded {
            self.service_time.record(elapsed);
        }
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let change = peer.health.record(sent, now, succeeded);
        self.apply(id, change, actions);
    }

    fn apply(&mut self, id: PeerId, change: HealthChange, actions: &mut Vec<CallerAction>) {
        match change {
            HealthChange::Recovered => actions.push(CallerAction::PeerRestored { peer: id }),
            HealthChange::ProbeFailed => self.eject(id, actions),
            HealthChange::Failing if self.is_outlier(id) => self.eject(id, actions),
            HealthChange::Failing | HealthChange::None => {}
        }
    }

    /// Returns `true` if an outcome counts as a success of the worker, `false` if it counts as a failure, and `None` if it counts as neither.
    ///
    /// Only failures count that another worker might not have had. If all workers fail alike, none is an outlier.
    fn is_success(&self, elapsed: Duration, outcome: &Result<WireReply, CallError>) -> Option<bool> {
        match outcome {
            Ok(reply) => Some(match reply.outcome {
                Outcome::Value | Outcome::Failure => !(500..600).contains(&reply.status),
                Outcome::Rejected | Outcome::Panicked => false,
            }),
            Err(CallError::Refused(_) | CallError::BadReply(_) | CallError::Lost { .. }) => Some(false),
            Err(CallError::Deadline { .. }) => {
                let patience = self.service_time.average().unwrap_or_default() * PATIENCE;
                (elapsed >= patience.max(MIN_PATIENCE)).then_some(false)
            }
            Err(_) => None,
        }
    }

    /// Returns whether a worker fails more than twice as often as the others that get calls, and may be ejected: not more than
    /// half of the workers are.
    fn is_outlier(&self, id: PeerId) -> bool {
        let is_open = |peer: &&WorkerPeer| matches!(&peer.state, PeerState::Ready(ready) if !ready.draining);
        let (mut open, mut ejected) = (1, 1);
        let (mut failures, mut outcomes) = (0, 0);
        for (other, peer) in self.peers.iter().filter(|(_, peer)| is_open(peer)) {
            if *other == id {
                continue;
            }
            open += 1;
            if peer.health.is_ejected() {
                ejected += 1;
                continue;
            }
            let recent = peer.health.recent();
            failures += recent.0;
            outcomes += recent.1;
        }
        let Some((own_failures, own_outcomes)) = self.peers.get(&id).map(|peer| peer.health.recent()) else {
            return false;
        };
        // failures / outcomes < own_failures / own_outcomes / 2, without a division.
        let others_are_better = 2 * failures * own_outcomes < own_failures * outcomes.max(1);
        2 * ejected <= open && others_are_better
    }

    fn eject(&mut self, id: PeerId, actions: &mut Vec<CallerAction>) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let pause = peer.health.eject(now);
        self.counters.ejections += 1;
        actions.push(CallerAction::PeerEjected { peer: id, pause });
        self.schedule_wake(id);
    }
}
