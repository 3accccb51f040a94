//! The codec of brubeck's protocol, version 3 (exported as the module `wire::v3`): encodes messages to frames and decodes them.
//!
//! `docs/protocol.md` specifies the encoding byte by byte.
//!
//! ```
//! use brubeck_runtime::wire::v3::{CallRequest, Position, RawMessage, WireMessage, WireRequest, encode};
//!
//! let call = CallRequest::new("request", "/service/slow");
//! let request = WireMessage::Request(WireRequest { id: 1, timeout_ms: 10_000, more_waiting: false, call: call.into() });
//! let frames = encode(&request, Position { session: 7, counter: 2, ack: 1 })?;
//!
//! let raw = RawMessage::read(&frames)?;
//! assert_eq!(raw.head().session, 7);
//! assert_eq!(raw.decode().unwrap(), request);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod body;
mod field;
mod handshake;
mod head;
pub mod limits;
mod message;
mod operations;
mod raw_message;
mod reply;
mod request;
mod shorten;

pub use crate::codec::{ByteStr, EncodeError};
pub use crate::outcome::Outcome;
pub use handshake::{Denial, Hello, Welcome};
pub use head::{MAGIC, MessageHead, MessageKind, VERSION};
pub use message::WireMessage;
pub(in crate::rpc) use operations::declares_differently;
pub use operations::{
    ContractDigest, DeclaredArgument, OPERATION_LIST, OperationDeclaration, RESERVED_OPERATIONS,
    ServedOperations, name_digest, read_operation_list,
};
pub use raw_message::{InvalidMessage, Position, RawMessage, encode};
pub use reply::{ErrorCode, ErrorReply, WireReply};
pub use request::{CallRequest, WireRequest};

use bytes::Bytes;

/// Returns whether a message belongs to brubeck's protocol, in any version: its first frame begins with [`MAGIC`].
///
/// The rest of the message is not checked, so [`RawMessage::read`] may still reject it.
#[must_use]
pub fn has_magic(frames: &[Bytes]) -> bool {
    frames.first().is_some_and(|frame| frame.starts_with(&MAGIC))
}
