//! What a caller is told, and what it asks for.

use std::sync::Arc;

use bytes::Bytes;

use crate::rpc::api::CallError;
use crate::rpc::codec::{Ask, Reply};
use crate::rpc::core::Moment;

/// A call, by the number that the driver gave it. No number is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// A worker's address, by the number that the driver gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u64);

/// How a call is to be treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether it waits for a worker until its deadline, even if none is known to be alive.
    pub patient: bool,
}

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CallerEvent {
    /// Somebody calls. `ask.idempotent` and `ask.nowait` say what may be done with the call.
    Call {
        /// Its number.
        call: CallId,
        /// What is asked.
        ask: Arc<Ask>,
        /// When its outcome is due.
        deadline: Moment,
        /// How it is to be treated.
        options: Options,
    },
    /// Whoever called has gone; there will be no outcome.
    GiveUp {
        /// Which call.
        call: CallId,
    },
    /// There is another worker. Its link is not up yet.
    AddPeer {
        /// Which.
        peer: PeerId,
    },
    /// A worker is to get no more calls; its running ones finish, then comes [`CallerAction::Forget`].
    RemovePeer {
        /// Which.
        peer: PeerId,
    },
    /// The link to a worker stands.
    LinkUp {
        /// Which worker.
        peer: PeerId,
        /// Its number; every link of a worker has a higher one than the link before.
        link: u64,
    },
    /// The link to a worker is lost.
    LinkDown {
        /// Which worker.
        peer: PeerId,
        /// Which link.
        link: u64,
    },
    /// A worker sent a message.
    Frames {
        /// Which worker.
        peer: PeerId,
        /// On which link.
        link: u64,
        /// The frames.
        frames: Vec<Bytes>,
    },
    /// A [`CallerAction::Send`] was not carried out: the link did not take it, and it is certain that it never will.
    Unsent {
        /// Which worker.
        peer: PeerId,
        /// Which link.
        link: u64,
        /// The call that the action named.
        call: Option<CallId>,
    },
    /// Time has passed: see [`Caller::next_wake`](super::Caller::next_wake).
    Wake,
    /// This process is shutting down: calls that wait end at once, those on their way finish.
    Close,
}

/// What is to be done, in this order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CallerAction {
    /// Send these frames on this link, or none of them.
    Send {
        /// To which worker.
        peer: PeerId,
        /// On which link, and no other.
        link: u64,
        /// The frames.
        frames: Vec<Bytes>,
        /// The call that they carry; to be named in [`CallerEvent::Unsent`].
        call: Option<CallId>,
    },
    /// A worker has taken a `nowait` call. Comes at most once for a call, before its outcome.
    Accepted {
        /// Which call.
        call: CallId,
    },
    /// A call has ended. Comes exactly once for every call that was not given up.
    Finish {
        /// Which call.
        call: CallId,
        /// How it ended. A [`Reply`] may have any status.
        outcome: Result<Reply, CallError>,
    },
    /// Drop this link and make a new one: the worker is dead, frozen, or speaks nonsense.
    DropLink {
        /// Which worker.
        peer: PeerId,
        /// Which link.
        link: u64,
        /// Why, for the log.
        reason: &'static str,
    },
    /// A removed worker has no more calls: send what was asked for, then close its link.
    Forget {
        /// Which worker.
        peer: PeerId,
    },
}
