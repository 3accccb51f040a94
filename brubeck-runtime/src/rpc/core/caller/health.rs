//! Outlier ejection: a worker that fails more often than the others gets no calls for a while, and then one at a time.

use super::peer::{PeerState, WorkerPeer};
use super::{Caller, CallerAction, PeerId};
use crate::rpc::api::CallError;
use crate::rpc::codec::{Outcome, WireReply};
use crate::rpc::core::{Moment, moving_average};
use std::time::Duration;

/// The number of failures in a row that make a worker an outlier.
const CONSECUTIVE_FAILURES: u32 = 5;

/// The number of recent outcomes from which on a worker that failed half of them is an outlier.
const MIN_OUTCOMES: u32 = 20;

/// The number of outcomes at which both counts are halved, so that old outcomes lose their weight.
const MAX_OUTCOMES: u32 = 64;

/// The number of probes in a row that must succeed before a worker gets its share of the calls again.
const PROBES: u32 = 3;

/// The duration of the first ejection. It doubles with each further one that follows soon.
const FIRST_EJECTION: Duration = Duration::from_secs(1);
const MAX_EJECTION_DOUBLINGS: u8 = 5;

/// A worker that was not ejected for this many times its last ejection begins with the first one again.
const FORGET_AFTER: u32 = 10;

/// Latencies and failures that are older do not count: the worker gets calls again, which show what they are now.
const STALE_AFTER: Duration = Duration::from_secs(10);

/// A call that timed out sooner than this many times the usual latency says nothing about its worker.
const PATIENCE: u32 = 4;
const MIN_PATIENCE: Duration = Duration::from_millis(100);

/// The outcomes of the calls that were sent to a worker.
#[derive(Debug, Default)]
pub(super) struct WorkerHealth {
    successes: u32,
    failures: u32,
    consecutive_failures: u32,
    last_outcome: Moment,
    /// The moving average of the time to a successful reply, and the time of the last one.
    latency: Option<(Duration, Moment)>,
    ejection: Option<Ejection>,
    /// The number of ejections that followed each other soon, and the end of the last one.
    ejections: u8,
    last_ejection_end: Moment,
}

#[derive(Debug)]
struct Ejection {
    /// The time from which on the worker is probed.
    until: Moment,
    /// The number of probes that succeeded.
    probed: u32,
}

/// Whether a worker gets calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Availability {
    /// It gets its share.
    Full,
    /// It gets one call at a time, to find out whether it has recovered.
    Probing,
    /// It gets none.
    Ejected,
}

impl WorkerHealth {
    pub(super) fn availability(&self, now: Moment) -> Availability {
        match &self.ejection {
            None => Availability::Full,
            Some(ejection) if ejection.until <= now => Availability::Probing,
            Some(_) => Availability::Ejected,
        }
    }

    pub(super) fn is_ejected(&self) -> bool {
        self.ejection.is_some()
    }

    /// Returns the time at which probing begins, if it has not begun.
    pub(super) fn probing_at(&self, now: Moment) -> Option<Moment> {
        let until = self.ejection.as_ref()?.until;
        (until > now).then_some(until)
    }

    /// Returns the latency of successful calls, unless it is unknown or was measured long ago.
    pub(super) fn latency(&self, now: Moment) -> Option<Duration> {
        let (latency, measured) = self.latency?;
        (now.saturating_sub(measured) < STALE_AFTER).then_some(latency)
    }

    /// Returns the number of calls that must be sent for one that succeeds, in 1/16. A worker without recent outcomes counts as
    /// good.
    pub(super) fn calls_per_success(&self, now: Moment) -> u64 {
        if self.is_stale(now) {
            return 16;
        }
        u64::from(16 * (self.successes + self.failures + 1) / (self.successes + 1))
    }

    /// Probes an ejected worker as soon as possible, because it may have been restarted.
    pub(super) fn session_opened(&mut self, now: Moment) {
        if let Some(ejection) = &mut self.ejection {
            ejection.until = ejection.until.min(now);
        }
    }

    fn is_stale(&self, now: Moment) -> bool {
        now.saturating_sub(self.last_outcome) >= STALE_AFTER
    }

    fn count(&mut self, now: Moment, succeeded: bool) {
        if self.is_stale(now) {
            (self.successes, self.failures) = (0, 0);
        }
        self.last_outcome = now;
        if self.successes + self.failures >= MAX_OUTCOMES {
            self.successes /= 2;
            self.failures /= 2;
        }
        if succeeded {
            self.successes += 1;
            self.consecutive_failures = 0;
        } else {
            self.failures += 1;
            self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        }
    }

