//! The time for which a client has read nothing.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The reason for the client that reads too slowly, and for its handler.
pub(crate) const TOO_SLOW: super::Close =
    super::Close::with_reason(1008, "the client does not read its messages");

/// Time after which a client that takes nothing of the broadcasts for it is disconnected.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The time since which bytes for a client wait because it does not read. Front ends set it, and broadcasts read it.
#[derive(Debug, Default)]
pub(crate) struct BlockedSince(Mutex<Option<Instant>>);

impl BlockedSince {
    /// Records that the client accepts no bytes at present.
    pub(crate) fn set(&self) {
        self.with(|since| {
            since.get_or_insert_with(Instant::now);
        });
    }

    /// Records that the client has accepted bytes, or that none wait for it. Returns `true` if bytes waited.
    pub(crate) fn clear(&self) -> bool {
        self.with(|since| since.take().is_some())
    }

    /// Returns the time since which the client accepts no bytes. Returns `None` if it does, or if none wait.
    pub(crate) fn get(&self) -> Option<Instant> {
        self.with(|since| *since)
    }

    /// Returns `true` if the client has accepted no bytes for this time.
    pub(crate) fn lasts(&self, time: Duration, now: Instant) -> bool {
        self.get()
            .is_some_and(|since| now.saturating_duration_since(since) >= time)
    }

    fn with<T>(&self, with: impl FnOnce(&mut Option<Instant>) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
