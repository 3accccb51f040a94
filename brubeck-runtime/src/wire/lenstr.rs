//! The length-prefixed string of the service wire: `5:hello`.
//!
//! `length ":" octets`, the length counting bytes. It is no netstring: no comma follows.

use std::fmt::Write;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Cursor, Error};

/// Reads one string.
///
/// ```
/// use brubeck_runtime::wire::{Cursor, lenstr};
/// use bytes::Bytes;
///
/// let input = Bytes::from_static(b"007:caf\xc3\xa9 \xff");
/// assert_eq!(lenstr::decode(&mut Cursor::new(&input))?, &b"caf\xc3\xa9 \xff"[..]);
/// # Ok::<(), brubeck_runtime::wire::Error>(())
/// ```
///
/// # Errors
/// Those of [`Cursor::length`].
pub fn decode(cursor: &mut Cursor<'_>) -> Result<Bytes, Error> {
    let length = cursor.length()?;
    cursor.take(length)
}

/// Writes one string.
///
/// ```
/// let mut output = bytes::BytesMut::new();
/// brubeck_runtime::wire::lenstr::encode(&mut output, b"hello");
/// assert_eq!(output, "5:hello");
/// ```
pub fn encode(output: &mut BytesMut, value: &[u8]) {
    // Writing into a `BytesMut` grows it and cannot fail.
    let _ = write!(output, "{}:", value.len());
    output.put_slice(value);
}
