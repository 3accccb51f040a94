//! Limits, queue sizes and timeouts. The defaults suit a service on a trusted network.

use std::time::Duration;

/// Time for which a socket that is dropped, not shut down, goes on sending what it had accepted.
pub const LINGER: Duration = Duration::from_secs(1);

/// Messages that may wait between the user and a socket, by default.
pub(crate) const OUTBOUND_MESSAGES: usize = 1024;

/// Frames of one message, by default.
pub(crate) const MAX_FRAMES: usize = 16;

/// Limits of a [`Server`](crate::Server) on its peers.
///
/// ```
/// use brubeck_zmtp::ServerLimits;
///
/// let limits = ServerLimits { max_message_bytes: 1 << 20, ..ServerLimits::default() };
/// assert_eq!(limits.max_frames, 16);
/// ```
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// Events that may wait for the user; beyond it the sockets are not read. Default 1024.
    pub inbound_messages: usize,
    /// Bytes that may wait for the user; beyond it the sockets are not read. One message may exceed it. Default 64 MiB.
    pub inbound_bytes: usize,
    /// Bytes of one message from a peer, all frames together. More closes its connection. Default 8 MiB.
    pub max_message_bytes: usize,
    /// Frames of one message from a peer. More closes its connection. Default 16.
    pub max_frames: usize,
    /// Time for the handshake of a peer. Default 5 s.
    pub handshake_timeout: Duration,
    /// Connections at the same time; further ones are closed. Set it below the limit of open files. Default 4096.
    pub max_connections: usize,
    /// Connections at the same time from one IP address; further ones are closed. Default 1024.
    pub max_connections_per_address: usize,
    /// Connections at the same time that have not completed their handshake; further ones are closed. Default 512.
    pub max_handshakes: usize,
    /// A peer that takes none of its messages for this long is disconnected. Default 10 s.
    pub write_stall_timeout: Duration,
    /// Bytes that may wait for one peer to take them; beyond it the peer is disconnected. One message may exceed it.
    /// Default 64 MiB.
    pub peer_queue_bytes: usize,
    /// Messages that may wait for one peer to take them; beyond it the peer is disconnected. Default 16,384.
    pub peer_queue_messages: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            inbound_messages: 1024,
            inbound_bytes: 64 << 20,
            max_message_bytes: 8 << 20,
            max_frames: MAX_FRAMES,
            handshake_timeout: Duration::from_secs(5),
            max_connections: 4096,
            max_connections_per_address: 1024,
            max_handshakes: 512,
            write_stall_timeout: Duration::from_secs(10),
            peer_queue_bytes: 64 << 20,
            peer_queue_messages: 16_384,
        }
    }
}

/// Timeouts and queue sizes of a link, such as a [`Client`](crate::Client).
///
/// ```
/// use brubeck_zmtp::LinkConfig;
/// use std::time::Duration;
///
/// let config = LinkConfig { connect_timeout: Duration::from_secs(5), ..LinkConfig::default() };
/// assert_eq!(config.backoff_max, Duration::from_secs(5));
/// ```
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// Time for one attempt to connect, handshake included. Default 2 s.
    pub connect_timeout: Duration,
    /// The wait after the first failure; it doubles with each that follows. Default 50 ms.
    pub backoff_min: Duration,
    /// The longest wait between two attempts. Default 5 s.
    pub backoff_max: Duration,
    /// Events that may wait for the user; beyond it the socket is not read. Default 1024.
    pub inbound_messages: usize,
    /// Bytes that may wait for the user; beyond it the socket is not read. One message may exceed it. Default 64 MiB.
    pub inbound_bytes: usize,
    /// Messages that may wait for the socket; beyond it sending waits, or fails. Default 1024.
    pub outbound_messages: usize,
    /// Bytes of one message from the peer, all frames together. More ends the connection. Default 256 MiB.
    pub max_message_bytes: usize,
    /// A peer that takes none of its messages for this long is disconnected. Default 10 s.
    pub write_stall_timeout: Duration,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(5),
            inbound_messages: 1024,
            inbound_bytes: 64 << 20,
            outbound_messages: OUTBOUND_MESSAGES,
            max_message_bytes: 256 << 20,
            write_stall_timeout: Duration::from_secs(10),
        }
    }
}
