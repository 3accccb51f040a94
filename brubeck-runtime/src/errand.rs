//! One answer under way, as those know it who wait for it and those who work on it.

use std::any::Any;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// What a handler and whoever waits for its answer share. Most handlers need nothing of it, so everything in it is made
/// for the first who asks.
#[derive(Debug, Default)]
pub(crate) struct Errand {
    limit: Option<Duration>,
    until: OnceLock<Option<Instant>>,
    over: AtomicBool,
    kept: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Errand {
    /// An answer that may take so long.
    pub(crate) fn within(limit: Option<Duration>) -> Errand {
        Errand {
            limit,
            ..Errand::default()
        }
    }

    /// Until when it is waited for. The clock starts at the first look, which is when a handler first waits, or asks.
    pub(crate) fn until(&self) -> Option<Instant> {
        let from_now = |limit| Instant::now().checked_add(limit);
        *self.until.get_or_init(|| self.limit.and_then(from_now))
    }

    /// Nobody waits for the answer any more; what the handler left behind, a stream or a WebSocket, has no deadline.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// What the handler leaves for whoever sends the answer; rooms above this one know what.
    pub(crate) fn kept<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.kept.get()?.downcast_ref()
    }

    /// The same, made where it is not there.
    pub(crate) fn keep<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        self.kept.get_or_init(|| Box::new(make())).downcast_ref()
    }
}
