//! The request of an application to a service.

use bytes::{BufMut, Bytes, BytesMut};

use super::dialect::detect;
use super::envelope::{CONTAINS_WHITESPACE, Tail, splits_field};
use super::{Dialect, JsonText, LegacyDecodeError, LegacyEnvelope, json};
use crate::codec::{Cursor, EncodeError, ParseError};

const MESSAGE: &str = "request";

/// A request in one of the dialects.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LegacyRequest {
    /// The envelope: sender, call id, path, method and more.
    pub envelope: LegacyEnvelope,
    /// Named arguments. Must be empty in [`Dialect::Seed`], which cannot encode them.
    pub arguments: JsonText,
    /// Headers. In [`Dialect::Seed`] they contain the method, which [`encode_request`] adds.
    pub headers: JsonText,
    /// The body.
    pub body: JsonText,
}

impl LegacyRequest {
    /// Creates a request for `path` with no arguments, headers, body or passphrase.
    ///
    /// ```
    /// use brubeck_runtime::wire::service::{Dialect, LegacyRequest, encode_request};
    ///
    /// let request = LegacyRequest::new(Dialect::Seed, "42", "/service/slow", "request");
    /// let payload = encode_request(&request)?;
    /// assert_eq!(payload, " 2:42 0: 1:- 1:- 1:- 13:/service/slow 20:{\"METHOD\":\"request\"}2:{}");
    /// # Ok::<(), brubeck_runtime::wire::EncodeError>(())
    /// ```
    #[must_use]
    pub fn new(
        dialect: Dialect,
        conn_id: impl Into<Bytes>,
        path: impl Into<Bytes>,
        method: impl Into<Bytes>,
    ) -> Self {
        Self {
            envelope: LegacyEnvelope {
                conn_id: conn_id.into(),
                path: path.into(),
                method: method.into(),
                ..LegacyEnvelope::new(dialect)
            },
            arguments: JsonText::default(),
            headers: JsonText::default(),
            body: JsonText::default(),
        }
    }

    /// Returns the method.
    #[must_use]
    pub const fn method(&self) -> &Bytes {
        &self.envelope.method
    }
}

/// Decodes a request that a `ROUTER` received: `[identity][payload]` or `[identity][""][payload]`.
///
/// Detects from the envelope whether the dialect is [`Dialect::Seed`] or [`Dialect::Branch`].
///
/// # Errors
/// Returns an error if the frames are not a request. The error contains the envelope if only the data after the envelope is
/// invalid.
pub fn decode_request(frames: &[Bytes]) -> Result<LegacyRequest, LegacyDecodeError> {
    let (identity, payload) = match frames {
        [identity, payload] => (identity, payload),
        [identity, delimiter, payload] if delimiter.is_empty() => (identity, payload),
        _ => {
            let what = "an identity, an optional empty frame, and one payload";
            return Err(LegacyDecodeError::new(
                MESSAGE,
                "frames",
                ParseError::Frames {
                    found: frames.len(),
                    what,
                },
            ));
        }
    };
    let mut cursor = Cursor::new(payload);
    cursor
        .expect(b' ', "the space at the start of a request")
        .map_err(|reason| LegacyDecodeError::new(MESSAGE, "sender", reason))?;
    read(cursor, identity.clone(), [Dialect::Seed, Dialect::Branch])
}

/// Decodes a request that a `PULL` received: one frame that contains its sender.
///
/// Detects from the envelope whether the dialect is [`Dialect::Pypi`] or [`Dialect::Pypi01x`]. Skips whitespace around the
/// request.
///
/// # Errors
/// Returns an error if the frames are not a request. The error contains the envelope if only the data after the envelope is
/// invalid.
pub fn decode_pull_request(frames: &[Bytes]) -> Result<LegacyRequest, LegacyDecodeError> {
    let [payload] = frames else {
        let what = "one payload";
        return Err(LegacyDecodeError::new(
            MESSAGE,
            "frames",
            ParseError::Frames {
                found: frames.len(),
                what,
            },
        ));
    };
    let mut cursor = Cursor::new(payload);
    cursor.skip_whitespace();
    let sender = cursor
        .take_until(b' ', "the space that ends the sender")
        .map_err(|reason| LegacyDecodeError::new(MESSAGE, "sender", reason))?;
    read(cursor, sender, [Dialect::Pypi, Dialect::Pypi01x])
}

