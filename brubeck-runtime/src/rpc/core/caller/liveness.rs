//! Heartbeats: when a worker is considered dead, and the timers for that.

use super::peer::PeerState;
use super::queue::CallState;
use super::{Caller, CallerAction, CallerTimer, PeerId};
use crate::rpc::core::{MAX_MISSED_HEARTBEATS, Moment};

/// If a timer fires late by more than `heartbeat_interval / CLOCK_STALL_DIVISOR`, this process is assumed to have been suspended.
const CLOCK_STALL_DIVISOR: u32 = 4;

impl Caller {
    /// Advances the clock. If this process was suspended, grants each worker at least one heartbeat interval before it is considered
    /// dead, because its messages could not be received in the meantime.
    pub(super) fn advance_clock(&mut self, now: Moment) {
        let now = now.max(self.now);
        let interval = self.config.heartbeat_interval;
        if self
            .timers
            .next_expiry()
            .is_some_and(|expiry| now.saturating_sub(expiry) > interval / CLOCK_STALL_DIVISOR)
        {
            let earliest = now.saturating_sub(interval * (MAX_MISSED_HEARTBEATS - 1));
            for peer in self.peers.values_mut() {
                if let Some(ready) = peer.ready_mut() {
                    ready.last_seen = ready.last_seen.max(earliest);
                }
            }
        }
        self.now = now;
    }

    /// Handles an expired timer of a worker: sends a ping, or drops the link if the worker is dead or its handshake timed out.
    pub(super) fn check_liveness(&mut self, id: PeerId, actions: &mut Vec<CallerAction>) {
        let (now, dead_after) = (self.now, self.config.heartbeat_interval * MAX_MISSED_HEARTBEATS);
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.scheduled_wake = None;
        let reason = match &mut peer.state {
            PeerState::Ready(ready) if now >= ready.last_seen + dead_after => {
                self.counters.dead += 1;
                "the worker missed three heartbeats"
            }
            PeerState::Ready(ready) => {
                if now >= ready.next_ping {
                    ready.next_ping = now + self.config.heartbeat_interval;
                    self.ping(id, actions);
                }
                return;
            }
            PeerState::AwaitingWelcome { since } if now >= *since + self.config.handshake_timeout => {
                self.counters.handshake_timeouts += 1;
                "the handshake timed out; check that a brubeck service listens at the address"
            }
            // No timeout. The grace period for connecting may be over.
            PeerState::Disconnected | PeerState::AwaitingWelcome { .. } => {
                self.recheck_availability = true;
                return;
            }
        };
        peer.last_attempt_failed = true;
        self.drop_link(id, reason, None, actions);
    }

    /// Sets the timer of a worker, unless one is set that does not expire later.
    pub(super) fn schedule_wake(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let Some(wake) = peer.next_wake(self.now, &self.config) else {
            return;
        };
        if peer.scheduled_wake.is_some_and(|scheduled| scheduled <= wake) {
            return;
        }
        let replaced = peer.scheduled_wake.replace(wake);
        self.timers.set(wake, CallerTimer::Peer(id));
        if replaced.is_some() {
            self.note_cancelled_timer();
        }
    }

    pub(super) fn note_cancelled_timer(&mut self) {
        let (calls, peers) = (&self.calls, &self.peers);
        self.timers.note_cancelled(|at, timer| match timer {
            CallerTimer::Deadline(call) => calls.contains_key(&call),
            CallerTimer::Retry(call) => calls
                .get(&call)
                .is_some_and(|call| call.state == CallState::RetryDelay(at)),
            CallerTimer::Peer(id) => peers.get(&id).is_some_and(|peer| peer.scheduled_wake == Some(at)),
        });
    }
}
