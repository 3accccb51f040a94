//! Simulated links, which keep the order of messages and lose those in flight when they are cut.

use bytes::Bytes;

/// The link between a caller and a worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Link {
    /// The number of the newest connection.
    pub(crate) number: u64,
    pub(crate) up: bool,
    /// Messages in flight on connections up to this number are lost.
    pub(crate) void: u64,
    /// Whether messages to each [`Side`] are lost without an error.
    pub(crate) blocked: [bool; 2],
    /// The time at which the last message to each [`Side`] arrives. Later messages do not arrive earlier.
    pub(crate) horizon: [u64; 2],
    /// The worker was added to the caller.
    pub(crate) known: bool,
    /// A connection attempt is scheduled.
    pub(crate) connecting: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Worker = 0,
    Caller = 1,
}

/// Returns the routing identity of a connection.
pub(crate) fn identity(caller: usize, incarnation: u64, worker: usize, number: u64) -> Bytes {
    format!("{caller}.{incarnation}.{worker}.{number}").into()
}
