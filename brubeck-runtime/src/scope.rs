//! State that is shared between a running handler and the task that waits for its response.

use crate::session::CookieChanges;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The deadline and the cookies of one request. Both are created on first use, because most handlers use neither.
#[derive(Debug, Default)]
pub(crate) struct RequestScope {
    timeout: Option<Duration>,
    deadline: OnceLock<Option<Instant>>,
    finished: AtomicBool,
    cookies: OnceLock<CookieChanges>,
}

impl RequestScope {
    pub(crate) fn with_timeout(timeout: Option<Duration>) -> RequestScope {
        RequestScope {
            timeout,
            ..RequestScope::default()
        }
    }

    /// Returns the deadline of the handler, or `None` if it has none.
    ///
    /// The timeout starts at the first call of this function, that is when the handler first waits or asks for its deadline.
    /// So no clock is read for a handler that responds at its first poll.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let from_now = |timeout| Instant::now().checked_add(timeout);
        *self.deadline.get_or_init(|| self.timeout.and_then(from_now))
    }

    /// Marks the response as sent. A stream or WebSocket that the handler leaves running has no deadline.
    pub(crate) fn finish(&self) {
        self.finished.store(true, Ordering::Release);
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// Returns the cookie changes, if the handler has asked for them.
    pub(crate) fn cookies(&self) -> Option<&CookieChanges> {
        self.cookies.get()
    }

    pub(crate) fn cookies_or_init(&self, init: impl FnOnce() -> CookieChanges) -> &CookieChanges {
        self.cookies.get_or_init(init)
    }
}
