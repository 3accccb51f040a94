//! What a caller has counted.

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
