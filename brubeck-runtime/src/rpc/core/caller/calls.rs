//! The calls that are under way, those that wait, and those that are tried again.

use super::{CallId, Options, PeerId};
use crate::rpc::api::{CallError, Phase};
use crate::rpc::codec::Ask;
use crate::rpc::core::Moment;
use crate::rpc::core::session::Entropy;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Pending {
    pub(super) ask: Arc<Ask>,
    pub(super) deadline: Moment,
    pub(super) options: Options,
    pub(super) place: Place,
    /// How often it was sent.
    pub(super) attempts: u8,
    /// A worker said that it has taken it.
    pub(super) accepted: bool,
    /// It was lost once where it may have run.
    pub(super) may_have_run: bool,
}

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
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
