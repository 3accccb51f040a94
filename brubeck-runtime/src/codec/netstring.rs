//! The netstring: a length-prefixed string that ends with a comma, `5:hello,`.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Cursor, ParseError, lenstr};

/// Decodes a netstring.
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
/// Returns the errors of [`Cursor::read_length`], and [`ParseError::Expected`] if the comma is missing.
pub fn decode(cursor: &mut Cursor<'_>) -> Result<Bytes, ParseError> {
    let value = lenstr::decode(cursor)?;
    cursor.expect(b',', "the `,` that ends a netstring")?;
    Ok(value)
}

/// Encodes a netstring.
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
