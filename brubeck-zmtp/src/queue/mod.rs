//! Bounded queues between sockets and their users, and counters.

mod bounded;
mod events;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;

pub use self::events::{EventPermit, EventReceiver, EventSender, event_queue};

pub(crate) use self::bounded::BoundedQueue;

/// Returns the bytes of a message, all frames together.
#[inline]
pub fn message_size(frames: &[Bytes]) -> usize {
    frames.iter().map(Bytes::len).sum()
}

/// The number of messages since the socket was opened, by what happened to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Passed to a connection. The peer may have died before it read them.
    pub sent: u64,
    /// Dropped: the peer, or the connection that the message was meant for, was gone.
    pub dropped: u64,
    /// Dropped, and the peer disconnected: it did not read its messages.
    pub stalled: u64,
}

/// Counts messages for [`Counts`].
#[derive(Debug, Default)]
pub struct Counters {
    sent: AtomicU64,
    dropped: AtomicU64,
    stalled: AtomicU64,
}

impl Counters {
    /// Adds messages that were passed to a connection.
    #[inline]
    pub fn record_sent(&self, messages: usize) {
        self.sent.fetch_add(messages as u64, Relaxed);
    }

    /// Adds messages that were dropped.
    #[inline]
    pub fn record_dropped(&self, messages: usize) {
        self.dropped.fetch_add(messages as u64, Relaxed);
    }

    /// Adds a message whose peer does not read.
    #[inline]
    pub fn record_stalled(&self) {
        self.stalled.fetch_add(1, Relaxed);
    }

    /// Returns the current numbers.
    pub fn read(&self) -> Counts {
        Counts {
            sent: self.sent.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            stalled: self.stalled.load(Relaxed),
        }
    }
}
