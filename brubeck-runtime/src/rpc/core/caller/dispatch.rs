//! Which worker gets which call.

use super::peer::State;
use super::pending::Place;
use super::{CallId, Caller, CallerAction, PeerId};
use crate::rpc::api::CallError;
use crate::rpc::codec::{Message, Request};

impl Caller {
    /// Whether any worker takes a call now.
    pub(super) fn has_room(&self) -> bool {
        self.peers
            .values()
            .any(|peer| peer.room(self.now, &self.config).is_some())
    }

    /// How many calls the workers have and take, all together.
    pub(super) fn places(&self) -> usize {
        let ready = self
            .peers
            .values()
            .filter_map(|peer| peer.ready().filter(|ready| !ready.draining));
        ready
            .map(|ready| ready.in_flight.len() + ready.free(&self.config))
            .sum()
    }

    /// Sends calls for as long as there are calls and room.
    pub(super) fn dispatch(&mut self, actions: &mut Vec<CallerAction>) {
        while !self.queue.is_empty() {
            let Some(peer) = self.least_loaded() else { return };
            let Some(call) = self.queue.pop() else { return };
            self.send_call(call, peer, actions);
        }
    }

    /// The worker with room whose share of calls in flight is the smallest; one of them, where several are equal.
    pub(super) fn least_loaded(&mut self) -> Option<PeerId> {
        let mut best: Option<(u64, PeerId)> = None;
        let mut equals = 0;
        for (id, peer) in &self.peers {
            let (Some(free), Some(ready)) = (peer.room(self.now, &self.config), peer.ready()) else {
                continue;
            };
            let in_flight = ready.in_flight.len() as u64;
            let load = in_flight.saturating_mul(1 << 20) / (in_flight + free as u64);
            match best {
                Some((least, _)) if least < load => continue,
                Some((least, _)) if least == load => {
                    equals += 1;
                    if self.entropy.below(equals) > 0 {
                        continue;
                    }
                }
                _ => equals = 1,
            }
            best = Some((load, *id));
        }
        best.map(|(_, id)| id)
    }

    pub(super) fn send_call(&mut self, id: CallId, to: PeerId, actions: &mut Vec<CallerAction>) {
        let more = !self.queue.is_empty();
        let now = self.now;
        let Some(pending) = self.calls.get_mut(&id) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(&to) else {
            return;
        };
        let State::Ready(ready) = &mut peer.state else {
            return;
        };
        let call = ready.last_call + 1;
        // At least one, because a worker begins nothing whose deadline is over.
        let left = pending.left(now).as_millis().max(1);
        let deadline = u32::try_from(left).unwrap_or(u32::MAX);
        let request = Request {
            call,
            deadline,
            more,
            ask: pending.ask.clone(),
        };
        let frames = match ready.session.seal(&Message::Request(request)) {
            Ok(frames) => frames,
            Err(error) => {
                pending.place = Place::Postponed(now);
                return self.finish(id, Err(CallError::Refused(error.to_string().into())), actions);
            }
        };
        pending.place = Place::Sent {
            peer: to,
            id: call,
            at: now,
        };
        pending.attempts = pending.attempts.saturating_add(1);
        ready.last_call = call;
        ready.in_flight.insert(call, id);
        ready.unacknowledged = (0, 0);
        self.counters.requests += 1;
        actions.push(CallerAction::Send {
            peer: to,
            link: peer.link,
            frames,
            call: Some(id),
        });
    }

    /// Sends anything but a call to a worker whose session is open.
    pub(super) fn send(&mut self, to: PeerId, message: &Message, actions: &mut Vec<CallerAction>) {
        let Some(peer) = self.peers.get_mut(&to) else {
            return;
        };
        let State::Ready(ready) = &mut peer.state else {
            return;
        };
        // Nothing that is sent here has a field that could be too long.
        let Ok(frames) = ready.session.seal(message) else {
            return;
        };
        ready.unacknowledged = (0, 0);
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
        let ping = Message::Ping {
            stamp,
            last_call: ready.last_call,
        };
        self.send(to, &ping, actions);
    }
}
