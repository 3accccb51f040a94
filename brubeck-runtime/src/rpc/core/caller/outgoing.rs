//! From a call that comes in to the request that is sent: admission, and the choice of a worker.

use super::calls::{Pending, Place};
use super::peer::State;
use super::{CallId, Caller, CallerAction, Due, Options, PeerId};
use crate::rpc::api::{CallError, Phase};
use crate::rpc::codec::{Ask, Denial, Message, Request, limits};
use crate::rpc::core::{Moment, RETRY_AFTER, TOO_MANY_HOPS};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// More comes than the workers can do.
///
/// A burst waits in the queue, for as long as each of its calls can still be in time. That one cannot shows that the
/// queue does not drain: from then on waiting would only bring every answer to the end of its deadline, so calls are
/// taken while a worker has a place, and refused otherwise, until nothing was refused for a while. Calls with much more
/// time than the one that could not be in time are not concerned.
#[derive(Debug, Default)]
pub(super) struct Overload {
    until: Moment,
    /// The most time that a call had which could not be in time.
    left: Duration,
}

impl Overload {
    fn lasts(&self, now: Moment, left: Duration) -> bool {
        now < self.until && left <= self.left.saturating_mul(2)
    }

    /// A call with this much time could not be in time.
    fn hopeless(&mut self, now: Moment, calm: Duration, left: Duration) {
        if now >= self.until {
            self.left = Duration::ZERO;
        }
        // What has much less time says nothing about those that are concerned.
        if left.saturating_mul(2) >= self.left {
            self.left = self.left.max(left);
            self.until = now + calm;
        }
    }

    fn refused(&mut self, now: Moment, calm: Duration) {
        self.until = now + calm;
    }
}

impl Caller {
    pub(super) fn call(
        &mut self,
        id: CallId,
        ask: Arc<Ask>,
        deadline: Moment,
        options: Options,
        actions: &mut Vec<CallerAction>,
    ) {
        if self.calls.contains_key(&id) {
            self.counters.misused += 1;
            return;
        }
        self.counters.calls += 1;
        self.budget.deposit();
        let size = ask.size();
        if let Err(error) = self.admit(&ask, size, deadline, options) {
            self.count(&error);
            return actions.push(CallerAction::Finish {
                call: id,
                outcome: Err(error),
            });
        }
        // Most calls wait for nobody, and go out without a place in the queue.
        let (peer, place) = match self.queue.is_empty().then(|| self.least_loaded()).flatten() {
            Some(peer) => (Some(peer), Place::Postponed(self.now)),
            None => (None, Place::Queued(self.queue.push_back(id))),
        };
        let pending = Pending {
            ask,
            deadline,
            options,
            place,
            attempts: 0,
            accepted: false,
            may_have_run: false,
        };
        self.calls.insert(id, pending);
        self.bytes += size;
        self.timers.set(deadline, Due::Deadline(id));
        if let Some(peer) = peer {
            self.send_call(id, peer, actions);
        }
    }

    /// Refuses at once what could not end well.
    fn admit(&mut self, ask: &Ask, size: usize, deadline: Moment, options: Options) -> Result<(), CallError> {
        if self.closing {
            return Err(CallError::ShuttingDown);
        }
        ask.check()
            .map_err(|error| CallError::Refused(error.to_string().into()))?;
        if ask.hops > limits::MAX_HOPS {
            return Err(CallError::Refused(TOO_MANY_HOPS.into()));
        }
        if ask.body.len() > self.config.max_body {
            return Err(CallError::TooLarge);
        }
        if deadline <= self.now {
            return Err(CallError::Deadline {
                phase: Phase::Waiting,
            });
        }
        if !options.patient {
            self.hope()?;
        }
        if self.has_room()
            && self.queue.is_empty()
            && self.bytes.saturating_add(size) <= self.config.max_bytes
        {
            return Ok(());
        }
        let wait = self.service_time.wait(self.queue.len(), self.places());
        let left = deadline.saturating_sub(self.now);
        if self.queue.len() >= self.config.max_queue {
            self.overload.hopeless(self.now, self.config.calm, Duration::MAX);
        } else if wait.is_some_and(|wait| wait > left) {
            self.overload.hopeless(self.now, self.config.calm, left);
        } else if self.overload.lasts(self.now, left) {
            self.overload.refused(self.now, self.config.calm);
        } else if self.bytes.saturating_add(size) <= self.config.max_bytes {
            return Ok(());
        }
        let (shortest, longest) = RETRY_AFTER;
        Err(CallError::Busy {
            retry_after: wait.unwrap_or(shortest * 10).clamp(shortest, longest),
        })
    }

    /// Fails if there is no worker to wait for.
    pub(super) fn hope(&self) -> Result<(), CallError> {
        if self
            .peers
            .values()
            .any(|peer| peer.gives_hope(self.now, &self.config))
        {
            return Ok(());
        }
        let denials = || {
            self.peers
                .values()
                .filter(|peer| !peer.leaving)
                .map(|peer| peer.denied)
        };
        let reason = match denials().next().flatten() {
            Some(denial) if denials().all(|other| other == Some(denial)) => denial,
            _ => return Err(CallError::NoWorkers),
        };
        Err(match reason {
            Denial::Passphrase => CallError::Refused(Cow::Borrowed(
                "the service has another passphrase; give both sides the same",
            )),
            Denial::Version => CallError::Refused(Cow::Borrowed(
                "the service speaks another version of the protocol; bring both sides to the same release",
            )),
            Denial::Full => CallError::Busy {
                retry_after: RETRY_AFTER.1,
            },
        })
    }
}

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
