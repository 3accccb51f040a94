//! The health of a worker: the outcomes of its calls, their latency, and its ejections.

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

/// The share of the calls that a worker gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Availability {
    /// It gets its share.
    Full,
    /// It gets one call at a time, to find out whether it has recovered.
    Probing,
    /// It gets none.
    Ejected,
}

/// The effect of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HealthChange {
    None,
    /// The worker fails often, and is an outlier if the others do not.
    Failing,
    /// A probe failed.
    ProbeFailed,
    /// Enough probes have succeeded.
    Recovered,
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

    /// Records the outcome of a call that was sent at `sent` and has ended at `now`.
    pub(super) fn record(&mut self, sent: Moment, now: Moment, succeeded: bool) -> HealthChange {
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
            let latency = moving_average(self.latency(now), now.saturating_sub(sent));
            self.latency = Some((latency, now));
        } else {
            self.failures += 1;
            self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        }
        let is_failing = self.is_failing();
        match &mut self.ejection {
            // The call was sent before the worker was probed.
            Some(ejection) if sent < ejection.until => HealthChange::None,
            Some(ejection) if succeeded => {
                ejection.probed += 1;
                if ejection.probed < PROBES {
                    return HealthChange::None;
                }
                self.forget(now);
                HealthChange::Recovered
            }
            Some(_) => HealthChange::ProbeFailed,
            None if !succeeded && is_failing => HealthChange::Failing,
            None => HealthChange::None,
        }
    }

    /// Records that the response of a call that counted as a success could not be read.
    pub(super) fn record_unreadable(&mut self, now: Moment) -> HealthChange {
        self.successes = self.successes.saturating_sub(1);
        self.failures += 1;
        match &self.ejection {
            Some(ejection) if ejection.until <= now => HealthChange::ProbeFailed,
            None if self.is_failing() => HealthChange::Failing,
            _ => HealthChange::None,
        }
    }

    /// Returns the number of recent failures, and that of all recent outcomes.
    pub(super) fn recent(&self) -> (u64, u64) {
        (self.failures.into(), (self.successes + self.failures).into())
    }

    /// Returns whether this worker fails often, compared with itself only.
    fn is_failing(&self) -> bool {
        let outcomes = self.successes + self.failures;
        self.consecutive_failures >= CONSECUTIVE_FAILURES
            || (outcomes >= MIN_OUTCOMES && 2 * self.failures >= outcomes)
    }

    /// Begins an ejection. Returns its duration.
    pub(super) fn eject(&mut self, now: Moment) -> Duration {
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

    /// Ends the ejection, and forgets the outcomes that led to it.
    fn forget(&mut self, now: Moment) {
        *self = WorkerHealth {
            latency: self.latency,
            ejections: self.ejections,
            last_ejection_end: now,
            last_outcome: now,
            ..WorkerHealth::default()
        };
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
        health.forget(now);
        assert_eq!(health.availability(now), Availability::Full);
        assert_eq!(
            health.eject(now + Duration::from_secs(319)),
            Duration::from_secs(32)
        );
        now += Duration::from_secs(319 + 32);
        health.forget(now);
        assert_eq!(health.eject(now + Duration::from_secs(320)), FIRST_EJECTION);
    }

    #[test]
    fn old_outcomes_lose_their_weight() {
        let mut health = WorkerHealth::default();
        let now = Duration::from_secs(100);
        for _ in 0..1_000 {
            health.record(now, now, false);
        }
        assert!(health.is_failing());
        assert_eq!(health.calls_per_success(now), 16 * (health.recent().0 + 1));
        assert_eq!(health.calls_per_success(now + STALE_AFTER), 16);
        for _ in 0..200 {
            health.record(now, now, true);
        }
        assert!(
            health.calls_per_success(now) <= 18 && !health.is_failing(),
            "{health:?}"
        );
    }
}
