//! A record of each call, against which the guarantees are checked.

use std::collections::HashMap;

use brubeck_runtime::protocol::Moment;
use brubeck_runtime::wire::v3::{OperationDeclaration, Outcome, ServedOperations, WireReply};
use brubeck_runtime::{CallError, Phase};
use bytes::Bytes;

/// The id of a call in the whole simulation. The bodies of its request and its reply begin with it.
pub(crate) type Tag = u64;

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) deadline: Moment,
    pub(crate) idempotent: bool,
    pub(crate) nowait: bool,
    pub(crate) accepted: bool,
    pub(crate) starts: u32,
    pub(crate) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    /// The call has ended. `not_run` is whether the outcome states that the handler did not run.
    Ended {
        not_run: bool,
    },
    Cancelled,
    /// The process of the caller crashed.
    Orphaned,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// All replies are values: no handler fails unless its worker is ill.
    pub(crate) values_only: bool,
    pub(crate) calls: HashMap<Tag, Entry>,
    pub(crate) outcomes: Outcomes,
}

/// Counters of the outcomes of calls. `waiting`, `queued` and `running` count passed deadlines by their [`Phase`], and
/// `lost_unrun` the lost calls that did not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    pub(crate) replies: u64,
    pub(crate) busy: u64,
    pub(crate) no_workers: u64,
    pub(crate) waiting: u64,
    pub(crate) queued: u64,
    pub(crate) running: u64,
    pub(crate) lost: u64,
    pub(crate) lost_unrun: u64,
    pub(crate) other: u64,
    pub(crate) cancelled: u64,
}

impl Outcomes {
    pub(crate) fn add(&mut self, other: &Self) {
        self.replies += other.replies;
        self.busy += other.busy;
        self.no_workers += other.no_workers;
        self.waiting += other.waiting;
        self.queued += other.queued;
        self.running += other.running;
        self.lost += other.lost;
        self.lost_unrun += other.lost_unrun;
        self.other += other.other;
        self.cancelled += other.cancelled;
    }

    pub(crate) fn failures(&self) -> u64 {
        self.busy
            + self.no_workers
            + self.waiting
            + self.queued
            + self.running
            + self.lost
            + self.lost_unrun
            + self.other
    }
}

/// Returns a body that carries the id of a call.
pub(crate) fn body(tag: Tag, size: usize) -> Bytes {
    let mut body = tag.to_be_bytes().to_vec();
    body.resize(size.max(8), tag as u8);
    body.into()
}

/// Returns the id that a body carries.
pub(crate) fn tag(body: &Bytes) -> Option<Tag> {
    body.first_chunk().map(|tag| Tag::from_be_bytes(*tag))
}

/// Returns the parts of the request and of the reply of a call: none, one or two.
pub(crate) fn parts(tag: Tag) -> Vec<Bytes> {
    (0..tag as usize % 3).map(|n| body(tag, 8 + 100 * n)).collect()
}

/// Returns the operation of a call, or an empty text.
pub(crate) fn operation(tag: Tag) -> &'static str {
    if tag.is_multiple_of(2) { "work::run" } else { "" }
}

/// The declaration of the operation by the callers, and its digest.
pub(crate) const DECLARATION: &str = "number: u64\nu64\nProblem";
pub(crate) const CONTRACT: u64 = 7;

/// Returns whether a worker declares its operation as the callers do. Every second one does.
pub(crate) fn declares_as_callers(worker: usize) -> bool {
    worker.is_multiple_of(2)
}

/// Returns the operations of a worker.
pub(crate) fn operations_of(worker: usize) -> ServedOperations {
    let declared = if declares_as_callers(worker) {
        OperationDeclaration::parse("work::run", CONTRACT, DECLARATION)
    } else {
        OperationDeclaration::parse("work::run", CONTRACT + 1, "number: u32\nu64\nProblem")
    };
    ServedOperations::new([declared])
}

