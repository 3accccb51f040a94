//! What happens to calls between a caller and its workers, without a socket, a clock or a thread.
//!
//! [`Caller`] and [`Worker`] are state machines: a driver tells them what happened and at what time, and carries out the
//! [`CallerAction`]s and [`WorkerAction`]s they request for. Time is a [`Moment`] since an origin that the driver chose, and
//! randomness comes from a seed, so the same events give the same actions, always.

mod caller;
mod collections;
mod session;
mod worker;

pub use caller::{
    CallId, CallOptions, Caller, CallerAction, CallerConfig, CallerCounters, CallerEvent, ConnectivityState,
    PeerId, PeerView,
};
pub use worker::{
    JobId, StopReason, Worker, WorkerAction, WorkerConfig, WorkerCounters, WorkerEvent, WorkerView,
};

pub(crate) use collections::IdMap;

/// A time, counted from an origin that the driver chose; it never runs backwards.
pub type Moment = std::time::Duration;

/// How many beats may be missed before a peer counts as dead.
pub const MAX_MISSED_HEARTBEATS: u32 = 3;

/// The shortest and the longest time after which a caller is told to request again.
const RETRY_AFTER: (Moment, Moment) = (Moment::from_millis(10), Moment::from_secs(5));

/// Why a call is refused that more than [`MAX_HOPS`](super::codec::limits::MAX_HOPS) calls have led to.
const TOO_MANY_HOPS: &str = "16 calls led to this one; look for services that call each other";
