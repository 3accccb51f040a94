//! Bounded queues between sockets and their users, and message counters.

mod bounded;
mod events;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;

pub use self::events::{EventPermit, EventReceiver, EventSender, event_queue};

pub(crate) use self::bounded::BoundedQueue;

/// Returns the size of a message in bytes, all frames together.
#[inline]
pub fn message_size(frames: &[Bytes]) -> usize {
    frames.iter().map(Bytes::len).sum()
}

/// The numbers of sent messages, dropped messages and stalls since the socket was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageCounts {
    /// Messages that were passed to a connection. They may be lost with the connection.
    pub sent: u64,
    /// Messages that were dropped before they were passed to a connection, because the peer was not connected or the connection
    /// was lost.
    pub dropped: u64,
    /// Stalls: a peer did not read its messages, and was disconnected at the limit of its queue or at the write stall timeout.
    /// Each message that exceeds the limit of the queue is dropped and counted here.
    pub stalled: u64,
}

/// Counts messages for [`MessageCounts`].
#[derive(Debug, Default)]
pub struct MessageCounters {
    sent: AtomicU64,
    dropped: AtomicU64,
    stalled: AtomicU64,
}

impl MessageCounters {
    /// Counts messages that were passed to a connection.
    #[inline]
    pub fn record_sent(&self, messages: usize) {
        self.sent.fetch_add(messages as u64, Relaxed);
    }

    /// Counts messages that were dropped.
    #[inline]
    pub fn record_dropped(&self, messages: usize) {
        self.dropped.fetch_add(messages as u64, Relaxed);
    }

    /// Counts a stall: a peer that did not read its messages.
    #[inline]
    pub fn record_stalled(&self) {
        self.stalled.fetch_add(1, Relaxed);
    }

    /// Returns the current counts.
    pub fn read(&self) -> MessageCounts {
        MessageCounts {
            sent: self.sent.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            stalled: self.stalled.load(Relaxed),
        }
    }
}
