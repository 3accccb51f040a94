//! Field encodings: big-endian numbers, and texts with a length prefix.

use bytes::{BufMut, BytesMut};

use super::ByteStr;
use super::limits::{MAX_HEADER_BYTES, MAX_HEADERS};
use crate::codec::{Cursor, EncodeError, ParseError};

fn array<const N: usize>(cursor: &mut Cursor<'_>) -> Result<[u8; N], ParseError> {
    let field = cursor.split_to(N)?;
    field.rest().try_into().map_err(|_| ParseError::Truncated {
        at: field.position(),
        needed: N as u64,
        left: field.remaining(),
    })
}

pub(super) fn u8(cursor: &mut Cursor<'_>) -> Result<u8, ParseError> {
    array::<1>(cursor).map(u8::from_be_bytes)
}

pub(super) fn u16(cursor: &mut Cursor<'_>) -> Result<u16, ParseError> {
    array(cursor).map(u16::from_be_bytes)
}

pub(super) fn u32(cursor: &mut Cursor<'_>) -> Result<u32, ParseError> {
    array(cursor).map(u32::from_be_bytes)
}

pub(super) fn i32(cursor: &mut Cursor<'_>) -> Result<i32, ParseError> {
    array(cursor).map(i32::from_be_bytes)
}

pub(super) fn u64(cursor: &mut Cursor<'_>) -> Result<u64, ParseError> {
    array(cursor).map(u64::from_be_bytes)
}

pub(super) fn bytes32(cursor: &mut Cursor<'_>) -> Result<[u8; 32], ParseError> {
    array(cursor)
}

/// Reads a text with a length prefix of one byte.
pub(super) fn short_text(
    cursor: &mut Cursor<'_>,
    max: usize,
    what: &'static str,
) -> Result<ByteStr, ParseError> {
    let length = u8(cursor)?;
    text_of(cursor, length.into(), max, what)
}

/// Reads a text with a length prefix of two bytes.
pub(super) fn text(cursor: &mut Cursor<'_>, max: usize, what: &'static str) -> Result<ByteStr, ParseError> {
    let length = u16(cursor)?;
    text_of(cursor, length.into(), max, what)
}

fn text_of(
    cursor: &mut Cursor<'_>,
    length: usize,
    max: usize,
    what: &'static str,
) -> Result<ByteStr, ParseError> {
    let at = cursor.position();
    if length > max {
        return Err(ParseError::Expected { at, what });
    }
    ByteStr::from_utf8(cursor.take(length)?).ok_or(ParseError::Expected { at, what })
}

pub(super) fn headers(cursor: &mut Cursor<'_>) -> Result<Vec<(ByteStr, ByteStr)>, ParseError> {
    const WHAT: &str = "at most 16 KiB of headers in UTF-8";
    let at = cursor.position();
    let count = usize::from(u8(cursor)?);
    if count > MAX_HEADERS {
        return Err(ParseError::TooMany {
            at,
            limit: MAX_HEADERS,
        });
    }
    // A header takes at least four bytes, so the allocation is bounded by the length of the frame.
    let mut headers = Vec::with_capacity(count.min(cursor.remaining() / 4));
    let mut remaining = MAX_HEADER_BYTES;
    for _ in 0..count {
        let name = text(cursor, remaining, WHAT)?;
        remaining -= name.len();
        let value = text(cursor, remaining, WHAT)?;
        remaining -= value.len();
        headers.push((name, value));
    }
    Ok(headers)
}

pub(super) fn put_short_text(out: &mut BytesMut, text: &ByteStr) {
    // `validate` has rejected longer texts. Truncating only keeps the length consistent with the text.
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    out.put_u8(length);
    out.put_slice(text.as_bytes().get(..length.into()).unwrap_or_default());
}

pub(super) fn put_text(out: &mut BytesMut, text: &ByteStr) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.put_u16(length);
    out.put_slice(text.as_bytes().get(..length.into()).unwrap_or_default());
}

/// Returns the number of bytes that [`put_headers`] writes.
pub(super) fn headers_encoded_len(headers: &[(ByteStr, ByteStr)]) -> usize {
    let each = headers.iter().map(|(name, value)| 4 + name.len() + value.len());
    1 + each.sum::<usize>()
}

pub(super) fn put_headers(out: &mut BytesMut, headers: &[(ByteStr, ByteStr)]) {
    out.put_u8(u8::try_from(headers.len()).unwrap_or(u8::MAX));
    for (name, value) in headers {
        put_text(out, name);
        put_text(out, value);
    }
}

/// Returns an error if a text is longer than the receiver accepts.
pub(super) fn check_length(text: &ByteStr, max: usize, field: &'static str) -> Result<(), EncodeError> {
    if text.len() > max {
        return Err(EncodeError::new(
            field,
            "it exceeds its length limit in brubeck's protocol; shorten it or move it into the body",
        ));
    }
    Ok(())
}

/// Returns an error if there are more headers than the receiver accepts, or if their names and values are longer together.
pub(super) fn check_headers(headers: &[(ByteStr, ByteStr)]) -> Result<(), EncodeError> {
    if headers.len() > MAX_HEADERS {
        return Err(EncodeError::new(
            "headers",
            "there are more than 100; move some into the body",
        ));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MAX_HEADER_BYTES {
        return Err(EncodeError::new(
            "headers",
            "their names and values exceed 16 KiB; move some into the body",
        ));
    }
    Ok(())
}
