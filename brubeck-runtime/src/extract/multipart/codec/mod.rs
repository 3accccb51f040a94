//! The format of multipart forms: RFC 7578 and RFC 2046, as the browsers of the WHATWG send it.
//!
//! The decoder has no I/O. It takes the body in chunks of any size, and its events do not depend on where the chunks are split. It holds at
//! most the header of one part, or a possible delimiter, next to the chunk that it was given.

mod decoder;
mod part_head;

pub use decoder::{DecodeError, Decoder, FormEvent, MAX_HEADER_BYTES};
pub use part_head::{PartHead, boundary};
