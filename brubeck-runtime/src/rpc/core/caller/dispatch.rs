//! Dispatch: chooses a worker for each queued call and sends the request.

use super::peer::{PeerState, WorkerPeer};
use super::queue::CallState;
use super::{CallNumber, Caller, CallerAction, PeerId};
use crate::rpc::api::{CallError, CallErrorReason};
use crate::rpc::codec::{WireMessage, WireRequest};
use crate::rpc::core::too_large_for_service;
use std::time::Duration;

/// Latencies below this one do not differ: the time of the network and of the clocks prevails.
const MIN_LATENCY: Duration = Duration::from_millis(1);

/// A slower worker counts as this many times slower, so that it still gets calls that measure its latency.
const MAX_SLOWNESS: u64 = 64;

/// The values with which workers are compared.
struct Baseline {
    /// There is a worker with an open session that is not ejected.
    has_available: bool,
    /// The latency of the fastest one.
    latency: Option<Duration>,
}

impl Caller {
    /// Returns whether any worker accepts a call now.
    pub(super) fn has_room(&self) -> bool {
        let has_available = self.peers.len() > 1 && self.baseline().has_available;
        self.peers.values().any(|peer| {
            peer.room(self.now, &self.config).is_some() && (!has_available || peer.is_available(self.now))
        })
    }

    /// Returns the number of calls that all workers with an open session process at once: those in flight and those that they
    /// still accept. Omits draining workers, and those that were ejected, unless there are no others.
    pub(super) fn total_capacity(&self) -> usize {
        let has_available = self.baseline().has_available;
        let ready = self
            .peers
            .values()
            .filter(|peer| !has_available || !peer.health.is_ejected())
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

    /// Returns the worker with the lowest cost of those with room, or `None` if no worker has room. A worker that was ejected and has to
    /// show whether it has recovered comes first. Ties are broken at random.
    pub(super) fn least_loaded(&mut self) -> Option<PeerId> {
        // In the common case there is nothing to compare.
        if self.peers.len() == 1 {
            let (id, peer) = self.peers.first_key_value()?;
            return peer.room(self.now, &self.config).map(|_| *id);
        }
        let pool = self.baseline();
        let mut best: Option<(u64, PeerId)> = None;
        let mut ties = 0;
        for (id, peer) in &self.peers {
            let (Some(_), Some(ready)) = (peer.room(self.now, &self.config), peer.ready()) else {
                continue;
            };
            if pool.has_available && !peer.is_available(self.now) {
                continue;
            }
            let cost = match pool.has_available && peer.health.is_ejected() {
                true => 0,
                false => self.cost(&pool, peer, ready.in_flight.len()),
            };
            match best {
                Some((least, _)) if least < cost => continue,
                Some((least, _)) if least == cost => {
                    // Reservoir sampling: the n-th of equal workers replaces the chosen one with probability 1/n.
                    ties += 1;
                    if self.entropy.below(ties) > 0 {
                        continue;
                    }
                }
                _ => ties = 1,
            }
            best = Some((cost, *id));
        }
        best.map(|(_, id)| id)
    }

    /// Returns the values with which workers are compared.
    fn baseline(&self) -> Baseline {
        let mut pool = Baseline {
            has_available: false,
            latency: None,
        };
        for peer in self.peers.values() {
            let is_open = peer.ready().is_some_and(|ready| !ready.draining) && !peer.removing;
            if !is_open || peer.health.is_ejected() {
                continue;
            }
            pool.has_available = true;
            let latency = peer.health.latency(self.now);
            pool.latency = pool.latency.into_iter().chain(latency).min();
        }
        pool
    }

    /// Returns the cost of another call to a worker: the calls that it would run, times the number of calls that must be sent for one
    /// that succeeds, times its latency if it is much slower than the fastest one.
    ///
    /// The capacity that a worker announces does not count, except as a limit: it may be wrong, and an idle worker announces less than
    /// a busy one.
    fn cost(&self, pool: &Baseline, peer: &WorkerPeer, in_flight: usize) -> u64 {
        let slowness = match (peer.health.latency(self.now), pool.latency) {
            (Some(latency), Some(fastest)) => {
                let tolerated = fastest.as_micros().max(MIN_LATENCY.as_micros()) * 2;
                u64::try_from(latency.as_micros() / tolerated).unwrap_or(u64::MAX)
            }
            _ => 1,
        };
        (in_flight as u64 + 1)
            .saturating_mul(slowness.clamp(1, MAX_SLOWNESS))
            .saturating_mul(peer.health.calls_per_success(self.now))
    }

    /// Sends a call to a worker. Fails the call if its request cannot be encoded.
    pub(super) fn send_call(&mut self, id: CallNumber, to: PeerId, actions: &mut Vec<CallerAction>) {
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
        // The worker would refuse it, or close the connection and end all of its calls.
        let body_len = pending.request.body_len();
        if body_len > ready.max_body {
            let error = CallError::TooLarge(too_large_for_service(body_len, ready.max_body).into());
            // A placeholder state, as below.
            pending.state = CallState::RetryDelay(now);
            return self.finish(id, Err(error), actions);
        }
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
        let differs = pending.options.declaration.is_some_and(|declaration| {
            ready
                .contracts
                .check(&pending.request, declaration, &self.compared)
        });
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
        if differs {
            self.request_list(to, actions);
        }
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
