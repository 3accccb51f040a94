//! Limits, queue sizes and timeouts. The defaults suit a service on a trusted network.

use std::time::Duration;

use crate::listener::OWNER_ONLY;

/// The linger time of a socket that is dropped instead of shut down. Accepted messages are sent for at most this long.
pub const LINGER: Duration = Duration::from_secs(1);

/// Capacity of a send queue, in messages: the default for links, fixed for other queues.
pub(crate) const OUTBOUND_MESSAGES: usize = 1024;

/// Maximum number of frames in a message: the default for servers and clients.
pub(crate) const MAX_FRAMES: usize = 16;

/// Limits of a [`RouterServer`](crate::RouterServer) on its peers.
///
/// ```
/// use brubeck_zmtp::ServerLimits;
///
/// let limits = ServerLimits { max_message_bytes: 1 << 20, ..ServerLimits::default() };
/// assert_eq!(limits.max_frames, 16);
/// ```
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// Capacity of the event queue, in events. While the queue is full, each connection holds one message that waits for
    /// space, and reads no further. Default: 1024. 0 counts as 1.
    pub inbound_messages: usize,
    /// Capacity of the event queue, in bytes. A message of any size is added as long as some space is left. Default: 64 MiB.
    pub inbound_bytes: usize,
    /// Maximum size of a message from a peer, in bytes, all frames together. A larger message closes the connection.
    /// Default: 8 MiB.
    pub max_message_bytes: usize,
    /// Maximum number of frames in a message from a peer. More frames close the connection. Default: 16.
    pub max_frames: usize,
    /// Timeout of the handshake with a peer, from the accepted connection on. A peer that takes longer is disconnected. Default:
    /// 5 s.
    pub handshake_timeout: Duration,
    /// If set, a peer with [credentials](crate::WrappedStream::credentials) must be [admitted](crate::ServerSender::admit) within
    /// `handshake_timeout`, which also counts as part of its handshake. Until then, a message from it has at most this number of
    /// bytes. Default: `None`.
    pub unadmitted_message_bytes: Option<usize>,
    /// Maximum number of connections. On Linux, the maximum is lowered if it exceeds the limit of open files minus 64, which are
    /// reserved for the rest of the process. For this limit and the next two see
    /// [`ConnectionLimits`](crate::ConnectionLimits). Default: 4096.
    pub max_connections: usize,
    /// Maximum number of connections from one address. Does not apply to Unix sockets. Default: 1024.
    pub max_connections_per_address: usize,
    /// Maximum number of connections whose handshake is not complete. Default: 512.
    pub max_handshakes: usize,
    /// A peer is disconnected if it accepts no bytes for this long while messages to it are waiting. Default: 10 s.
    pub write_stall_timeout: Duration,
    /// Capacity of the queue to one peer, in bytes, including messages that are being written. A peer whose queue overflows
    /// is disconnected. An empty queue accepts a message of any size. Default: 64 MiB.
    pub peer_queue_bytes: usize,
    /// Capacity of the queue to one peer, in messages, including messages that are being written. A peer whose queue
    /// overflows is disconnected. Default: 16,384. 0 counts as 1.
    pub peer_queue_messages: usize,
    /// Mode of the file of a Unix socket. Default: 0600, so that only the user of this process can connect.
    pub ipc_mode: u32,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            inbound_messages: 1024,
            inbound_bytes: 64 << 20,
            max_message_bytes: 8 << 20,
            max_frames: MAX_FRAMES,
            handshake_timeout: Duration::from_secs(5),
            unadmitted_message_bytes: None,
            max_connections: 4096,
            max_connections_per_address: 1024,
            max_handshakes: 512,
            write_stall_timeout: Duration::from_secs(10),
            peer_queue_bytes: 64 << 20,
            peer_queue_messages: 16_384,
            ipc_mode: OWNER_ONLY,
        }
    }
}

/// Timeouts and queue sizes of a link, such as a [`DealerClient`](crate::DealerClient).
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
    /// Timeout of one attempt to connect, including the handshake. Default: 2 s.
    pub connect_timeout: Duration,
    /// First backoff, after a failed attempt or a lost connection. The backoff doubles each time. It restarts at this value after
    /// a connection that lasted for at least 1 s or on which the peer responded. Each wait is random, between half of the
    /// backoff and all of it. Default: 50 ms, minimum: 1 ms.
    pub backoff_min: Duration,
    /// Maximum backoff. While nothing listens at an endpoint of this machine, attempts are at most 100 ms apart. Default: 5 s.
    pub backoff_max: Duration,
    /// Capacity of the event queue, in events. While the queue is full, the socket is not read. Default: 1024. 0 counts as
    /// 1.
    pub inbound_messages: usize,
    /// Capacity of the event queue, in bytes. A message of any size is added as long as some space is left. Default: 64 MiB.
    pub inbound_bytes: usize,
    /// Capacity of the send queue, in messages. While the queue is full, sending waits or fails. Default: 1024. 0 counts
    /// as 1.
    pub outbound_messages: usize,
    /// Maximum size of a message from the peer, in bytes, all frames together. A larger message closes the connection.
    /// Default: 256 MiB.
    pub max_message_bytes: usize,
    /// Maximum number of frames in a message from the peer. More frames close the connection. Default: 16.
    pub max_frames: usize,
    /// A peer is disconnected if it accepts no bytes for this long while messages to it are waiting. Default: 10 s.
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
            max_frames: MAX_FRAMES,
            write_stall_timeout: Duration::from_secs(10),
        }
    }
}
