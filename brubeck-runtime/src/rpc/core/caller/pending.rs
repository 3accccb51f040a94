//! A call that has not ended.

use std::sync::Arc;
use std::time::Duration;

use super::{Options, PeerId};
use crate::rpc::api::{CallError, Phase};
use crate::rpc::codec::Ask;
use crate::rpc::core::Moment;

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
