//! The events that a driver passes to a caller, and the actions that it executes for it.

use crate::rpc::api::CallError;
use crate::rpc::codec::{CallRequest, OperationDeclaration, WireReply};
use crate::rpc::core::Moment;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// The id of a call. The driver assigns it and never reuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallNumber(pub u64);

/// The id of a worker. The driver assigns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u64);

/// Options of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// If `true`, the call waits for a worker until its deadline even if no worker can be expected to become ready.
    pub wait_for_ready: bool,
    /// The declaration of the operation as text, to be compared with that of the worker; see [`OperationDeclaration::parse`].
    pub declaration: Option<&'static str>,
}

/// An input of a [`Caller`](super::Caller).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CallerEvent {
    /// The application makes a call. `request.idempotent` allows retries after it may have run, and `request.nowait` requests
    /// [`CallerAction::Accepted`].
    Call {
        /// The id of the call.
        call: CallNumber,
        /// The request.
        request: Arc<CallRequest>,
        /// The time at which the call fails if it has not ended.
        deadline: Moment,
        /// The options.
        options: CallOptions,
    },
    /// The application dropped a call. No [`CallerAction::Finish`] follows. Ignored if the call has ended.
    Cancel {
        /// The id of the call.
        call: CallNumber,
    },
    /// A worker was added. Its link is not up yet.
    AddPeer {
        /// The id of the worker.
        peer: PeerId,
    },
    /// All workers are known. Calls with `wait_for_ready` do not wait any longer than others from now on.
    WorkersKnown,
    /// A worker was removed. It gets no further calls; [`CallerAction::PeerRemoved`] follows once its last call has ended.
    RemovePeer {
        /// The id of the worker.
        peer: PeerId,
    },
    /// The link to a worker is up.
    LinkUp {
        /// The id of the worker.
        peer: PeerId,
        /// The number of the link, which is higher than those of all previous links to this worker.
        link: u64,
    },
    /// The link to a worker was lost.
    LinkDown {
        /// The id of the worker.
        peer: PeerId,
        /// The number of the link.
        link: u64,
    },
    /// A message from a worker arrived.
    Frames {
        /// The id of the worker.
        peer: PeerId,
        /// The number of the link.
        link: u64,
        /// The frames of the message.
        frames: Vec<Bytes>,
    },
    /// A [`CallerAction::Send`] failed: the link did not accept the message, which will certainly never be sent.
    SendFailed {
        /// The id of the worker.
        peer: PeerId,
        /// The number of the link.
        link: u64,
        /// The call that the action named.
        call: Option<CallNumber>,
    },
    /// The application could not read the response of a worker, whose message was well-formed.
    Unreadable {
        /// The id of the worker.
        peer: PeerId,
    },
    /// Time has passed: see [`Caller::next_wake`](super::Caller::next_wake).
    Wake,
    /// The process is shutting down. Queued, delayed and new calls fail at once, calls in flight finish. Removes all workers.
    Close,
}

/// An output of a [`Caller`](super::Caller). The driver executes actions in order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CallerAction {
    /// Send a message on a link: all of its frames or none.
    Send {
        /// The id of the worker.
        peer: PeerId,
        /// The number of the link. The message must not be sent on any other link.
        link: u64,
        /// The frames of the message.
        frames: Vec<Bytes>,
        /// The call that the message carries, to be named in [`CallerEvent::SendFailed`].
        call: Option<CallNumber>,
    },
    /// A worker accepted a `nowait` call, whose handler may still be queued. Returned at most once for a call, and before
    /// [`Finish`](Self::Finish).
    Accepted {
        /// The id of the call.
        call: CallNumber,
    },
    /// A call has ended. Returned exactly once for each call that was not cancelled.
    Finish {
        /// The id of the call.
        call: CallNumber,
        /// The worker to which the call was sent last, unless it waits to be sent again.
        peer: Option<PeerId>,
        /// The reply, with any status, or the error.
        outcome: Result<WireReply, CallError>,
    },
    /// Drop a link and reconnect: the worker missed its heartbeats, did not complete the handshake in time, or ended or denied
    /// the session.
    DropLink {
        /// The id of the worker.
        peer: PeerId,
        /// The number of the link.
        link: u64,
        /// The reason, for the log.
        reason: &'static str,
    },
    /// The session with a worker is open. There is nothing to do.
    SessionOpened {
        /// The id of the worker.
        peer: PeerId,
    },
    /// A worker declares an operation differently, whose calls are sent to it nevertheless. Returned once for each declaration of this
    /// caller. There is nothing to do but to log it.
    ContractDiffers {
        /// The id of the worker.
        peer: PeerId,
        /// The declaration of the caller.
        here: OperationDeclaration,
        /// The declaration of the worker; `None` if it has not sent it.
        there: Option<OperationDeclaration>,
    },
    /// A worker fails more often than the others, so it gets no calls for a while. There is nothing to do.
    PeerEjected {
        /// The id of the worker.
        peer: PeerId,
        /// The time until it gets a call again, one at a time.
        pause: Duration,
    },
    /// An ejected worker has recovered and gets its share of the calls. There is nothing to do.
    PeerRestored {
        /// The id of the worker.
        peer: PeerId,
    },
    /// A worker has begun to drain. Its successor may already listen at its address.
    PeerDraining {
        /// The id of the worker.
        peer: PeerId,
    },
    /// A removed worker has no more calls: flush its link, then close it.
    PeerRemoved {
        /// The id of the worker.
        peer: PeerId,
    },
}
