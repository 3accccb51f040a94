//! What one message may hold. A decoder reads nothing beyond, an encoder writes nothing beyond.

/// The longest path, in bytes.
pub const MAX_PATH: usize = 8 << 10;
/// The longest method, in bytes.
pub const MAX_METHOD: usize = 16;
/// The most headers.
pub const MAX_HEADERS: usize = 100;
/// The most bytes of all header names and values together.
pub const MAX_HEADER_BYTES: usize = 16 << 10;
/// The longest `traceparent`, in bytes.
pub const MAX_TRACEPARENT: usize = 64;
/// The longest `tracestate`, in bytes.
pub const MAX_TRACESTATE: usize = 512;
/// The longest text that goes with a status or an error, in bytes.
pub const MAX_MESSAGE: usize = 1 << 10;
/// The longest name of a caller or worker, in bytes.
pub const MAX_NAME: usize = 64;
/// The longest head frame, in bytes.
pub const MAX_HEAD: usize = 32 << 10;
/// The longest message of a peer that has not proved anything yet, in bytes, all frames together.
pub const MAX_HANDSHAKE_MESSAGE: usize = 512;
/// How many calls may have led to one another.
pub const MAX_HOPS: u8 = 16;
/// The largest body where nothing else is said, in bytes: 8 MiB.
pub const MAX_BODY: usize = 8 << 20;
