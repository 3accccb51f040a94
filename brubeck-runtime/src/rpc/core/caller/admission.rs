//! Admission control: accepts a new call, or fails it at once if it violates a limit or is not likely to succeed.

use super::queue::{ActiveCall, CallState};
use super::{CallNumber, CallOptions, Caller, CallerAction, CallerTimer};
use crate::rpc::api::{CallError, CallErrorReason, Phase};
use crate::rpc::codec::{CallRequest, Denial, limits};
use crate::rpc::core::{MAX_RETRY_AFTER, MIN_RETRY_AFTER, Moment, TOO_MANY_HOPS, moving_average};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// The `retry_after` hint if the wait cannot be estimated.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_millis(100);

/// A moving average of the time from sending a call to its reply.
#[derive(Debug, Default)]
pub(super) struct ServiceTime(Option<Duration>);

impl ServiceTime {
    pub(super) fn record(&mut self, elapsed: Duration) {
        self.0 = Some(moving_average(self.0, elapsed));
    }

    pub(super) fn average(&self) -> Option<Duration> {
        self.0
    }

    /// Estimates how long a call waits behind `ahead` other calls until one of `capacity` places is free. Returns `None` if no
    /// reply has arrived yet or `capacity` is 0.
    fn estimate_wait(&self, ahead: usize, capacity: usize) -> Option<Duration> {
        let calls = u32::try_from(ahead.saturating_add(1)).unwrap_or(u32::MAX);
        let capacity = u32::try_from(capacity).ok().filter(|capacity| *capacity > 0)?;
        Some(self.0?.saturating_mul(calls) / capacity)
    }
}

/// Detects overload and sheds load while it lasts.
///
/// A burst may wait in the queue for as long as each of its calls can still meet its deadline. A call that cannot shows that the
/// queue does not drain. Queueing would then only delay every response to the end of its deadline. Calls are therefore refused
/// unless a worker has room, until none was refused for the duration of the cooldown. A call with more than twice the time left of
/// those that could not meet their deadlines may still wait. A full queue is an overload for every call.
#[derive(Debug, Default)]
pub(super) struct Overload {
    until: Moment,
    /// The longest time left of the calls that could not meet their deadlines; the maximum if the queue was full.
    time_left: Duration,
}

impl Overload {
    fn applies_to(&self, now: Moment, time_left: Duration) -> bool {
        now < self.until && time_left <= self.time_left.saturating_mul(2)
    }

    /// Records that a call with this much time left cannot meet its deadline, or that the queue is full.
    fn begin(&mut self, now: Moment, cooldown: Duration, time_left: Duration) {
        if now >= self.until {
            self.time_left = Duration::ZERO;
        }
        // A call with less than half the time left of the affected ones proves nothing about them, and must not prolong the
        // overload.
        if time_left.saturating_mul(2) >= self.time_left {
            self.time_left = self.time_left.max(time_left);
            self.until = now + cooldown;
        }
    }

    /// Records that a call was refused because of the overload.
    fn extend(&mut self, now: Moment, cooldown: Duration) {
        self.until = now + cooldown;
    }
}

impl Caller {
    pub(super) fn call(
        &mut self,
        id: CallNumber,
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
        self.retry_budget.deposit();
        let size = request.size();
        if let Err(error) = self.admit(&request, size, deadline, options) {
            self.count_error(&error);
            return actions.push(CallerAction::Finish {
                call: id,
                peer: None,
                outcome: Err(error),
            });
        }
        // In the common case a worker has room, and the call is sent without passing through the queue. `send_call` then
        // replaces the placeholder state.
        let (peer, state) = match self.queue.is_empty().then(|| self.least_loaded()).flatten() {
            Some(peer) => (Some(peer), CallState::RetryDelay(self.now)),
            None => (None, CallState::Queued(self.queue.push_back(id))),
        };
        let pending = ActiveCall {
            request,
            deadline,
            options,
            state,
            attempts: 0,
            accepted: false,
            lost_runs: 0,
        };
        self.calls.insert(id, pending);
        self.pending_bytes += size;
        self.timers.set(deadline, CallerTimer::Deadline(id));
        if let Some(peer) = peer {
            self.send_call(id, peer, actions);
        }
    }

