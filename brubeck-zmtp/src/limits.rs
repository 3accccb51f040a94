//! Limits and times, each with a default that suits a service on a trusted network.

use std::time::Duration;

/// How long a link that is dropped, not shut down, goes on sending what it had accepted.
pub const LINGER: Duration = Duration::from_secs(1);

/// Messages that can wait between the handlers and a socket, on the way out.
pub const OUTBOX: usize = 1024;

/// The most frames of one message, where nothing else is said.
pub const FRAMES: usize = 16;

/// Messages taken from an outbox before other sockets get their turn.
pub const BATCH: usize = 64;

/// What a [`Server`](crate::Server) grants its peers.
///
/// ```
/// use brubeck_zmtp::Limits;
///
/// let limits = Limits { message_bytes: 1 << 20, ..Limits::default() };
/// assert_eq!(limits.frames, 16);
/// ```
#[derive(Clone, Debug)]
pub struct Limits {
    /// Events that may wait for the handlers; then the sockets are not read. Default 1024.
    pub inbound_messages: usize,
    /// Bytes that may wait for the handlers; then the sockets are not read. One message may go beyond. Default 64 MiB.
    pub inbound_bytes: usize,
    /// Bytes of one message a peer sends, all frames together. More closes its connection. Default 8 MiB.
    pub message_bytes: usize,
    /// Frames of one message a peer sends. More closes its connection. Default 16.
    pub frames: usize,
    /// How long a peer may take to say who it is. Default 5 s.
    pub handshake: Duration,
    /// Connections at once; further ones are closed. Lower where the limit of open files asks for it. Default 4096.
    pub connections: usize,
    /// Connections at once from one IP address; further ones are closed. Default 1024.
    pub connections_per_address: usize,
    /// Connections at once that have not said who they are; further ones are closed. Default 512.
    pub handshakes: usize,
    /// A peer that takes none of what it is sent for this long is cut off. Default 10 s.
    pub write_stall: Duration,
    /// Bytes that may wait for one peer to take them; then it is cut off. One message may go beyond. Default 64 MiB.
    pub queued_bytes: usize,
    /// Messages that may wait for one peer to take them; then it is cut off. Default 16,384.
    pub queued_messages: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inbound_messages: 1024,
            inbound_bytes: 64 << 20,
            message_bytes: 8 << 20,
            frames: FRAMES,
            handshake: Duration::from_secs(5),
            connections: 4096,
            connections_per_address: 1024,
            handshakes: 512,
            write_stall: Duration::from_secs(10),
            queued_bytes: 64 << 20,
            queued_messages: 16_384,
        }
    }
}

/// Times and queue sizes of a link that connects.
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
    /// Messages that may wait for the socket; then sending waits, or is refused. Default 1024.
    pub outbound_messages: usize,
    /// Bytes of one message a server sends to a [`Client`](crate::Client), all frames together. More ends the connection.
    /// Default 256 MiB.
    pub message_bytes: usize,
    /// A server that takes none of what a [`Client`](crate::Client) sends for this long is lost. Default 10 s.
    pub write_stall: Duration,
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
            outbound_messages: OUTBOX,
            message_bytes: 256 << 20,
            write_stall: Duration::from_secs(10),
        }
    }
}