    /// Counts the last success as a failure.
    fn count_unreadable(&mut self) {
        self.successes = self.successes.saturating_sub(1);
        self.failures += 1;
    }

    /// Returns whether this worker fails often, compared with itself only.
    fn is_failing(&self) -> bool {
        let outcomes = self.successes + self.failures;
        self.consecutive_failures >= CONSECUTIVE_FAILURES
            || (outcomes >= MIN_OUTCOMES && 2 * self.failures >= outcomes)
    }

    /// Begins an ejection. Returns its duration.
    fn eject(&mut self, now: Moment) -> Duration {
        let duration = |ejections: u8| FIRST_EJECTION * (1 << ejections.min(MAX_EJECTION_DOUBLINGS));
        let forget_at = self.last_ejection_end + duration(self.ejections) * FORGET_AFTER;
        self.ejections = match self.ejection.is_some() || now < forget_at && self.ejections > 0 {
            true => self.ejections.saturating_add(1),
            false => 1,
        };
        let pause = duration(self.ejections - 1);
        self.ejection = Some(Ejection {
            until: now + pause,
            probed: 0,
        });
        self.last_ejection_end = now + pause;
        pause
    }

    /// Forgets the outcomes that led to the ejection.
    fn restore(&mut self, now: Moment) {
        *self = WorkerHealth {
            latency: self.latency,
            ejections: self.ejections,
            last_ejection_end: now,
            last_outcome: now,
            ..WorkerHealth::default()
        };
    }
}

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
        let health = &mut peer.health;
        health.count_unreadable();
        let is_outlier = match &health.ejection {
            Some(ejection) => ejection.until <= self.now,
            None => health.is_failing() && self.is_outlier(id),
        };
        if is_outlier {
            self.eject(id, actions);
        }
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
        let health = &mut peer.health;
        health.count(now, succeeded);
        if succeeded {
            let latency = moving_average(health.latency(now), elapsed);
            health.latency = Some((latency, now));
        }
        let is_outlier = match &mut health.ejection {
            // The call was sent before the worker was probed.
            Some(ejection) if sent < ejection.until => false,
            Some(ejection) if succeeded => {
                ejection.probed += 1;
                if ejection.probed >= PROBES {
                    health.restore(now);
                    actions.push(CallerAction::PeerRestored { peer: id });
                }
                false
            }
            Some(_) => true,
            None => !succeeded && health.is_failing() && self.is_outlier(id),
        };
        if is_outlier {
            self.eject(id, actions);
        }
    }

    /// Returns whether an outcome speaks for the worker or against it; `None` if it says nothing about it.
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
            if peer.health.ejection.is_some() {
                ejected += 1;
                continue;
            }
            failures += u64::from(peer.health.failures);
            outcomes += u64::from(peer.health.successes + peer.health.failures);
        }
        let Some(own) = self.peers.get(&id).map(|peer| &peer.health) else {
            return false;
        };
        let own_failures = u64::from(own.failures);
        let own_outcomes = u64::from(own.successes + own.failures);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ejections_become_longer_until_the_worker_was_good_for_a_while() {
        let mut health = WorkerHealth::default();
        let mut now = Duration::from_secs(100);
        for seconds in [1, 2, 4, 8, 16, 32, 32] {
            assert_eq!(health.eject(now), Duration::from_secs(seconds));
            assert_eq!(health.availability(now), Availability::Ejected);
            now += Duration::from_secs(seconds);
            assert_eq!(health.availability(now), Availability::Probing);
        }
        health.restore(now);
        assert_eq!(health.availability(now), Availability::Full);
        assert_eq!(
            health.eject(now + Duration::from_secs(319)),
            Duration::from_secs(32)
        );
        now += Duration::from_secs(319 + 32);
        health.restore(now);
        assert_eq!(health.eject(now + Duration::from_secs(320)), FIRST_EJECTION);
    }

    #[test]
    fn old_outcomes_lose_their_weight() {
        let mut health = WorkerHealth::default();
        let now = Duration::from_secs(100);
        (0..1_000).for_each(|_| health.count(now, false));
        assert!(health.is_failing());
        assert_eq!(
            health.calls_per_success(now),
            16 * (u64::from(health.failures) + 1)
        );
        assert_eq!(health.calls_per_success(now + STALE_AFTER), 16);
        (0..200).for_each(|_| health.count(now, true));
        assert!(
            health.calls_per_success(now) <= 18 && !health.is_failing(),
            "{health:?}"
        );
    }
}
