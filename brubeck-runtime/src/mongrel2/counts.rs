//! What a link to Mongrel2 has done so far.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// What went over the links of a [`Mongrel2`](crate::Mongrel2) since it was made. Clones read the same numbers.
///
/// ```
/// use brubeck::Mongrel2;
///
/// let mongrel2 = Mongrel2::new("tcp://127.0.0.1:9999", "tcp://127.0.0.1:9998");
/// let counts = mongrel2.counts();
/// assert_eq!((counts.requests(), counts.stale()), (0, 0));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Mongrel2Counts(Arc<CounterCells>);

#[derive(Debug, Default)]
struct CounterCells {
    requests: AtomicU64,
    messages: AtomicU64,
    stale: AtomicU64,
    shed: AtomicU64,
    refused: AtomicU64,
    cut: AtomicU64,
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident, $add:ident;)*) => {
        impl Mongrel2Counts {
            $(
                $(#[$doc])*
                pub fn $name(&self) -> u64 {
                    self.0.$name.load(Relaxed)
                }

                pub(super) fn $add(&self, many: usize) {
                    self.0.$name.fetch_add(many as u64, Relaxed);
                }
            )*
        }
    };
}

counters! {
    /// Requests, frames of WebSockets and messages of message sockets that came.
    requests, add_requests;
    /// Messages that were sent to Mongrel2, each to one connection or to as many as 128.
    messages, add_messages;
    /// Replies that were dropped because their connection was gone: closed, or of an earlier run of Mongrel2.
    stale, add_stale;
    /// Requests that were answered with 503 because too many were worked on already.
    shed, add_shed;
    /// Messages that could not be read.
    refused, add_refused;
    /// Clients that were cut off because they did not read, or sent too much.
    cut, add_cut;
}