fn read(
    mut cursor: Cursor<'_>,
    sender: Bytes,
    choices: [Dialect; 2],
) -> Result<LegacyRequest, LegacyDecodeError> {
    // If the dialect cannot be detected, the envelope or the string after it is malformed in both dialects. Decoding in the
    // dialect with more fields returns an error with the position.
    let [_, more_fields] = choices;
    let dialect = detect(cursor.clone(), choices).unwrap_or(more_fields);
    let envelope = LegacyEnvelope {
        sender,
        ..LegacyEnvelope::new(dialect)
    };
    let envelope = envelope.read(&mut cursor, MESSAGE, dialect.request_fields())?;
    let mut tail = Tail::new(envelope, cursor, MESSAGE);
    if dialect == Dialect::Seed {
        return read_seed(tail);
    }
    let arguments = tail.json("arguments")?;
    let headers = tail.json("headers")?;
    let body = tail.json("body")?;
    Ok(LegacyRequest {
        envelope: tail.end()?,
        arguments,
        headers,
        body,
    })
}

fn read_seed(mut tail: Tail<'_>) -> Result<LegacyRequest, LegacyDecodeError> {
    let at = tail.position();
    let headers = tail.json("headers")?;
    let Some(method) = json::method_in(&headers) else {
        let what = "a JSON object with the member `METHOD`, a string";
        return Err(tail.error("headers", ParseError::Expected { at, what }));
    };
    tail.envelope.method = method;
    let body = tail.json("body")?;
    Ok(LegacyRequest {
        envelope: tail.end()?,
        arguments: JsonText::default(),
        headers,
        body,
    })
}

/// Encodes a request as one frame, in the dialect of its envelope.
///
/// JSON is encoded in ASCII. Empty values are replaced by placeholders that Python peers can parse: `{}` for data, `-` for an
/// origin field, `0` for a timestamp.
///
/// # Errors
/// Returns an error if the dialect cannot encode a value, or if a peer would decode it as a different one.
pub fn encode_request(request: &LegacyRequest) -> Result<Bytes, EncodeError> {
    let LegacyRequest {
        envelope,
        arguments,
        headers,
        body,
    } = request;
    for (field, text) in [("arguments", arguments), ("headers", headers), ("body", body)] {
        if !text.is_braced() {
            return Err(EncodeError::new(
                field,
                "the value is not a JSON object; send an object, or leave it empty",
            ));
        }
    }
    let mut output = BytesMut::new();
    if envelope.dialect.has_leading_space() {
        output.put_u8(b' ');
    }
    if envelope.dialect.has_sender_in_request() {
        if envelope.sender.is_empty() {
            return Err(EncodeError::new(
                "sender",
                "the value is empty, so no response could be routed back",
            ));
        }
        if splits_field(&envelope.sender) {
            return Err(EncodeError::new("sender", CONTAINS_WHITESPACE));
        }
        output.put_slice(&envelope.sender);
        output.put_u8(b' ');
    }
    envelope.write(&mut output, envelope.dialect.request_fields())?;
    if envelope.dialect == Dialect::Seed {
        if !arguments.is_empty_object() {
            return Err(EncodeError::new(
                "arguments",
                "the seed dialect has no arguments; send them in the body",
            ));
        }
        let headers = json::headers_with_method(headers, method_str(envelope)?)?;
        json::encode_text(&mut output, "headers", &headers)?;
    } else {
        json::encode_text(&mut output, "arguments", arguments)?;
        json::encode_text(&mut output, "headers", headers)?;
    }
    json::encode_text(&mut output, "body", body)?;
    Ok(output.freeze())
}

/// Returns the method as text, because the seed dialect encodes it in JSON.
pub(super) fn method_str(envelope: &LegacyEnvelope) -> Result<&str, EncodeError> {
    match std::str::from_utf8(&envelope.method) {
        Ok("") => Err(EncodeError::new("method", "the value is empty; set a method")),
        Ok(method) => Ok(method),
        Err(_) => Err(EncodeError::new("method", "the value is not UTF-8")),
    }
}
