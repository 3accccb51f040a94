//! Limits and times, each with a default that suits a service on a trusted network.

use std::time::Duration;

/// How long a link that is dropped, not shut down, goes on sending what it had accepted.
pub const LINGER: Duration = Duration::from_secs(1);

/// Messages that can wait between the handlers and a socket, on the way out.
pub(crate) const OUTBOX: usize = 1024;

/// Messages taken from an outbox before other sockets get their turn.
pub(crate) const BATCH: usize = 64;

/// What a [`Server`](super::Server) grants its peers.
///
/// ```
/// use brubeck_runtime::transport::Limits;
///
/// let limits = Limits { inbound_messages: 64, ..Limits::default() };
/// assert_eq!(limits.inbound_bytes, 64 << 20);
/// ```
#[derive(Clone, Debug)]
pub struct Limits {
    /// Events that may wait for the handlers; then the sockets are not read. Default 1024.
    pub inbound_messages: usize,
    /// Bytes that may wait for the handlers; then the sockets are not read. One message may go beyond. Default 64 MiB.
    pub inbound_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inbound_messages: 1024,
            inbound_bytes: 64 << 20,
        }
    }
}

/// Times and queue sizes of a link that connects: [`Client`](super::Client) and [`Mongrel2Link`](super::Mongrel2Link).
#[derive(Clone, Debug)]
pub struct Timing {
    /// How long one attempt to connect may take, handshake included. Default 2 s.
    pub connect: Duration,
    /// The wait after the first failure; it doubles with each one that follows. Default 50 ms.
    pub backoff_min: Duration,
    /// The longest wait between two attempts. Default 5 s.
    pub backoff_max: Duration,
    /// How long Mongrel2 may take to send its subscription before that is logged. Default 5 s.
    pub subscription: Duration,
    /// Events that may wait for the receiver; then the socket is not read. Default 1024.
    pub inbound_messages: usize,
    /// Bytes that may wait for the receiver; then the socket is not read. One message may go beyond. Default 64 MiB.
    pub inbound_bytes: usize,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(5),
            subscription: Duration::from_secs(5),
            inbound_messages: 1024,
            inbound_bytes: 64 << 20,
        }
    }
}
