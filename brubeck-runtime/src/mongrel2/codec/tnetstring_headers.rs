//! The tnetstring header block of a request: a dictionary whose values are strings or lists of strings.

use bytes::{BufMut, BytesMut};

use super::Mongrel2Headers;
use crate::codec::{Cursor, ParseError, lenstr, netstring};

/// Decodes the dictionary that fills `cursor`.
pub(super) fn decode(mut cursor: Cursor<'_>) -> Result<Mongrel2Headers, ParseError> {
    let mut headers = Mongrel2Headers::with_capacity_for(cursor.remaining());
    while cursor.remaining() > 0 {
        let name = netstring::decode(&mut cursor)?;
        let at = cursor.position();
        let length = cursor.read_length()?;
        let mut value = cursor.split_to(length)?;
        match cursor.byte() {
            Some(b',') => headers.push(at, name, value.take(length)?)?,
            Some(b']') => {
                while value.remaining() > 0 {
                    let at = value.position();
                    headers.push(at, name.clone(), netstring::decode(&mut value)?)?;
                }
            }
            _ => {
                return Err(ParseError::Expected {
                    at,
                    what: "a header value: a string or a list of strings",
                });
            }
        }
    }
    Ok(headers)
}

/// Encodes the dictionary as Mongrel2 does.
pub(super) fn encode(headers: &Mongrel2Headers) -> BytesMut {
    let mut output = BytesMut::new();
    for group in headers.groups() {
        match group {
            [(name, value)] => {
                netstring::encode(&mut output, name);
                netstring::encode(&mut output, value);
            }
            [(name, _), ..] => {
                let mut list = BytesMut::new();
                for (_, value) in group {
                    netstring::encode(&mut list, value);
                }
                netstring::encode(&mut output, name);
                lenstr::encode(&mut output, &list);
                output.put_u8(b']');
            }
            [] => {}
        }
    }
    output
}
