//! The building blocks of every codec: a cursor over bytes from outside, its errors, and the strings that say their length.
//!
//! Everything here is a pure function over [`bytes::Bytes`]. Decoders slice the input instead of copying it, check every
//! length against what is really there before they use it, and answer any bytes with a value or an [`ParseError`], never
//! with a panic. Encoders refuse, with an [`EncodeError`], what the other side could not read.

mod cursor;
pub mod lenstr;
pub mod netstring;
pub mod tnetstring;

pub use cursor::{ByteStr, Cursor, EncodeError, ParseError};
