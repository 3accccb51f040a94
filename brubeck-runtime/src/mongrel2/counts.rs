//! Counters of a link to Mongrel2.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Counters of the connection to a [`Mongrel2`](crate::Mongrel2) server, since the `Mongrel2` was created. Clones share
/// the counters.
///
/// ```no_run
/// # use brubeck::prelude::*;
/// # use std::time::Duration;
/// # async fn example(routes: Routes<()>) -> brubeck::Result {
/// let mongrel2 = Mongrel2::new("tcp://127.0.0.1:9999", "tcp://127.0.0.1:9998");
/// let counts = mongrel2.counts();
/// tokio::spawn(async move {
///     loop {
///         tokio::time::sleep(Duration::from_secs(60)).await;
///         println!("{} requests, {} messages to Mongrel2", counts.requests(), counts.messages());
///         println!("refused: {} for lack of capacity, {} malformed", counts.shed(), counts.malformed());
///         println!("lost: {} stale messages, {} slow clients", counts.stale(), counts.slow_clients());
///     }
/// });
/// App::new(routes, ()).serve(mongrel2).await
/// # }
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
    ///
    /// Each is logged at level WARN and reaches no handler. If it names its connection, the client gets a 400 response, and the connection is
    /// closed.
    malformed, add_malformed;
    /// Returns the number of clients that were disconnected because they did not read the messages of a
    /// [`Broadcast`](crate::Broadcast#slow-members).
    slow_clients, add_slow_clients;
}
