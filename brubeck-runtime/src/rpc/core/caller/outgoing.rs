//! From a call that comes in to the request that is sent: admission, the queue, retries, and the choice of a worker.

use super::peer::State;
use super::{CallId, CallOptions, Caller, CallerAction, Due, PeerId};
use crate::rpc::api::{CallError, Phase};
use crate::rpc::codec::{CallRequest, Denial, WireMessage, WireRequest, limits};
use crate::rpc::core::session::Entropy;
use crate::rpc::core::{Moment, RETRY_AFTER, TOO_MANY_HOPS};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Pending {
    pub(super) request: Arc<CallRequest>,
    pub(super) deadline: Moment,
    pub(super) options: CallOptions,
    pub(super) place: CallState,
    /// How often it was sent.
    pub(super) attempts: u8,
    /// A worker said that it has taken it.
    pub(super) accepted: bool,
    /// It was lost once where it may have run.
    pub(super) may_have_run: bool,
}

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallState {
    /// In the queue.
    Queued(i64),
    /// Waiting to be queued again.
    Postponed(Moment),
    /// With a worker, under this id of its session.
    Sent { peer: PeerId, id: u64, at: Moment },
}

impl Pending {
    pub(super) fn left(&self, now: Moment) -> Duration {
        self.deadline.saturating_sub(now)
    }

    /// The error as it is for this call: none says that a call did not run which may have, in an earlier attempt.
    pub(super) fn honest(&self, error: CallError) -> CallError {
        if !self.may_have_run {
            return error;
        }
        match error {
            CallError::Deadline { .. } => CallError::Deadline {
                phase: Phase::Running,
            },
            CallError::NoWorkers
            | CallError::Busy { .. }
            | CallError::Lost { .. }
            | CallError::Refused(_)
            | CallError::TooLarge
            | CallError::ShuttingDown => CallError::Lost { may_have_run: true },
            other => other,
        }
    }
}

/// Calls that wait for a worker with room, in order, and calls that wait for their time to be sent again.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<i64, CallId>,
    later: BTreeSet<CallId>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds a call at the end; the place is needed to remove it.
    pub(super) fn push_back(&mut self, call: CallId) -> i64 {
        let place = self.waiting.last_key_value().map_or(0, |(last, _)| last + 1);
        self.waiting.insert(place, call);
        place
    }

    /// Adds a call at the front.
    pub(super) fn push_front(&mut self, call: CallId) -> i64 {
        let place = self.waiting.first_key_value().map_or(0, |(first, _)| first - 1);
        self.waiting.insert(place, call);
        place
    }

    pub(super) fn pop(&mut self) -> Option<CallId> {
        self.waiting.pop_first().map(|(_, call)| call)
    }

    pub(super) fn remove(&mut self, place: i64) {
        self.waiting.remove(&place);
    }

    pub(super) fn postpone(&mut self, call: CallId) {
        self.later.insert(call);
    }

    pub(super) fn take_postponed(&mut self, call: CallId) -> bool {
        self.later.remove(&call)
    }

    /// All calls, those that wait for a worker first.
    pub(super) fn all(&self) -> Vec<CallId> {
        self.waiting.values().chain(&self.later).copied().collect()
    }
}

/// How long workers take for a call, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct ServiceTime(Option<Duration>);

impl ServiceTime {
    pub(super) fn learn(&mut self, took: Duration) {
        self.0 = Some(match self.0 {
            Some(known) => (known * 7 + took) / 8,
            None => took,
        });
    }

    /// How long a call with `ahead` calls before it waits until one of `places` is free; `None` if nothing is known.
    pub(super) fn wait(&self, ahead: usize, places: usize) -> Option<Duration> {
        let ahead = u32::try_from(ahead.saturating_add(1)).unwrap_or(u32::MAX);
        let places = u32::try_from(places).ok().filter(|places| *places > 0)?;
        Some(self.0?.saturating_mul(ahead) / places)
    }
}

/// One retry, in thousandths.
const RETRY: u64 = 1000;
/// What every call adds: 10 %.
const PER_CALL: u64 = 100;
/// What every millisecond adds: 10 per second.
const PER_MILLISECOND: u64 = 10;
/// What there is at the start.
const RESERVE: u64 = 100 * RETRY;
/// What can be saved up.
const MOST: u64 = 1000 * RETRY;

/// A bucket of retries: one for ten calls and ten for each second, so that retries never make an overload worse.
#[derive(Debug)]
pub(super) struct Budget {
    left: u64,
    filled: Moment,
}

impl Budget {
    pub(super) const fn new() -> Self {
        Self {
            left: RESERVE,
            filled: Duration::ZERO,
        }
    }

