//! Which calls are taken at all.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::pending::{Pending, Place};
use super::{CallId, Caller, CallerAction, Due, Options, RETRY_AFTER};
use crate::rpc::api::{CallError, Phase};
use crate::rpc::codec::{Ask, Denial, limits};
use crate::rpc::core::Moment;

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
            return Err(CallError::Refused(
                "16 calls led to this one; look for services that call each other".into(),
            ));
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
