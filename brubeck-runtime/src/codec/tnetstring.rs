//! The tagged netstring: `5:hello,`, `2:42#`, `8:1:a,1:b,]`.
//!
//! The last byte is the type: `,` string, `#` integer, `^` float, `!` boolean, `~` null, `]` list, `}` dictionary. Mongrel2
//! uses the format for request headers if it is configured to, for `ctl` replies, and on its control port.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Cursor, ParseError, lenstr};

/// The maximum nesting depth of lists and dictionaries.
pub const MAX_DEPTH: usize = 8;

/// The maximum number of values in one message: the outer value, and all values and keys within it. It limits the memory for
/// values whose text is shorter than a [`Value`].
pub const MAX_VALUES: usize = 1 << 18;

/// A decoded value, by its type tag.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `,`: bytes in an unspecified encoding.
    String(Bytes),
    /// `#`: a decimal integer.
    Integer(i64),
    /// `^`: a finite decimal number.
    Float(f64),
    /// `!`: `true` or `false`.
    Boolean(bool),
    /// `~`: null.
    Null,
    /// `]`: a list of values.
    List(Vec<Value>),
    /// `}`: keys and values in the order of the message. Keys need not be unique.
    Dictionary(Vec<(Bytes, Value)>),
}

impl Value {
    /// Returns the value of `key` if this is a dictionary. If the key occurs more than once, the first one counts.
    ///
    /// ```
    /// use brubeck_runtime::wire::tnetstring::{Value, decode};
    /// use bytes::Bytes;
    ///
    /// let value = decode(&Bytes::from_static(b"15:4:code,5:MISSI,}"))?;
    /// assert_eq!(value.get(b"code"), Some(&Value::String("MISSI".into())));
    /// # Ok::<(), brubeck_runtime::wire::ParseError>(())
    /// ```
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&Self> {
        match self {
            Self::Dictionary(pairs) => pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }
}

/// Decodes a value that fills `input`.
///
/// ```
/// use brubeck_runtime::wire::tnetstring::{Value, decode};
/// use bytes::Bytes;
///
/// let value = decode(&Bytes::from_static(b"9:3:ctl,1:7#]"));
/// assert!(value.is_err(), "the length is wrong");
/// let value = decode(&Bytes::from_static(b"10:3:ctl,1:7#]"))?;
/// assert_eq!(value, Value::List(vec![Value::String("ctl".into()), Value::Integer(7)]));
/// # Ok::<(), brubeck_runtime::wire::ParseError>(())
/// ```
///
/// # Errors
/// Returns an error if `input` is not a valid value, or if it exceeds [`MAX_DEPTH`] or [`MAX_VALUES`].
pub fn decode(input: &Bytes) -> Result<Value, ParseError> {
    let mut cursor = Cursor::new(input);
    let value = decode_next(&mut cursor)?;
    cursor.expect_end()?;
    Ok(value)
}

/// Decodes the next value, after which more bytes may follow.
///
/// # Errors
/// Returns an error as [`decode`] does.
pub fn decode_next(cursor: &mut Cursor<'_>) -> Result<Value, ParseError> {
    let mut values_left = MAX_VALUES;
    decode_value(cursor, 0, &mut values_left)
}

fn decode_value(cursor: &mut Cursor<'_>, depth: usize, values_left: &mut usize) -> Result<Value, ParseError> {
    let start = cursor.position();
    // Counted at all depths together, because an empty value needs 3 bytes of input and many times that in memory.
    *values_left = values_left.checked_sub(1).ok_or(ParseError::TooMany {
        at: start,
        limit: MAX_VALUES,
    })?;
    let length = cursor.read_length()?;
    // The type follows the content, so the content is skipped first and parsed once the type is known.
    let mut inside = cursor.split_to(length)?;
    let at = inside.position();
    let Some(tag) = cursor.byte() else {
        return Err(ParseError::Expected {
            at: cursor.position(),
            what: TYPE_TAG,
        });
    };
    if matches!(tag, b']' | b'}') && depth == MAX_DEPTH {
        return Err(ParseError::TooDeep {
            at: start,
            limit: MAX_DEPTH,
        });
    }
    match tag {
        b',' => inside.take(length).map(Value::String),
        b'#' => integer(inside.rest())
            .map(Value::Integer)
            .ok_or(ParseError::Expected {
                at,
                what: "a decimal integer that fits 64 bits",
            }),
        b'^' => number_text(inside.rest())
            .and_then(|text| text.parse().ok())
            .filter(|number: &f64| number.is_finite())
            .map(Value::Float)
            .ok_or(ParseError::Expected {
                at,
                what: "a finite decimal number",
            }),
        b'!' => match inside.rest() {
            b"true" => Ok(Value::Boolean(true)),
            b"false" => Ok(Value::Boolean(false)),
            _ => Err(ParseError::Expected {
                at,
                what: "`true` or `false`",
            }),
        },
        b'~' if length == 0 => Ok(Value::Null),
        b'~' => Err(ParseError::Expected {
            at,
            what: "nothing inside a null",
        }),
        b']' => {
            let mut items = Vec::new();
            while inside.remaining() > 0 {
                items.push(decode_value(&mut inside, depth + 1, values_left)?);
            }
            Ok(Value::List(items))
        }
        b'}' => {
            let mut pairs = Vec::new();
            while inside.remaining() > 0 {
                let key_at = inside.position();
                let Value::String(key) = decode_value(&mut inside, depth + 1, values_left)? else {
                    return Err(ParseError::Expected {
                        at: key_at,
                        what: "a string as key",
                    });
                };
                pairs.push((key, decode_value(&mut inside, depth + 1, values_left)?));
            }
            Ok(Value::Dictionary(pairs))
        }
        _ => Err(ParseError::Expected {
            at: at + length,
            what: TYPE_TAG,
        }),
    }
}

const TYPE_TAG: &str = "one of the type tags `,` `#` `^` `!` `~` `]` `}`";

/// Returns the text of a number. Rust would parse a `+` sign, which the format does not allow.
fn number_text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes)
        .ok()
        .filter(|text| !text.starts_with('+'))
}

