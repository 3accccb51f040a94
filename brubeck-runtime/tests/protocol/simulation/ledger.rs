//! What was promised for each call, and what happened.

use std::collections::HashMap;

use brubeck_runtime::protocol::Moment;
use brubeck_runtime::wire::v2::WireReply;
use brubeck_runtime::{CallError, Phase};
use bytes::Bytes;

/// A call of the whole world; it is the body of its request and of its reply.
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
    /// It ended; whether the outcome says that the handler did not run.
    Ended {
        not_run: bool,
    },
    GivenUp,
    /// The process that called is gone.
    Orphaned,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) calls: HashMap<Tag, Entry>,
    pub(crate) outcomes: Outcomes,
}

/// How calls ended, counted.
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
    pub(crate) given_up: u64,
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
        self.given_up += other.given_up;
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

pub(crate) fn body(tag: Tag, size: usize) -> Bytes {
    let mut body = tag.to_be_bytes().to_vec();
    body.resize(size.max(8), tag as u8);
    body.into()
}

pub(crate) fn tag(body: &Bytes) -> Option<Tag> {
    body.first_chunk().map(|tag| Tag::from_be_bytes(*tag))
}

impl Ledger {
    /// P2: at most once, and P3: not after somebody was told that it did not run.
    pub(crate) fn start(&mut self, tag: Tag) -> Result<(), String> {
        let entry = self
            .calls
            .get_mut(&tag)
            .ok_or_else(|| format!("a handler started for call {tag}, which nobody made"))?;
        entry.starts += 1;
        if entry.starts > 1 && !entry.idempotent {
            return Err(format!(
                "P2: call {tag} started {} times and is not idempotent",
                entry.starts
            ));
        }
        if entry.state == (State::Ended { not_run: true }) {
            return Err(format!(
                "P3: call {tag} started after its caller was told that it did not run"
            ));
        }
        Ok(())
    }

    pub(crate) fn accept(&mut self, tag: Tag) -> Result<(), String> {
        let entry = self
            .calls
            .get_mut(&tag)
            .ok_or_else(|| format!("call {tag} was accepted, and nobody made it"))?;
        if !entry.nowait || entry.state != State::Open || std::mem::replace(&mut entry.accepted, true) {
            return Err(format!("call {tag} was accepted out of turn: {entry:?}"));
        }
        Ok(())
    }

    /// P1: one outcome, in time; P3: honest; P4: its own.
    pub(crate) fn finish(
        &mut self,
        tag: Tag,
        outcome: &Result<WireReply, CallError>,
        now: Moment,
        stood_still: bool,
    ) -> Result<(), String> {
        let entry = self
            .calls
            .get_mut(&tag)
            .ok_or_else(|| format!("call {tag} ended, and nobody made it"))?;
        if entry.state != State::Open {
            return Err(format!(
                "P1: call {tag} ended in {outcome:?} after it was {:?}",
                entry.state
            ));
        }
        if now > entry.deadline && (outcome.is_ok() || !stood_still) {
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
            Ok(_) if entry.starts == 0 => {
                return Err(format!("P4: call {tag} got a reply, and never started"));
            }
            Ok(_) => false,
            Err(CallError::Lost { may_have_run }) => !may_have_run,
            Err(CallError::Deadline { phase }) => *phase != Phase::Running,
            Err(CallError::BadReply(_)) => false,
            Err(_) => true,
        };
        if not_run && entry.starts > 0 {
            return Err(format!("P3: call {tag} ended in {outcome:?}, and it had started"));
        }
        entry.state = State::Ended { not_run };
        let counts = &mut self.outcomes;
        *match outcome {
            Ok(_) => &mut counts.replies,
            Err(CallError::Busy { .. }) => &mut counts.busy,
            Err(CallError::NoWorkers) => &mut counts.no_workers,
            Err(CallError::Deadline {
                phase: Phase::Waiting,
            }) => &mut counts.waiting,
            Err(CallError::Deadline { phase: Phase::Queued }) => &mut counts.queued,
            Err(CallError::Deadline { .. }) => &mut counts.running,
            Err(CallError::Lost { may_have_run: true }) => &mut counts.lost,
            Err(CallError::Lost { .. }) => &mut counts.lost_unrun,
            Err(_) => &mut counts.other,
        } += 1;
        Ok(())
    }
}
