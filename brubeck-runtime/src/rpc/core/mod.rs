//! The protocol between a caller and its workers, as state machines without sockets, clocks or threads (sans-IO).
//!
//! A driver passes events and the current time to a [`Caller`] or a [`Worker`], and executes the [`CallerAction`]s and
//! [`WorkerAction`]s that they return. Time is a [`Moment`] since an origin that the driver chooses, and randomness comes from
//! a seed, so equal inputs always give equal outputs. The simulator in `tests/protocol` relies on that.

mod caller;
mod channel;
mod collections;
mod entropy;
mod worker;

pub use caller::{
    CallNumber, CallOptions, Caller, CallerAction, CallerConfig, CallerCounters, CallerEvent,
    ConnectivityState, PeerId, PeerView,
};
pub use worker::{
    JobId, StopReason, Worker, WorkerAction, WorkerConfig, WorkerCounters, WorkerEvent, WorkerView,
};

pub(crate) use collections::IdMap;

use std::time::Duration;

/// A point in time: the duration since an origin that the driver chooses. A time before the last one counts as the last one.
pub type Moment = Duration;

/// The bounds of the heartbeat interval. Values outside of them are clamped.
const MIN_HEARTBEAT_INTERVAL: Duration = Duration::from_millis(10);
const MAX_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(60);

/// The number of heartbeat intervals without a message after which a peer is considered dead.
pub const MAX_MISSED_HEARTBEATS: u32 = 3;

/// The bounds of the `retry_after` hint in a busy error.
const MIN_RETRY_AFTER: Duration = Duration::from_millis(10);
const MAX_RETRY_AFTER: Duration = Duration::from_secs(5);

/// The error text for a call that exceeds [`MAX_HOPS`](super::codec::limits::MAX_HOPS).
const TOO_MANY_HOPS: &str =
    "the call is the result of more than 16 nested calls; check for services that call each other in a cycle";

/// Returns the error text for a request whose body and parts exceed the limit of its worker.
fn too_large_for_service(bytes: usize, limit: usize) -> String {
    format!(
        "the request has {bytes} bytes of body and parts, and the limit of the service is {limit} bytes; raise it with \
         `Service::body_limit`"
    )
}

/// The weight of a new sample in a moving average of handler or call times, as a divisor: 8 means one eighth.
const SERVICE_TIME_SAMPLES: u32 = 8;

/// Adds a sample to an exponential moving average. The first sample becomes the average.
fn moving_average(average: Option<Duration>, sample: Duration) -> Duration {
    match average {
        Some(average) => (average * (SERVICE_TIME_SAMPLES - 1) + sample) / SERVICE_TIME_SAMPLES,
        None => sample,
    }
}
