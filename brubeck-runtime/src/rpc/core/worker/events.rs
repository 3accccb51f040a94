//! The events that a driver passes to a worker, and the actions that it executes for it.

use crate::rpc::api::KeyPin;
use crate::rpc::codec::{CallRequest, Denial, WireReply};
use crate::rpc::core::Moment;
use bytes::Bytes;
use std::sync::Arc;

/// The id of an accepted call. The worker assigns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// An input of a [`Worker`](super::Worker).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WorkerEvent {
    /// A message arrived.
    Frames {
        /// The routing identity of the sender.
        peer: Bytes,
        /// The frames of the message, without the identity.
        frames: Vec<Bytes>,
    },
    /// The connection of a peer is protected, and the peer has proven that it may open a session.
    Verified {
        /// The routing identity of the peer.
        peer: Bytes,
        /// The key that the peer has proven, if it has one.
        key: Option<KeyPin>,
    },
    /// The connection of a peer was closed.
    PeerGone {
        /// The routing identity of the peer.
        peer: Bytes,
    },
    /// A handler has ended. Required exactly once for each [`WorkerAction::Start`], also after a [`WorkerAction::Stop`]: only
    /// then may another handler start in its place.
    Finished {
        /// The id of the job.
        job: JobId,
        /// The reply; `None` if the handler was stopped or produced none.
        reply: Option<WireReply>,
    },
    /// The driver refuses a job, whose handler it has not started and will not start. Takes the place of
    /// [`Finished`](Self::Finished).
    Refused {
        /// The id of the job.
        job: JobId,
        /// The reason, for the caller.
        reason: String,
    },
    /// The process is shutting down: accept no further calls and finish the accepted ones.
    Drain,
    /// Time has passed: see [`Worker::next_wake`](super::Worker::next_wake).
    Wake,
}

/// An output of a [`Worker`](super::Worker). The driver executes actions in order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WorkerAction {
    /// Send a message.
    Send {
        /// The routing identity of the receiver.
        peer: Bytes,
        /// The frames of the message.
        frames: Vec<Bytes>,
    },
    /// Start the handler of a request.
    Start {
        /// The id of the job.
        job: JobId,
        /// The request.
        request: Arc<CallRequest>,
        /// The time at which the handler will be stopped.
        deadline: Moment,
        /// The key that the caller has proven.
        key: Option<KeyPin>,
    },
    /// Stop a handler, then pass [`WorkerEvent::Finished`]. There is nothing to do if that was already passed or queued.
    Stop {
        /// The id of the job.
        job: JobId,
        /// The reason.
        reason: StopReason,
    },
    /// A peer has opened a session, so the limits on strangers no longer apply to it. Precedes the first message of the session.
    SessionOpened {
        /// The routing identity of the peer.
        peer: Bytes,
    },
    /// A session was denied. There is nothing to do but to log it.
    Denied {
        /// The reason, which was sent to the peer.
        reason: Denial,
    },
    /// Disconnect a peer that does not read its messages.
    Disconnect {
        /// The routing identity of the peer.
        peer: Bytes,
    },
    /// All accepted calls have ended, their responses were sent, and every caller has acknowledged that the worker is draining.
    /// No further calls will be accepted. Returned once, after [`WorkerEvent::Drain`].
    Drained,
}

/// The reason for stopping a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// The caller cancelled the call.
    Cancelled,
    /// The deadline of the call has passed.
    Deadline,
    /// The session of the caller has ended.
    Lost,
}
