//! What a driver tells a worker and is asked by it, how a worker behaves, and what it counts.

use crate::rpc::codec::{ByteStr, CallRequest, WireReply, limits};
use crate::rpc::core::Moment;
use crate::secret::Secret;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

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
        reply: Option<WireReply>,
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
        request: Arc<CallRequest>,
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
    Disconnect {
        /// Its routing identity.
        peer: Bytes,
    },
    /// Everything that was taken has ended, and nothing more will be taken. Comes once, after [`WorkerEvent::Drain`].
    Drained,
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

/// Limits and times of a [`Worker`](super::Worker), each with its default.
#[derive(Clone)]
pub struct WorkerConfig {
    /// The passphrase that caller and worker share.
    pub passphrase: Secret,
    /// One more that is accepted, while passphrases are being changed. Default: none.
    pub previous_passphrase: Option<Secret>,
    /// The name of this process for the logs of callers, at most 64 bytes. Default: none.
    pub name: ByteStr,
    /// How many handlers may run at once. Default 64.
    pub concurrency: usize,
    /// How many calls may wait for a slot. Default: as many as there are concurrency.
    pub queue: Option<usize>,
    /// The largest body, in bytes, there and back. Default 8 MiB.
    pub max_body: usize,
    /// How many callers may have a session. Default 4,096.
    pub max_sessions: usize,
    /// How many peers may be about to open a session; beyond, the oldest of them is forgotten. Default 256.
    pub max_unproven: usize,
    /// How long opening a session may take. Default 5 s.
    pub handshake: Duration,
    /// Answers that a caller may leave unacknowledged; beyond, they are held back. Default 1,024.
    pub max_unacknowledged: usize,
    /// Bytes that a caller may leave unacknowledged; beyond, answers are held back. Default 8 MiB.
    pub max_unacknowledged_bytes: usize,
    /// How long answers are held back before the caller is cut off. Default 10 s.
    pub stall: Duration,
}

impl WorkerConfig {
    /// How many calls can be taken at once: concurrency and queue.
    pub fn capacity(&self) -> usize {
        self.concurrency
            .saturating_add(self.queue.unwrap_or(self.concurrency))
    }
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            passphrase: Secret::default(),
            previous_passphrase: None,
            name: ByteStr::default(),
            concurrency: 64,
            queue: None,
            max_body: limits::MAX_BODY,
            max_sessions: 4096,
            max_unproven: 256,
            handshake: Duration::from_secs(5),
            max_unacknowledged: 1024,
            max_unacknowledged_bytes: 8 << 20,
            stall: Duration::from_secs(10),
        }
    }
}

/// Without the passphrases.
impl fmt::Debug for WorkerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerConfig")
            .field("name", &self.name)
            .field("concurrency", &self.concurrency)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// What became of calls and messages so far; every number only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerCounters {
    /// Requests that came, each counted once.
    pub requests: u64,
    /// Handlers that were started.
    pub started: u64,
    /// Replies that were given.
    pub replies: u64,
    /// Errors that were given.
    pub errors: u64,
    /// Requests that were refused because there was no room.
    pub busy: u64,
    /// Requests that were refused because of the drain.
    pub draining: u64,
    /// Requests whose deadline passed before they were begun.
    pub expired: u64,
    /// Handlers that were stopped at their deadline.
    pub stopped: u64,
    /// Calls that were cancelled.
    pub cancelled: u64,
    /// Calls that ended with their session.
    pub abandoned: u64,
    /// Answers that came after the call had ended.
    pub late: u64,
    /// Sessions that were opened.
    pub sessions: u64,
    /// Sessions that ended.
    pub sessions_ended: u64,
    /// Sessions whose caller fell silent.
    pub dead: u64,
    /// Callers that were cut off.
    pub cut: u64,
    /// Sessions that were denied.
    pub denied: u64,
    /// Peers that were about to open a session and were forgotten.
    pub unproven: u64,
    /// Messages of unproven peers that were longer, or more, than they may be.
    pub oversized: u64,
    /// Messages whose code was wrong, or that came from another peer than their session.
    pub forged: u64,
    /// Messages of sessions that are not known.
    pub unknown: u64,
    /// Messages that came before.
    pub replayed: u64,
    /// Requests whose call id came before.
    pub repeated: u64,
    /// Messages that could not be read.
    pub unreadable: u64,
    /// Messages that a caller does not send.
    pub unexpected: u64,
}
