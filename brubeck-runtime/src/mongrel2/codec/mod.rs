//! The messages between Mongrel2 and its handlers.
//!
//! Mongrel2 sends requests and notices, which [`decode`] reads. It receives replies, which [`reply()`] and [`close`]
//! write, and commands, which [`control`] writes. Each message is one ZeroMQ frame.
//!
//! ```
//! use brubeck_runtime::wire::mongrel2::{self, Incoming};
//! use bytes::Bytes;
//!
//! let frame = Bytes::from_static(br#"m2-1 7 /hi 29:{"PATH":"/hi","METHOD":"GET"},0:,"#);
//! let Incoming::Request(request) = mongrel2::decode(&frame)? else { panic!("expected a request") };
//! assert_eq!(request.path, "/hi");
//! assert_eq!(request.headers.method().unwrap(), "GET");
//!
//! for frame in mongrel2::reply(&request.ident, &[&request.conn_id], b"HTTP/1.1 204 No Content\r\n\r\n")? {
//!     assert_eq!(frame, "m2-1 1:7, HTTP/1.1 204 No Content\r\n\r\n");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod headers;
mod json_headers;
mod reply;
mod request;
mod tnetstring_headers;

pub use headers::{MAX_HEADER_VALUES, Mongrel2Headers};
pub use reply::{
    ControlCommand, MAX_TARGETS, Mongrel2Reply, ReplyFrames, close, control, decode_reply, reply,
};
pub use request::{Incoming, Mongrel2DecodeError, Mongrel2Request, Protocol, decode};
