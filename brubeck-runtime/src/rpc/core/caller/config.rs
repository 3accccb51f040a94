//! The configuration of a caller, and the counters that it keeps.

use crate::rpc::codec::{ByteStr, limits};
use std::time::Duration;

/// Limits and timeouts of a [`Caller`](super::Caller).
#[derive(Clone, Debug)]
pub struct CallerConfig {
    /// The name that is reported to workers, for diagnostics. Truncated to 64 bytes. Default: empty.
    pub name: ByteStr,
    /// The name of the service, which workers compare with theirs. Default: empty.
    pub service: ByteStr,
    /// The interval between two pings, from 10 ms to 60 s. A worker that sends nothing for three intervals is considered dead.
    /// Default: 1 s.
    pub heartbeat_interval: Duration,
    /// The time for which calls wait for the first connection to a new worker, and for each handshake. They do not wait if the
    /// previous attempt failed. Calls with `wait_for_ready` wait until their deadline instead. Default: 1 s.
    pub connect_grace: Duration,
    /// The time for which calls wait after the loss of a session, or after a worker has begun to drain: it is probably being restarted.
    /// They do not wait for a worker that missed its heartbeats. Default: 5 s.
    pub reconnect_grace: Duration,
    /// The timeout of a handshake, after which the link is dropped. Default: 3 s.
    pub handshake_timeout: Duration,
    /// The largest body of a request or a reply, in bytes. Default: 8 MiB.
    pub max_body: usize,
    /// The number of calls in the queue from which on new calls are refused as busy. Calls that are sent again are queued
    /// nevertheless. Default: 1,024.
    pub max_queue: usize,
    /// The time without refused calls after which calls may wait in the queue again.
    ///
    /// A call that could not meet its deadline shows that the workers are overloaded. Queueing would then only delay every
    /// response to the end of its deadline, so calls are refused unless a worker has room. Zero disables this. Default: 1 s.
    pub overload_cooldown: Duration,
    /// The size of all calls that have not ended, in bytes, beyond which calls are refused as busy. Default: 64 MiB.
    pub max_pending_bytes: usize,
    /// The maximum number of calls in flight to one worker, even if it allows more. Default: 1,024.
    pub max_in_flight: usize,
    /// The maximum number of workers. Further ones are ignored. Default: 256.
    pub max_peers: usize,
    /// The maximum number of times that one call is sent. Default: 4.
    pub max_attempts: u8,
    /// The maximum number of times that an idempotent call may run: how often it is sent to a worker that may have begun it. A call
    /// that makes its worker crash takes at most this many workers with it. Default: 2.
    pub max_runs: u8,
    /// The upper bound of the random delay before an idempotent call that may have run is sent for the second time. It doubles
    /// with each further attempt, at most to 64 times this value. Default: 20 ms.
    pub retry_delay: Duration,
}

impl Default for CallerConfig {
    fn default() -> Self {
        Self {
            name: ByteStr::default(),
            service: ByteStr::default(),
            heartbeat_interval: Duration::from_secs(1),
            connect_grace: Duration::from_secs(1),
            reconnect_grace: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(3),
            max_body: limits::MAX_BODY,
            max_queue: 1024,
            overload_cooldown: Duration::from_secs(1),
            max_pending_bytes: 64 << 20,
            max_in_flight: 1024,
            max_peers: 256,
            max_attempts: 4,
            max_runs: 2,
            retry_delay: Duration::from_millis(20),
        }
    }
}

/// Counters of calls, sessions and messages. They never decrease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallerCounters {
    /// Calls made, including those that were refused at once.
    pub calls: u64,
    /// Calls that ended with a reply.
    pub replies: u64,
    /// Calls that ended with an error.
    pub errors: u64,
    /// Calls that the application cancelled.
    pub cancelled: u64,
    /// Calls that ended with [`CallError::Busy`](crate::CallError::Busy).
    pub busy: u64,
    /// Calls that ended with [`CallError::Deadline`](crate::CallError::Deadline).
    pub deadlines: u64,
    /// Calls that ended with [`CallError::Lost`](crate::CallError::Lost). A lost attempt that is retried does not count.
    pub lost: u64,
    /// Requests sent. One call may be sent several times.
    pub requests: u64,
    /// Calls queued again because their worker had not begun them. One call may count several times.
    pub rerouted: u64,
    /// Retries of idempotent calls that may have run. One call may count several times.
    pub retried: u64,
    /// Retries refused by the retry budget.
    pub over_budget: u64,
    /// Cancellations sent, also for calls whose deadline passed.
    pub cancels_sent: u64,
    /// Sessions opened.
    pub sessions: u64,
    /// Sessions ended.
    pub sessions_ended: u64,
    /// Workers that missed their heartbeats.
    pub dead: u64,
    /// Workers that got no calls for a while, because they failed more often than the others.
    pub ejections: u64,
    /// Sessions denied by a worker.
    pub denied: u64,
    /// Handshakes that timed out.
    pub handshake_timeouts: u64,
    /// Replies, errors and confirmations for requests that were no longer in flight.
    pub late: u64,
    /// Messages of another session.
    pub misdirected: u64,
    /// Messages whose counter is not above that of the last one.
    pub duplicates: u64,
    /// Malformed messages.
    pub invalid: u64,
    /// Valid messages that were not expected in the current state.
    pub unexpected: u64,
    /// Messages and events of a link that is gone or not known.
    pub stale: u64,
    /// Events that violate the contract of the driver: a new call with the id of one that has not ended, a worker that was added
    /// twice or removed while unknown, or too many workers.
    pub misused: u64,
}
