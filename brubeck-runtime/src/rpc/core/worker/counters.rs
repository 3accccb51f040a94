//! What a worker has counted.

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
