//! The calls that have not ended, and the queue of those that wait for a worker.

use super::{CallNumber, CallOptions, PeerId};
use crate::rpc::api::{CallError, Phase};
use crate::rpc::codec::CallRequest;
use crate::rpc::core::Moment;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A call that has not ended.
#[derive(Debug)]
pub(super) struct ActiveCall {
    pub(super) request: Arc<CallRequest>,
    pub(super) deadline: Moment,
    pub(super) options: CallOptions,
    pub(super) state: CallState,
    /// The number of times that the call was sent.
    pub(super) attempts: u8,
    /// A worker has confirmed the call.
    pub(super) accepted: bool,
    /// The number of attempts that were lost and may have run.
    pub(super) lost_runs: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallState {
    /// In the queue, at this position.
    Queued(i64),
    /// Waiting until this time before it is queued again. Also the placeholder state of a call that is neither queued
    /// nor sent.
    RetryDelay(Moment),
    /// Sent to a worker.
    Sent {
        peer: PeerId,
        request_id: u64,
        at: Moment,
    },
}

impl ActiveCall {
    pub(super) fn time_left(&self, now: Moment) -> Duration {
        self.deadline.saturating_sub(now)
    }

    /// Replaces an error that would imply that the call did not run, if an earlier attempt may have run.
    pub(super) fn adjust_error(&self, error: CallError) -> CallError {
        if self.lost_runs == 0 {
            return error;
        }
        match error {
            CallError::Deadline { .. } => CallError::deadline(Phase::Running),
            CallError::Lost { reason, .. } => CallError::lost(true).because(reason.to_string()),
            CallError::NoWorkers(_)
            | CallError::Busy { .. }
            | CallError::Refused(_)
            | CallError::TooLarge(_)
            | CallError::ShuttingDown(_) => {
                CallError::lost(true).because(format!("it was sent again, which ended with: {error}"))
            }
            other => other,
        }
    }
}

/// The ids of the calls that wait for a worker with room, in order, and of those that wait for the end of their retry delay.
#[derive(Debug, Default)]
pub(super) struct CallQueue {
    waiting: BTreeMap<i64, CallNumber>,
    delayed: BTreeSet<CallNumber>,
}

impl CallQueue {
    /// Returns the number of calls that wait for a worker.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Appends a call. Returns its position, which is needed to remove it.
    pub(super) fn push_back(&mut self, call: CallNumber) -> i64 {
        let position = self.waiting.last_key_value().map_or(0, |(last, _)| last + 1);
        self.waiting.insert(position, call);
        position
    }

    /// Prepends a call. Returns its position, which is needed to remove it.
    pub(super) fn push_front(&mut self, call: CallNumber) -> i64 {
        let position = self.waiting.first_key_value().map_or(0, |(first, _)| first - 1);
        self.waiting.insert(position, call);
        position
    }

    pub(super) fn pop(&mut self) -> Option<CallNumber> {
        self.waiting.pop_first().map(|(_, call)| call)
    }

    pub(super) fn remove(&mut self, position: i64) {
        self.waiting.remove(&position);
    }

    pub(super) fn delay(&mut self, call: CallNumber) {
        self.delayed.insert(call);
    }

    /// Removes a call from the delayed ones. Returns whether it was there.
    pub(super) fn remove_delayed(&mut self, call: CallNumber) -> bool {
        self.delayed.remove(&call)
    }

    /// Returns all calls, the waiting ones before the delayed ones.
    pub(super) fn all(&self) -> Vec<CallNumber> {
        self.waiting.values().chain(&self.delayed).copied().collect()
    }
}
