//! Links that keep the order of their messages, and lose all that is on its way when they are cut.

use bytes::Bytes;

/// The way from a caller to a worker and back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Link {
    /// The number of the newest connection.
    pub(crate) number: u64,
    pub(crate) up: bool,
    /// What is on its way on this connection, or an earlier one, never arrives.
    pub(crate) void: u64,
    /// Messages to the worker, and to the caller, go nowhere, and nobody is told.
    pub(crate) blocked: [bool; 2],
    /// When the last message to each side arrives; the next one comes after it.
    pub(crate) horizon: [u64; 2],
    /// The caller knows this worker.
    pub(crate) known: bool,
    /// An attempt to connect is on its way.
    pub(crate) connecting: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Worker = 0,
    Caller = 1,
}

/// The routing identity of a connection.
pub(crate) fn identity(caller: usize, incarnation: u64, worker: usize, number: u64) -> Bytes {
    format!("{caller}.{incarnation}.{worker}.{number}").into()
}
