//! What a driver tells a caller and is asked by it, how a caller behaves, and what it counts.

use crate::rpc::api::CallError;
use crate::rpc::codec::{ByteStr, CallRequest, WireReply, limits};
use crate::rpc::core::Moment;
use crate::secret::Secret;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A call, by the number that the driver gave it. No number is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// A worker's address, by the number that the driver gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u64);

/// How a call is to be treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// Whether it waits for a worker until its deadline, even if none is known to be alive.
    pub wait_for_ready: bool,
}

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CallerEvent {
    /// Somebody calls. `request.idempotent` and `request.nowait` say what may be done with the call.
    Call {
        /// Its number.
        call: CallId,
        /// What is asked.
        request: Arc<CallRequest>,
        /// When its outcome is due.
        deadline: Moment,
        /// How it is to be treated.
        options: CallOptions,
    },
    /// Whoever called has gone; there will be no outcome.
    Cancel {
        /// Which call.
        call: CallId,
    },
    /// There is another worker. Its link is not up yet.
    AddPeer {
        /// Which.
        peer: PeerId,
    },
    /// A worker is to get no more calls; its running ones finish, then comes [`CallerAction::PeerRemoved`].
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
    SendFailed {
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
        /// The call that they carry; to be named in [`CallerEvent::SendFailed`].
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
        /// How it ended. A [`WireReply`] may have any status.
        outcome: Result<WireReply, CallError>,
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
    PeerRemoved {
        /// Which worker.
        peer: PeerId,
    },
}

/// Limits and times of a [`Caller`](super::Caller), each with its default.
#[derive(Clone)]
pub struct CallerConfig {
    /// The passphrase that caller and worker share.
    pub passphrase: Secret,
    /// The name of this process for the logs of workers, at most 64 bytes. Default: none.
    pub name: ByteStr,
    /// How often workers are pinged; one that misses three beats is dead. Default 1 s.
    pub heartbeat_interval: Duration,
    /// How long calls wait for the first connection to a new worker. Default 1 s.
    pub connect_grace: Duration,
    /// How long a worker may take to open a session. Default 3 s.
    pub handshake: Duration,
    /// The largest body, in bytes, there and back. Default 8 MiB.
    pub max_body: usize,
    /// Calls that may wait for a worker with room; beyond, calls are refused as busy. Default 1,024.
    pub max_queue: usize,
    /// How long no call may have been refused before calls wait in the queue again: one that could not be in time shows
    /// that more comes than the workers can do, and then waiting would only make every answer late. Zero: calls always
    /// wait. Default 1 s.
    pub overload_cooldown: Duration,
    /// Bytes of all calls that have not ended; beyond, calls are refused as busy. Default 64 MiB.
    pub max_pending_bytes: usize,
    /// Calls that may be on their way to one worker, whatever it allows. Default 1,024.
    pub max_in_flight: usize,
    /// Workers that may be known at a time. Default 256.
    pub max_peers: usize,
    /// How often one call may be sent. Default 4.
    pub max_attempts: u8,
    /// How much later than the first loss an idempotent call is sent again, at most; doubles each time. Default 20 ms.
    pub retry_delay: Duration,
}

impl Default for CallerConfig {
    fn default() -> Self {
        Self {
            passphrase: Secret::default(),
            name: ByteStr::default(),
            heartbeat_interval: Duration::from_secs(1),
            connect_grace: Duration::from_secs(1),
            handshake: Duration::from_secs(3),
            max_body: limits::MAX_BODY,
            max_queue: 1024,
            overload_cooldown: Duration::from_secs(1),
            max_pending_bytes: 64 << 20,
            max_in_flight: 1024,
            max_peers: 256,
            max_attempts: 4,
            retry_delay: Duration::from_millis(20),
        }
    }
}

/// Without the passphrase.
impl fmt::Debug for CallerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallerConfig")
            .field("name", &self.name)
            .field("heartbeat_interval", &self.heartbeat_interval)
            .field("max_queue", &self.max_queue)
            .finish_non_exhaustive()
    }
}

/// What became of calls and messages so far; every number only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallerCounters {
    /// Calls that were made.
    pub calls: u64,
    /// Calls that ended in a reply.
    pub replies: u64,
    /// Calls that ended in an error.
    pub errors: u64,
    /// Calls that were given up.
    pub given_up: u64,
    /// Calls that were refused as busy.
    pub busy: u64,
    /// Calls whose deadline passed.
    pub deadlines: u64,
    /// Calls that were lost.
    pub lost: u64,
    /// Requests that were sent; one call may be sent several times.
    pub requests: u64,
    /// Calls that went to another worker because they had not begun.
    pub moved: u64,
    /// Idempotent calls that were sent again although they may have run.
    pub retried: u64,
    /// Retries that the budget did not allow.
    pub over_budget: u64,
    /// Cancellations that were sent.
    pub cancels: u64,
    /// Sessions that were opened.
    pub sessions: u64,
    /// Sessions that ended.
    pub sessions_ended: u64,
    /// Workers that fell silent.
    pub dead: u64,
    /// Sessions that were denied.
    pub denied: u64,
    /// Sessions that were not opened in time.
    pub unopened: u64,
    /// Answers that came for calls that had ended.
    pub late: u64,
    /// Messages whose code or session was wrong.
    pub forged: u64,
    /// Messages that came before.
    pub replayed: u64,
    /// Messages that could not be read.
    pub unreadable: u64,
    /// Messages that nothing waits for.
    pub unexpected: u64,
    /// Messages of links that are gone.
    pub stale: u64,
    /// Events that make no sense: a call number used twice, a worker that is not known, or one too many.
    pub misused: u64,
}
