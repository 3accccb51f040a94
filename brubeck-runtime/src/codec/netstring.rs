//! The netstring: `5:hello,`, a length-prefixed string closed by a comma.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Cursor, ParseError, lenstr};

/// Reads one netstring.
///
/// ```
/// use brubeck_runtime::wire::{Cursor, netstring};
/// use bytes::Bytes;
///
/// let input = Bytes::from_static(b"5:hello,0:,");
/// let mut cursor = Cursor::new(&input);
/// assert_eq!(netstring::decode(&mut cursor)?, "hello");
/// assert_eq!(netstring::decode(&mut cursor)?, "");
/// # Ok::<(), brubeck_runtime::wire::ParseError>(())
/// ```
///
/// # Errors
/// Those of [`Cursor::read_length`], and [`ParseError::Expected`] if the comma is missing.
pub fn decode(cursor: &mut Cursor<'_>) -> Result<Bytes, ParseError> {
    let value = lenstr::decode(cursor)?;
    cursor.expect(b',', "the `,` that ends a netstring")?;
    Ok(value)
}

/// Writes one netstring.
///
/// ```
/// let mut output = bytes::BytesMut::new();
/// brubeck_runtime::wire::netstring::encode(&mut output, b"hello");
/// assert_eq!(output, "5:hello,");
/// ```
pub fn encode(output: &mut BytesMut, value: &[u8]) {
    lenstr::encode(output, value);
    output.put_u8(b',');
}
