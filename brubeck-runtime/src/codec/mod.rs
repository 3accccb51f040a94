//! Building blocks of the message codecs: a cursor over untrusted bytes, length-prefixed strings, and the errors of both
//! directions.
//!
//! A decoder that is built on [`Cursor`] is a pure function. It returns slices of its input where it can, checks every length against
//! the remaining bytes before it uses it, and never panics; its error contains a [`ParseError`]. An encoder returns an [`EncodeError`]
//! for a value that the peer could not parse.

mod cursor;
pub mod lenstr;
pub mod netstring;
pub mod tnetstring;

pub(crate) use cursor::truncated;
pub use cursor::{ByteStr, Cursor, EncodeError, ParseError};
