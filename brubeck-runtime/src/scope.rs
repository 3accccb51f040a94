//! One request under way, as those know it who wait for its response and those who work on it.

use crate::session::CookieChanges;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// What a handler and whoever waits for its response share. Most handlers need nothing of it, so everything in it is made
/// for the first who asks.
#[derive(Debug, Default)]
pub(crate) struct RequestScope {
    limit: Option<Duration>,
    until: OnceLock<Option<Instant>>,
    over: AtomicBool,
    cookies: OnceLock<CookieChanges>,
}

impl RequestScope {
    /// A response that may take so long.
    pub(crate) fn with_timeout(limit: Option<Duration>) -> RequestScope {
        RequestScope {
            limit,
            ..RequestScope::default()
        }
    }

    /// Until when it is waited for. The clock starts at the first look, which is when a handler first waits, or asks.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let from_now = |limit| Instant::now().checked_add(limit);
        *self.until.get_or_init(|| self.limit.and_then(from_now))
    }

    /// Nobody waits for the response any more; what the handler left behind, a stream or a WebSocket, has no deadline.
    pub(crate) fn finish(&self) {
        self.over.store(true, Ordering::Release);
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// The cookies that the handler wants the browser to keep, if it asked for any.
    pub(crate) fn cookies(&self) -> Option<&CookieChanges> {
        self.cookies.get()
    }

    /// The same, made where they are not there.
    pub(crate) fn cookies_or_init(&self, make: impl FnOnce() -> CookieChanges) -> &CookieChanges {
        self.cookies.get_or_init(make)
    }
}
