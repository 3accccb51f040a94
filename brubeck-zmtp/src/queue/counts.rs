//! What became of the messages that were sent.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What became of the messages handed to an outbox, since the link was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Handed to a connection. That proves nothing about the peer: it may have died meanwhile.
    pub sent: u64,
    /// Dropped: the peer, or the connection the message was meant for, was gone.
    pub gone: u64,
    /// Dropped, and the peer cut off: it did not read what it was sent.
    pub stalled: u64,
}

#[derive(Debug, Default)]
pub struct Counters {
    sent: AtomicU64,
    gone: AtomicU64,
    stalled: AtomicU64,
}

impl Counters {
    pub fn sent(&self) {
        self.sent.fetch_add(1, Relaxed);
    }

    pub fn gone(&self, messages: usize) {
        self.gone.fetch_add(messages as u64, Relaxed);
    }

    pub fn stalled(&self) {
        self.stalled.fetch_add(1, Relaxed);
    }

    pub fn read(&self) -> Counts {
        Counts {
            sent: self.sent.load(Relaxed),
            gone: self.gone.load(Relaxed),
            stalled: self.stalled.load(Relaxed),
        }
    }
}
