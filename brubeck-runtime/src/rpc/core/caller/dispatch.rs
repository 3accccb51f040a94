//! Dispatch: chooses a worker for each queued call and sends the request.

use super::peer::PeerState;
use super::queue::CallState;
use super::{CallId, Caller, CallerAction, PeerId};
use crate::rpc::api::{CallError, CallErrorReason};
use crate::rpc::codec::{WireMessage, WireRequest};

/// The fixed-point scale of a load: the number of steps between an idle and a full worker.
const LOAD_SCALE: u64 = 1 << 20;

impl Caller {
    /// Returns whether any worker accepts a call now.
    pub(super) fn has_room(&self) -> bool {
        self.peers
            .values()
            .any(|peer| peer.room(self.now, &self.config).is_some())
    }

    /// Returns the number of calls that all workers with an open session process at once: those in flight and those that they
    /// still accept. Omits draining workers.
    pub(super) fn total_capacity(&self) -> usize {
        let ready = self
            .peers
            .values()
            .filter_map(|peer| peer.ready().filter(|ready| !ready.draining));
        ready
            .map(|ready| ready.in_flight.len() + ready.free(&self.config))
            .sum()
    }

    /// Sends queued calls until the queue is empty or no worker has room.
    pub(super) fn dispatch(&mut self, actions: &mut Vec<CallerAction>) {
        while !self.queue.is_empty() {
            let Some(peer) = self.least_loaded() else { return };
            let Some(call) = self.queue.pop() else { return };
            self.send_call(call, peer, actions);
        }
    }

    /// Returns the worker with the lowest load of those with room, or `None` if no worker has room. The load is the share of the
    /// capacity that is in use. Ties are broken at random.
    pub(super) fn least_loaded(&mut self) -> Option<PeerId> {
        let mut best: Option<(u64, PeerId)> = None;
        let mut ties = 0;
        for (id, peer) in &self.peers {
            let (Some(free), Some(ready)) = (peer.room(self.now, &self.config), peer.ready()) else {
                continue;
            };
            let in_flight = ready.in_flight.len() as u64;
            let load = in_flight.saturating_mul(LOAD_SCALE) / (in_flight + free as u64);
            match best {
                Some((least, _)) if least < load => continue,
                Some((least, _)) if least == load => {
                    // Reservoir sampling: the n-th of equal workers replaces the chosen one with probability 1/n.
                    ties += 1;
                    if self.entropy.below(ties) > 0 {
                        continue;
                    }
                }
                _ => ties = 1,
            }
            best = Some((load, *id));
        }
        best.map(|(_, id)| id)
    }

    /// Sends a call to a worker. Fails the call if its request cannot be encoded.
    pub(super) fn send_call(&mut self, id: CallId, to: PeerId, actions: &mut Vec<CallerAction>) {
        let more_waiting = !self.queue.is_empty();
        let now = self.now;
        let Some(pending) = self.calls.get_mut(&id) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(&to) else {
            return;
        };
        let PeerState::Ready(ready) = &mut peer.state else {
            return;
        };
        let request_id = ready.last_request_id + 1;
        // At least 1 ms: a worker rejects a request without any time left.
        let time_left = pending.time_left(now).as_millis().max(1);
        let request = WireRequest {
            id: request_id,
            timeout_ms: u32::try_from(time_left).unwrap_or(u32::MAX),
            more_waiting,
            call: pending.request.clone(),
        };
        let frames = match ready.channel.encode(&WireMessage::Request(request)) {
            Ok(frames) => frames,
            Err(error) => {
                // A placeholder state: the call is in no queue, so `finish` has nothing to remove it from.
                pending.state = CallState::RetryDelay(now);
                return self.finish(id, Err(CallError::Refused(CallErrorReason::of(error))), actions);
            }
        };
        pending.state = CallState::Sent {
            peer: to,
            request_id,
            at: now,
        };
        pending.attempts = pending.attempts.saturating_add(1);
        ready.last_request_id = request_id;
        ready.in_flight.insert(request_id, id);
        ready.acknowledged();
        self.counters.requests += 1;
        actions.push(CallerAction::Send {
            peer: to,
            link: peer.link,
            frames,
            call: Some(id),
        });
    }

    /// Sends a message other than a request to a worker with an open session.
    pub(super) fn send(&mut self, to: PeerId, message: &WireMessage, actions: &mut Vec<CallerAction>) {
        let Some(peer) = self.peers.get_mut(&to) else {
            return;
        };
        let PeerState::Ready(ready) = &mut peer.state else {
            return;
        };
        // Encoding cannot fail: these messages have no field of variable length.
        let Ok(frames) = ready.channel.encode(message) else {
            return;
        };
        ready.acknowledged();
        actions.push(CallerAction::Send {
            peer: to,
            link: peer.link,
            frames,
            call: None,
        });
    }

    pub(super) fn ping(&mut self, to: PeerId, actions: &mut Vec<CallerAction>) {
        let Some(ready) = self.peers.get(&to).and_then(|peer| peer.ready()) else {
            return;
        };
        let stamp = u64::try_from(self.now.as_micros()).unwrap_or(u64::MAX);
        let ping = WireMessage::Ping {
            stamp,
            last_request_id: ready.last_request_id,
        };
        self.send(to, &ping, actions);
    }
}