    /// A call was made.
    pub(super) fn deposit(&mut self) {
        self.left = (self.left + PER_CALL).min(MOST);
    }

    /// Takes one retry, if there is one.
    pub(super) fn withdraw(&mut self, now: Moment) -> bool {
        let passed = now.saturating_sub(self.filled).as_millis();
        let earned = u64::try_from(passed)
            .unwrap_or(u64::MAX)
            .saturating_mul(PER_MILLISECOND);
        self.filled = now;
        self.left = self.left.saturating_add(earned).min(MOST);
        match self.left.checked_sub(RETRY) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

/// How long to wait before a call is sent for the `attempt`th time: anything up to `base`, doubled with each attempt.
pub(super) fn delay(base: Duration, attempt: u8, entropy: &mut Entropy) -> Duration {
    let longest = base.saturating_mul(1 << attempt.saturating_sub(1).min(6));
    let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(entropy.below(micros.saturating_add(1)))
}

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
    fn hopeless(&mut self, now: Moment, overload_cooldown: Duration, left: Duration) {
        if now >= self.until {
            self.left = Duration::ZERO;
        }
        // What has much less time says nothing about those that are concerned.
        if left.saturating_mul(2) >= self.left {
            self.left = self.left.max(left);
            self.until = now + overload_cooldown;
        }
    }

    fn refused(&mut self, now: Moment, overload_cooldown: Duration) {
        self.until = now + overload_cooldown;
    }
}

impl Caller {
    pub(super) fn call(
        &mut self,
        id: CallId,
        request: Arc<CallRequest>,
        deadline: Moment,
        options: CallOptions,
        actions: &mut Vec<CallerAction>,
    ) {
        if self.calls.contains_key(&id) {
            self.counters.misused += 1;
            return;
        }
        self.counters.calls += 1;
        self.budget.deposit();
        let size = request.size();
        if let Err(error) = self.admit(&request, size, deadline, options) {
            self.count(&error);
            return actions.push(CallerAction::Finish {
                call: id,
                outcome: Err(error),
            });
        }
        // Most calls wait for nobody, and go out without a place in the queue.
        let (peer, place) = match self.queue.is_empty().then(|| self.least_loaded()).flatten() {
            Some(peer) => (Some(peer), CallState::Postponed(self.now)),
            None => (None, CallState::Queued(self.queue.push_back(id))),
        };
        let pending = Pending {
            request,
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
    fn admit(
        &mut self,
        request: &CallRequest,
        size: usize,
        deadline: Moment,
        options: CallOptions,
    ) -> Result<(), CallError> {
        if self.closing {
            return Err(CallError::ShuttingDown);
        }
        request
            .validate()
            .map_err(|error| CallError::Refused(error.to_string().into()))?;
        if request.hops > limits::MAX_HOPS {
            return Err(CallError::Refused(TOO_MANY_HOPS.into()));
        }
        if request.body.len() > self.config.max_body {
            return Err(CallError::TooLarge);
        }
        if deadline <= self.now {
            return Err(CallError::Deadline {
                phase: Phase::Waiting,
            });
        }
        if !options.wait_for_ready {
            self.hope()?;
        }
        if self.has_room()
            && self.queue.is_empty()
            && self.bytes.saturating_add(size) <= self.config.max_pending_bytes
        {
            return Ok(());
        }
        let wait = self.service_time.wait(self.queue.len(), self.places());
        let left = deadline.saturating_sub(self.now);
        if self.queue.len() >= self.config.max_queue {
            self.overload
                .hopeless(self.now, self.config.overload_cooldown, Duration::MAX);
        } else if wait.is_some_and(|wait| wait > left) {
            self.overload
                .hopeless(self.now, self.config.overload_cooldown, left);
        } else if self.overload.lasts(self.now, left) {
            self.overload.refused(self.now, self.config.overload_cooldown);
        } else if self.bytes.saturating_add(size) <= self.config.max_pending_bytes {
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
        let request = WireRequest {
            id: call,
            timeout_ms: deadline,
            more_waiting: more,
            call: pending.request.clone(),
        };
        let frames = match ready.session.seal(&WireMessage::Request(request)) {
            Ok(frames) => frames,
            Err(error) => {
                pending.place = CallState::Postponed(now);
                return self.finish(id, Err(CallError::Refused(error.to_string().into())), actions);
            }
        };
        pending.place = CallState::Sent {
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
    pub(super) fn send(&mut self, to: PeerId, message: &WireMessage, actions: &mut Vec<CallerAction>) {
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
        let ping = WireMessage::Ping {
            stamp,
            last_request_id: ready.last_call,
        };
        self.send(to, &ping, actions);
    }
}