fn integer(bytes: &[u8]) -> Option<i64> {
    number_text(bytes)?.parse().ok()
}

/// Encodes a value.
///
/// A float that is not finite is encoded as null, because the format cannot represent it.
///
/// ```
/// use brubeck_runtime::wire::tnetstring::{Value, encode};
///
/// let mut output = bytes::BytesMut::new();
/// encode(&mut output, &Value::Dictionary(vec![("credits".into(), Value::Integer(10_000))]));
/// assert_eq!(output, "18:7:credits,5:10000#}");
/// ```
pub fn encode(output: &mut BytesMut, value: &Value) {
    match value {
        Value::String(bytes) => encode_tagged(output, bytes, b','),
        Value::Integer(number) => encode_tagged(output, number.to_string().as_bytes(), b'#'),
        Value::Float(number) if number.is_finite() => {
            encode_tagged(output, number.to_string().as_bytes(), b'^')
        }
        Value::Float(_) | Value::Null => encode_tagged(output, b"", b'~'),
        Value::Boolean(true) => encode_tagged(output, b"true", b'!'),
        Value::Boolean(false) => encode_tagged(output, b"false", b'!'),
        Value::List(items) => {
            // The length precedes the content, so the content is encoded to a buffer of its own.
            let mut inside = BytesMut::new();
            for item in items {
                encode(&mut inside, item);
            }
            encode_tagged(output, &inside, b']');
        }
        Value::Dictionary(pairs) => {
            let mut inside = BytesMut::new();
            for (key, value) in pairs {
                encode_tagged(&mut inside, key, b',');
                encode(&mut inside, value);
            }
            encode_tagged(output, &inside, b'}');
        }
    }
}

fn encode_tagged(output: &mut BytesMut, inside: &[u8], tag: u8) {
    lenstr::encode(output, inside);
    output.put_u8(tag);
}
