//! brubeck's own service wire: sessions, deadlines, credit, cancellation, heartbeats, and a code on every message.
//!
//! `docs/protocol.md` describes it byte by byte. This module turns frames into messages and back; what the messages
//! lead to is decided elsewhere.
//!
//! ```
//! use brubeck_runtime::wire::v2::{Ask, Envelope, Key, Message, Place, Request, seal};
//!
//! let key = Key::new(b"of this session, in this direction");
//! let ask = Ask::new("request", "/service/slow");
//! let request = Message::Request(Request { call: 1, deadline: 10_000, more: false, ask: ask.into() });
//! let frames = seal(&request, Place { session: 7, counter: 2, ack: 1 }, &key)?;
//!
//! let envelope = Envelope::read(&frames)?;
//! assert_eq!(envelope.head().session, 7);
//! assert_eq!(envelope.open(&key).unwrap().unwrap(), request);
//! assert!(envelope.open(&Key::new(b"another")).is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod envelope;
mod field;
mod handshake;
mod head;
pub mod limits;
mod message;

pub use crate::codec::{EncodeError, Text};
pub use envelope::{Envelope, Place, Unreadable, plain, seal};
pub use handshake::{Denial, Hello, Key, MAC, Proof, SessionKeys, Welcome};
pub use head::{Head, Kind, MAGIC, VERSION};
pub use message::{Ask, Code, Failure, Message, Reply, Request};

use bytes::Bytes;

/// Whether these frames are meant to be of this wire. The other dialects begin with a space, a digit or an empty frame.
#[must_use]
pub fn is_v2(frames: &[Bytes]) -> bool {
    frames.first().is_some_and(|frame| frame.starts_with(&MAGIC))
}
