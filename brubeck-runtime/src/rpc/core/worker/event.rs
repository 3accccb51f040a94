//! What a worker is told, and what it asks for.

use std::sync::Arc;

use bytes::Bytes;

use crate::rpc::codec::{Ask, Reply};
use crate::rpc::core::Moment;

/// A call that a worker has taken, by the number that the worker gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WorkerEvent {
    /// Somebody sent a message.
    Frames {
        /// The routing identity of whoever it was.
        peer: Bytes,
        /// The frames, without the identity.
        frames: Vec<Bytes>,
    },
    /// A peer's connection is gone.
    PeerGone {
        /// Its routing identity.
        peer: Bytes,
    },
    /// A handler has ended. Due exactly once for every [`WorkerAction::Start`], also after a [`WorkerAction::Stop`]:
    /// only then is its slot free again.
    Finished {
        /// Which job.
        job: JobId,
        /// What it answered; `None` if it was stopped, or has no answer.
        reply: Option<Reply>,
    },
    /// Take no more calls, finish those that were taken.
    Drain,
    /// Time has passed: see [`Worker::next_wake`](super::Worker::next_wake).
    Wake,
}

/// What is to be done, in this order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WorkerAction {
    /// Send these frames to this peer.
    Send {
        /// Its routing identity.
        peer: Bytes,
        /// The frames.
        frames: Vec<Bytes>,
    },
    /// Run the handler of this request.
    Start {
        /// Which job.
        job: JobId,
        /// What is asked.
        ask: Arc<Ask>,
        /// When its answer is of no more use.
        deadline: Moment,
    },
    /// Nobody wants the answer of this job any more: drop its handler, then say [`WorkerEvent::Finished`]. It may have
    /// ended this moment; then there is nothing to do.
    Stop {
        /// Which job.
        job: JobId,
        /// Why.
        reason: StopReason,
    },
    /// Cut this peer off: it does not read what it is sent.
    Cut {
        /// Its routing identity.
        peer: Bytes,
    },
    /// Everything that was taken has ended, and nothing more will be taken. Comes once, after [`WorkerEvent::Drain`].
    Idle,
}

/// Why a job is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// The caller cancelled the call.
    Cancelled,
    /// Its deadline has passed.
    Deadline,
    /// The caller is gone.
    Lost,
}
