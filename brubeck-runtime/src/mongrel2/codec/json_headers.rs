//! The JSON header block of a request.
//!
//! Mongrel2 escapes only `"` and `\`, and copies every other byte. So its strings may contain control bytes and bytes
//! that are not UTF-8, which a JSON parser would refuse. The grammar is small: one object whose values are strings or
//! arrays of strings.
//!
//! The decoder also accepts the other escapes of JSON, for test servers that use a JSON library. A client cannot
//! inject them: a backslash that a client sent arrives as `\\`, and escapes are read from left to right.

use bytes::{BufMut, Bytes, BytesMut};

use super::Mongrel2Headers;
use crate::codec::{Cursor, ParseError};

/// Decodes the header block that fills `cursor`.
pub(super) fn decode(mut cursor: Cursor<'_>) -> Result<Mongrel2Headers, ParseError> {
    let mut headers = Mongrel2Headers::with_capacity_for(cursor.remaining());
    cursor.skip_whitespace();
    cursor.expect(b'{', "the `{` of the headers")?;
    cursor.skip_whitespace();
    if cursor.peek() == Some(b'}') {
        cursor.expect(b'}', "`}`")?;
    } else {
        loop {
            member(&mut cursor, &mut headers)?;
            if !has_more(&mut cursor, b'}', "`,` or `}` after a header")? {
                break;
            }
        }
    }
    cursor.skip_whitespace();
    cursor.expect_end()?;
    Ok(headers)
}

fn member(cursor: &mut Cursor<'_>, headers: &mut Mongrel2Headers) -> Result<(), ParseError> {
    let name = string(cursor, "a header name in quotes")?;
    cursor.skip_whitespace();
    cursor.expect(b':', "the `:` after a header name")?;
    cursor.skip_whitespace();
    let at = cursor.position();
    if cursor.peek() != Some(b'[') {
        let value = string(cursor, "a header value: a string or an array of strings")?;
        return headers.push(at, name, value);
    }
    cursor.expect(b'[', "`[`")?;
    cursor.skip_whitespace();
    if cursor.peek() == Some(b']') {
        return cursor.expect(b']', "`]`");
    }
    loop {
        let at = cursor.position();
        let value = string(cursor, "a header value in quotes")?;
        headers.push(at, name.clone(), value)?;
        if !has_more(cursor, b']', "`,` or `]` after a header value")? {
            return Ok(());
        }
    }
}

/// Skips a `,` and returns `true`, or skips `close` and returns `false`.
fn has_more(cursor: &mut Cursor<'_>, close: u8, expected: &'static str) -> Result<bool, ParseError> {
    cursor.skip_whitespace();
    let more = cursor.peek() == Some(b',');
    cursor.expect(if more { b',' } else { close }, expected)?;
    cursor.skip_whitespace();
    Ok(more)
}

fn string(cursor: &mut Cursor<'_>, expected: &'static str) -> Result<Bytes, ParseError> {
    cursor.expect(b'"', expected)?;
    let mut unescaped = BytesMut::new();
    loop {
        let plain = plain_run(cursor)?;
        if cursor.peek() == Some(b'"') {
            cursor.expect(b'"', "`\"`")?;
            // Most strings have no escapes, and are returned as slices of the frame without a copy.
            if unescaped.is_empty() {
                return Ok(plain);
            }
            unescaped.put_slice(&plain);
            return Ok(unescaped.freeze());
        }
        unescaped.put_slice(&plain);
        escape(cursor, &mut unescaped)?;
    }
}

/// Takes the bytes before the next quote or backslash.
fn plain_run(cursor: &mut Cursor<'_>) -> Result<Bytes, ParseError> {
    let end = cursor.rest().iter().position(|byte| matches!(byte, b'"' | b'\\'));
    let count = end.ok_or(ParseError::Expected {
        at: cursor.position() + cursor.remaining(),
        what: "the `\"` that ends a string",
    })?;
    cursor.take(count)
}

fn escape(cursor: &mut Cursor<'_>, output: &mut BytesMut) -> Result<(), ParseError> {
    let error = ParseError::Expected {
        at: cursor.position(),
        what: "a JSON escape",
    };
    cursor.expect(b'\\', "`\\`")?;
    let byte = match cursor.byte() {
        Some(byte @ (b'"' | b'\\' | b'/')) => byte,
        Some(b'b') => 0x08,
        Some(b'f') => 0x0c,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'u') => {
            let character = unicode(cursor).ok_or(error)?;
            output.put_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(());
        }
        _ => return Err(error),
    };
    output.put_u8(byte);
    Ok(())
}

/// Reads the digits of a `\u` escape. A character beyond U+FFFF takes two escapes, a surrogate pair.
fn unicode(cursor: &mut Cursor<'_>) -> Option<char> {
    let first = code_unit(cursor)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first);
    }
    let (Some(b'\\'), Some(b'u')) = (cursor.byte(), cursor.byte()) else {
        return None;
    };
    let second = code_unit(cursor)?
        .checked_sub(0xdc00)
        .filter(|&low| low < 0x400)?;
    char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + second)
}

/// Reads the four hexadecimal digits of a UTF-16 code unit.
fn code_unit(cursor: &mut Cursor<'_>) -> Option<u32> {
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit * 16 + char::from(cursor.byte()?).to_digit(16)?;
    }
    Some(unit)
}

/// Encodes a header block as Mongrel2 does.
pub(super) fn encode(headers: &Mongrel2Headers) -> BytesMut {
    let mut output = BytesMut::new();
    output.put_u8(b'{');
    for (index, group) in headers.groups().enumerate() {
        if index > 0 {
            output.put_u8(b',');
        }
        let list = group.len() > 1;
        for (index, (name, value)) in group.iter().enumerate() {
            if index > 0 {
                output.put_u8(b',');
            } else {
                quote(&mut output, name);
                output.put_slice(if list { b":[" } else { b":" });
            }
            quote(&mut output, value);
        }
        if list {
            output.put_u8(b']');
        }
    }
    output.put_u8(b'}');
    output
}

fn quote(output: &mut BytesMut, bytes: &[u8]) {
    output.put_u8(b'"');
    for &byte in bytes {
        if matches!(byte, b'"' | b'\\') {
            output.put_u8(b'\\');
        }
        output.put_u8(byte);
    }
    output.put_u8(b'"');
}