    /// Returns the error with which a call fails at once, if it is not accepted.
    fn admit(
        &mut self,
        request: &CallRequest,
        size: usize,
        deadline: Moment,
        options: CallOptions,
    ) -> Result<(), CallError> {
        if self.closing {
            return Err(CallError::shutting_down());
        }
        self.check_request(request)?;
        if deadline <= self.now {
            return Err(CallError::deadline(Phase::Waiting));
        }
        if !options.wait_for_ready {
            self.check_available()?;
        }
        self.check_load(size, deadline.saturating_sub(self.now))
    }

    /// Returns an error if the request violates a limit of the protocol or the body limit of this caller.
    fn check_request(&self, request: &CallRequest) -> Result<(), CallError> {
        request
            .validate()
            .map_err(|error| CallError::Refused(CallErrorReason::of(error)))?;
        if request.hops > limits::MAX_HOPS {
            return Err(CallError::Refused(TOO_MANY_HOPS.into()));
        }
        if request.body_len() > self.config.max_body {
            return Err(CallError::TooLarge(
                format!(
                    "the request has {} bytes of body and parts, and the limit of the client is {} bytes; raise it with \
                     `ServiceAddress::body_limit`",
                    request.body_len(),
                    self.config.max_body
                )
                .into(),
            ));
        }
        Ok(())
    }

    /// Returns a busy error if the call does not fit into memory, or if it would have to wait and the queue is full or [`Overload`]
    /// forbids it.
    fn check_load(&mut self, size: usize, time_left: Duration) -> Result<(), CallError> {
        let fits_in_memory = self.pending_bytes.saturating_add(size) <= self.config.max_pending_bytes;
        if fits_in_memory && self.queue.is_empty() && self.has_room() {
            return Ok(());
        }

        let (now, cooldown) = (self.now, self.config.overload_cooldown);
        let estimated_wait = self
            .service_time
            .estimate_wait(self.queue.len(), self.total_capacity());
        let is_full = self.queue.len() >= self.config.max_queue;
        if is_full {
            // A full queue means overload for every call, no matter how much time it has left.
            self.overload.begin(now, cooldown, Duration::MAX);
        } else if estimated_wait.is_some_and(|wait| wait > time_left) {
            self.overload.begin(now, cooldown, time_left);
        } else if self.overload.applies_to(now, time_left) {
            self.overload.extend(now, cooldown);
        } else if fits_in_memory {
            return Ok(());
        }
        let busy = CallError::busy(
            estimated_wait
                .unwrap_or(DEFAULT_RETRY_AFTER)
                .clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER),
        );
        // A limit of this client, which more workers would not raise.
        Err(if !fits_in_memory {
            busy.because(format!(
                "the calls of this client that have not ended have {} bytes, and with the {size} bytes of this one they exceed its limit of {} \
                 bytes; make fewer calls at once, or raise the limit with `ServiceAddress::body_limit`",
                self.pending_bytes, self.config.max_pending_bytes
            ))
        } else if is_full {
            busy.because(format!(
                "{} calls wait in this client, which is its limit; add workers, or raise the limit with `ServiceAddress::concurrency`",
                self.queue.len()
            ))
        } else {
            busy
        })
    }

    /// Describes why no worker can be reached.
    fn unreachable_reason(&self) -> Cow<'static, str> {
        let mut denials = self.peers.values().filter_map(|peer| peer.denied);
        match (denials.next(), self.peers.is_empty()) {
            (Some(denial), _) => Cow::Borrowed(denial.advice()),
            (None, true) => Cow::Borrowed("the client has no workers; add one"),
            (None, false) => Cow::Borrowed("check that the service is running and listens there"),
        }
    }

    /// Returns an error if no worker is ready or can be expected to become ready soon.
    pub(super) fn check_available(&self) -> Result<(), CallError> {
        if self
            .peers
            .values()
            .any(|peer| peer.may_become_ready(self.now, &self.config))
        {
            return Ok(());
        }
        let denials = || {
            self.peers
                .values()
                .filter(|peer| !peer.removing)
                .map(|peer| peer.denied)
        };
        // Report a denial only if all workers agree on it. Otherwise some are not reachable, or the reasons differ.
        let reason = match denials().next().flatten() {
            Some(denial) if denials().all(|other| other == Some(denial)) => denial,
            _ => return Err(CallError::NoWorkers(self.unreachable_reason().into())),
        };
        Err(match reason {
            Denial::Version | Denial::NotSealed | Denial::OtherService => {
                CallError::Refused(reason.advice().into())
            }
            Denial::Full => CallError::busy(MAX_RETRY_AFTER),
        })
    }
}
