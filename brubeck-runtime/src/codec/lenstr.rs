//! The length-prefixed string of the dialects: `5:hello`.
//!
//! Its grammar is `length ":" bytes`. Unlike a netstring, it has no comma at its end.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Cursor, ParseError};

/// Decodes a string.
///
/// ```
/// use brubeck_runtime::wire::{Cursor, lenstr};
/// use bytes::Bytes;
///
/// let input = Bytes::from_static(b"007:caf\xc3\xa9 \xff");
/// assert_eq!(lenstr::decode(&mut Cursor::new(&input))?, &b"caf\xc3\xa9 \xff"[..]);
/// # Ok::<(), brubeck_runtime::wire::ParseError>(())
/// ```
///
/// # Errors
/// Returns the errors of [`Cursor::read_length`].
pub fn decode(cursor: &mut Cursor<'_>) -> Result<Bytes, ParseError> {
    let length = cursor.read_length()?;
    cursor.take(length)
}

/// Encodes a string.
///
/// ```
/// let mut output = bytes::BytesMut::new();
/// brubeck_runtime::wire::lenstr::encode(&mut output, b"hello");
/// assert_eq!(output, "5:hello");
/// ```
pub fn encode(output: &mut BytesMut, value: &[u8]) {
    encode_length(output, value.len());
    output.put_slice(value);
}

/// Encodes the length of a string and its `:`. `std::fmt` would take several times as long.
pub(crate) fn encode_length(output: &mut BytesMut, length: usize) {
    let mut digits = [0; 20];
    // 20 digits are enough for a `usize` of 64 bits. They are filled from the end.
    let (mut left, mut count) = (length, 0);
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
        count += 1;
        if left == 0 {
            break;
        }
    }
    output.put_slice(digits.get(digits.len() - count..).unwrap_or_default());
    output.put_u8(b':');
}
