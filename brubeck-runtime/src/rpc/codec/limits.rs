//! The limits of a message. The encoder and the decoder both enforce them, unless stated otherwise.

/// The maximum length of a path, in bytes.
pub const MAX_PATH: usize = 8 << 10;
/// The maximum length of a method, in bytes.
pub const MAX_METHOD: usize = 16;
/// The maximum length of the name of an operation, in bytes.
pub const MAX_OPERATION: usize = 256;
/// The maximum number of headers.
pub const MAX_HEADERS: usize = 100;
/// The maximum length of all header names and values together, in bytes.
pub const MAX_HEADER_BYTES: usize = 16 << 10;
/// The maximum length of a `traceparent`, in bytes.
pub const MAX_TRACEPARENT: usize = 64;
/// The maximum length of a `tracestate`, in bytes.
pub const MAX_TRACESTATE: usize = 512;
/// The maximum length of the message of a status or an error, in bytes.
pub const MAX_MESSAGE: usize = 1 << 10;
/// The maximum length of the name of a caller or a worker, in bytes.
pub const MAX_NAME: usize = 64;
/// The maximum number of parts beside a body.
pub const MAX_PARTS: usize = 64;
/// The maximum number of frames of a message: a head, a body, and its parts.
pub const MAX_FRAMES: usize = MAX_PARTS + 2;
/// The maximum number of operations whose digests are in a `welcome`.
pub const MAX_CONTRACTS: usize = 1 << 10;
/// The maximum length of the list of the operations of a worker, in bytes.
pub const MAX_OPERATION_LIST: usize = 256 << 10;
/// The maximum length of a head frame, in bytes. Only the decoder checks it: the other limits keep encoded heads below it.
pub const MAX_HEAD: usize = 32 << 10;
/// The maximum length of a `hello`, in bytes. Workers enforce it.
pub const MAX_HANDSHAKE_MESSAGE: usize = 512;
/// The maximum length of a message before the session is open, in bytes. The sockets of workers enforce it.
pub const MAX_UNADMITTED_MESSAGE: usize = 2 << 10;
/// The maximum depth of nested calls. Callers and workers enforce it, the codec does not.
pub const MAX_HOPS: u8 = 16;
/// The default maximum length of a body and its parts together, in bytes: 8 MiB. Callers and workers enforce the configured one,
/// the codec does not.
pub const MAX_BODY: usize = 8 << 20;
