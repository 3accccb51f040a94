//! The configuration of a worker, and the counters that it keeps.

use crate::rpc::api::KeyPin;
use crate::rpc::codec::{ByteStr, ServedOperations, limits};
use std::collections::HashSet;
use std::time::Duration;

/// Limits and timeouts of a [`Worker`](super::Worker).
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Only peers for which the driver has passed [`WorkerEvent::Verified`](super::WorkerEvent::Verified) may open a session.
    /// Default: `false`.
    pub verified_only: bool,
    /// The name that is reported to callers, for diagnostics. Truncated to 64 bytes. Default: empty.
    pub name: ByteStr,
    /// The name of the service. Callers that expect another name are denied. Default: empty, which accepts all.
    pub service: ByteStr,
    /// The operations of contracts that the worker serves, which callers compare with theirs. Default: none.
    pub operations: ServedOperations,
    /// The keys for which the worker responds to requests for itself, such as that of the list of operations. Default: `None`, every key.
    pub keys: Option<HashSet<KeyPin>>,
    /// The maximum number of handlers that run at once. Default: 64.
    pub concurrency: usize,
    /// The maximum number of calls that wait for a handler to end. Default: `None`, the same as `concurrency`.
    pub queue: Option<usize>,
    /// The largest body of a request or a reply, in bytes. Default: 8 MiB.
    pub max_body: usize,
    /// The maximum number of open sessions. Further ones are denied. Default: 4,096.
    pub max_sessions: usize,
    /// The maximum number of messages that a caller may leave unacknowledged. Further responses are held back. If more than this
    /// number are held, the caller is disconnected. Default: 1,024.
    pub max_unacknowledged: usize,
    /// The number of unacknowledged bytes from which on responses are held back. One message may exceed it. Default: 8 MiB.
    pub max_unacknowledged_bytes: usize,
    /// The time without an acknowledgement after which a caller with held responses is disconnected. Default: 10 s.
    pub stall_timeout: Duration,
}

impl WorkerConfig {
    /// Returns the number of calls that can be accepted at once: running and queued ones.
    pub fn capacity(&self) -> usize {
        self.concurrency
            .saturating_add(self.queue.unwrap_or(self.concurrency))
    }
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            verified_only: false,
            name: ByteStr::default(),
            service: ByteStr::default(),
            operations: ServedOperations::default(),
            keys: None,
            concurrency: 64,
            queue: None,
            max_body: limits::MAX_BODY,
            max_sessions: 4096,
            max_unacknowledged: 1024,
            max_unacknowledged_bytes: 8 << 20,
            stall_timeout: Duration::from_secs(10),
        }
    }
}

/// Counters of calls, sessions and messages. They never decrease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerCounters {
    /// Requests received, without repeated and malformed ones.
    pub requests: u64,
    /// Handlers started.
    pub started: u64,
    /// Replies sent or held back, including those to requests of the list of operations.
    pub replies: u64,
    /// Errors sent or held back.
    pub errors: u64,
    /// Requests refused as busy.
    pub busy: u64,
    /// Requests refused because the worker was draining.
    pub draining: u64,
    /// Requests whose deadline passed before their handler started.
    pub expired: u64,
    /// Handlers stopped at their deadline.
    pub stopped: u64,
    /// Calls cancelled by their caller.
    pub cancelled: u64,
    /// Calls that ended with their session.
    pub abandoned: u64,
    /// Replies for calls that had ended, and cancellations for calls that had ended or never arrived.
    pub late: u64,
    /// Sessions opened.
    pub sessions: u64,
    /// Sessions ended.
    pub sessions_ended: u64,
    /// Sessions whose caller missed its heartbeats.
    pub dead: u64,
    /// Callers disconnected because they did not read.
    pub disconnected: u64,
    /// Sessions denied.
    pub denied: u64,
    /// Hellos that were too long.
    pub oversized: u64,
    /// Messages from another peer than that of their session.
    pub misdirected: u64,
    /// Messages with an unknown session.
    pub unknown_session: u64,
    /// Messages whose counter is not above that of the last one.
    pub duplicates: u64,
    /// Requests whose id is not above the last one.
    pub repeated: u64,
    /// Malformed messages.
    pub invalid: u64,
    /// Valid messages that a caller must not send.
    pub unexpected: u64,
}
