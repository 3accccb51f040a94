//! Building blocks of the codecs: a cursor over untrusted bytes, its errors, and length-prefixed strings.
//!
//! All codecs are pure functions of [`bytes::Bytes`]. Decoders slice their input instead of copying it, and check a length
//! against the remaining bytes before they use it. For any input they return a value or a [`ParseError`]; they never panic.
//! Encoders whose input can have values that the peer could not parse return an [`EncodeError`].

mod cursor;
pub mod lenstr;
pub mod netstring;
pub mod tnetstring;

pub use cursor::{ByteStr, Cursor, EncodeError, ParseError};
