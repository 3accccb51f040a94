//! Bytes to messages and back: the formats that cross brubeck's sockets.
//!
//! Everything here is a pure function over [`bytes::Bytes`]. Decoders slice the input instead of copying it, check every
//! length against what is really there before they use it, and answer any bytes with a value or an [`Error`], never
//! with a panic. Encoders refuse, with an [`EncodeError`], what the other side could not read.
//!
//! ```
//! use brubeck_runtime::wire::{Cursor, lenstr};
//! use bytes::Bytes;
//!
//! let input = Bytes::from_static(b"5:hello2:{}");
//! let mut cursor = Cursor::new(&input);
//! assert_eq!(lenstr::decode(&mut cursor)?, "hello");
//! assert_eq!(lenstr::decode(&mut cursor)?, "{}");
//! cursor.end()?;
//! # Ok::<(), brubeck_runtime::wire::Error>(())
//! ```

mod cursor;
#[cfg(feature = "deflate")]
pub mod deflate;
mod error;
pub mod lenstr;
pub mod mongrel2;
pub mod netstring;
pub mod service;
pub mod tnetstring;
pub mod v2;
pub mod websocket;

pub use cursor::Cursor;
pub use error::{EncodeError, Error};
