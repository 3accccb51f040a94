//! Counters of a link to Mongrel2.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Counters of the connection to a [`Mongrel2`](crate::Mongrel2) server, since the `Mongrel2` was created. Clones share
/// the counters.
///
/// ```
/// use brubeck::Mongrel2;
///
/// let mongrel2 = Mongrel2::new("tcp://127.0.0.1:9999", "tcp://127.0.0.1:9998");
/// let counts = mongrel2.counts();
/// assert_eq!((counts.requests(), counts.stale()), (0, 0));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Mongrel2Counts(Arc<Mongrel2Counters>);

#[derive(Debug, Default)]
struct Mongrel2Counters {
    requests: AtomicU64,
    messages: AtomicU64,
    stale: AtomicU64,
    shed: AtomicU64,
    malformed: AtomicU64,
    slow_clients: AtomicU64,
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident, $add:ident;)*) => {
        impl Mongrel2Counts {
            $(
                $(#[$doc])*
                pub fn $name(&self) -> u64 {
                    self.0.$name.load(Relaxed)
                }

                pub(super) fn $add(&self, count: usize) {
                    self.0.$name.fetch_add(count as u64, Relaxed);
                }
            )*
        }
    };
}

counters! {
    /// Returns the number of received requests, WebSocket frames, messages of message sockets, and further messages
    /// about uploads.
    requests, add_requests;
    /// Returns the number of messages sent to Mongrel2, including commands such as keep-alives. A message of a broadcast
    /// addresses up to 128 clients and counts once.
    messages, add_messages;
    /// Returns the number of messages, responses and parts of responses that were dropped because their connection was
    /// closed, or because the connection to Mongrel2 was lost.
    stale, add_stale;
    /// Returns the number of requests that were answered with 503 because of too many concurrent requests. It does not
    /// include those that were rejected during a shutdown or because of too many WebSockets.
    shed, add_shed;
    /// Returns the number of messages from Mongrel2 that could not be decoded.
    malformed, add_malformed;
    /// Returns the number of clients that were disconnected because too much data was queued for them when a broadcast
    /// was sent.
    slow_clients, add_slow_clients;
}
