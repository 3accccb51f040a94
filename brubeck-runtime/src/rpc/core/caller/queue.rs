//! The calls that no worker has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::CallId;

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
