//! Heartbeats: when a worker counts as dead, and what wakes a caller for it.

use super::outgoing::CallState;
use super::peer::State;
use super::{Caller, CallerAction, Due, PeerId};
use crate::rpc::core::{MAX_MISSED_HEARTBEATS, Moment};

/// A timer that is late by this part of a heartbeat_interval says that this process stood still.
const STOOD_STILL: u32 = 4;

impl Caller {
    /// Moves time on. That this process stood still says nothing about the workers, so they get a heartbeat_interval to show that they
    /// live.
    pub(super) fn pass(&mut self, now: Moment) {
        let now = now.max(self.now);
        if self
            .timers
            .next()
            .is_some_and(|due| now.saturating_sub(due) > self.config.heartbeat_interval / STOOD_STILL)
        {
            let since = now.saturating_sub(self.config.heartbeat_interval * 2);
            for peer in self.peers.values_mut() {
                if let Some(ready) = peer.ready_mut() {
                    ready.heard = ready.heard.max(since);
                }
            }
        }
        self.now = now;
    }

    pub(super) fn peer_is_due(&mut self, id: PeerId, actions: &mut Vec<CallerAction>) {
        let (now, dead_after) = (self.now, self.config.heartbeat_interval * MAX_MISSED_HEARTBEATS);
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.wake = None;
        let reason = match &mut peer.state {
            State::Ready(ready) if now >= ready.heard + dead_after => {
                self.counters.dead += 1;
                "it missed three beats"
            }
            State::Ready(ready) => {
                if now >= ready.next_ping {
                    ready.next_ping = now + self.config.heartbeat_interval;
                    self.ping(id, actions);
                }
                return;
            }
            State::Greeting { since, .. } | State::Proving { since, .. }
                if now >= *since + self.config.handshake =>
            {
                self.counters.unopened += 1;
                "it opened no session in time"
            }
            State::Down | State::Greeting { .. } | State::Proving { .. } => {
                self.worse = true;
                return;
            }
        };
        peer.doubtful = true;
        self.drop_link(id, reason, None, actions);
    }

    /// Sets the timer of a worker if something is due before the one that is set.
    pub(super) fn arm(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let Some(wake) = peer.next_wake(self.now, &self.config) else {
            return;
        };
        if peer.wake.is_some_and(|set| set <= wake) {
            return;
        }
        let replaced = peer.wake.replace(wake);
        self.timers.set(wake, Due::Peer(id));
        if replaced.is_some() {
            self.forget_timer();
        }
    }

    pub(super) fn forget_timer(&mut self) {
        let (calls, peers) = (&self.calls, &self.peers);
        self.timers.forget(|at, due| match due {
            Due::Deadline(call) => calls.contains_key(&call),
            Due::Retry(call) => calls
                .get(&call)
                .is_some_and(|call| call.place == CallState::Postponed(at)),
            Due::Peer(id) => peers.get(&id).is_some_and(|peer| peer.wake == Some(at)),
        });
    }
}