impl Ledger {
    /// Returns the outcome of the reply of a call.
    pub(crate) fn outcome(&self, tag: Tag) -> Outcome {
        match tag % 4 {
            0 if !self.values_only => Outcome::Failure,
            1 if !self.values_only => Outcome::Panicked,
            _ => Outcome::Value,
        }
    }

    /// Records the start of a handler. Checks P2 and P3.
    pub(crate) fn start(&mut self, tag: Tag) -> Result<(), String> {
        let entry = self
            .calls
            .get_mut(&tag)
            .ok_or_else(|| format!("a handler started for call {tag}, which was never made"))?;
        entry.starts += 1;
        if entry.starts > 1 && !entry.idempotent {
            return Err(format!(
                "P2: call {tag} started {} times and is not idempotent",
                entry.starts
            ));
        }
        if entry.state == (State::Ended { not_run: true }) {
            return Err(format!(
                "P3: call {tag} started after its caller was informed that it did not run"
            ));
        }
        Ok(())
    }

    /// Records the confirmation of a `nowait` call.
    pub(crate) fn accept(&mut self, tag: Tag) -> Result<(), String> {
        let entry = self
            .calls
            .get_mut(&tag)
            .ok_or_else(|| format!("call {tag} was accepted but never made"))?;
        if !entry.nowait || entry.state != State::Open || std::mem::replace(&mut entry.accepted, true) {
            return Err(format!("call {tag} was accepted unexpectedly: {entry:?}"));
        }
        Ok(())
    }

    /// Records the outcome of a call. Checks P1, P3 and P4.
    pub(crate) fn finish(
        &mut self,
        tag: Tag,
        outcome: &Result<WireReply, CallError>,
        now: Moment,
        was_suspended: bool,
    ) -> Result<(), String> {
        let expected_outcome = self.outcome(tag);
        let entry = self
            .calls
            .get_mut(&tag)
            .ok_or_else(|| format!("call {tag} ended but was never made"))?;
        if entry.state != State::Open {
            return Err(format!(
                "P1: call {tag} ended with {outcome:?} although it was {:?}",
                entry.state
            ));
        }
        if now > entry.deadline && (outcome.is_ok() || !was_suspended) {
            return Err(format!(
                "P1: call {tag} ended at {now:?}, after its deadline at {:?}",
                entry.deadline
            ));
        }
        let not_run = match outcome {
            Ok(reply) if self::tag(&reply.body) != Some(tag) => {
                return Err(format!(
                    "P4: call {tag} got the reply of call {:?}",
                    self::tag(&reply.body)
                ));
            }
            Ok(reply) if reply.parts != parts(tag) || reply.outcome != expected_outcome => {
                return Err(format!("P4: call {tag} got parts or an outcome of another call"));
            }
            Ok(_) if entry.starts == 0 => {
                return Err(format!("P4: call {tag} got a reply but never started"));
            }
            Ok(_) => false,
            Err(CallError::Lost { may_have_run, .. }) => !may_have_run,
            Err(CallError::Deadline { phase, .. }) => *phase != Phase::Running,
            Err(CallError::BadReply(_)) => false,
            Err(_) => true,
        };
        if not_run && entry.starts > 0 {
            return Err(format!(
                "P3: call {tag} ended with {outcome:?} although it had started"
            ));
        }
        entry.state = State::Ended { not_run };
        let counts = &mut self.outcomes;
        *match outcome {
            Ok(_) => &mut counts.replies,
            Err(CallError::Busy { .. }) => &mut counts.busy,
            Err(CallError::NoWorkers(_)) => &mut counts.no_workers,
            Err(CallError::Deadline {
                phase: Phase::Waiting,
                ..
            }) => &mut counts.waiting,
            Err(CallError::Deadline {
                phase: Phase::Queued, ..
            }) => &mut counts.queued,
            Err(CallError::Deadline { .. }) => &mut counts.running,
            Err(CallError::Lost {
                may_have_run: true, ..
            }) => &mut counts.lost,
            Err(CallError::Lost { .. }) => &mut counts.lost_unrun,
            Err(_) => &mut counts.other,
        } += 1;
        Ok(())
    }
}
