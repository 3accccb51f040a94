//! What an application asks of a service.

use bytes::{BufMut, Bytes, BytesMut};

use super::dialect::detect;
use super::envelope::{SPACES, Tail, breaks_field};
use super::{Dialect, JsonText, LegacyDecodeError, LegacyEnvelope, json};
use crate::codec::{Cursor, EncodeError, ParseError};

const MESSAGE: &str = "request";

/// A request, as it is on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LegacyRequest {
    /// Who asks whom for what.
    pub envelope: LegacyEnvelope,
    /// Named arguments; [`Dialect::Seed`] has none.
    pub arguments: JsonText,
    /// Headers. In [`Dialect::Seed`] they hold the method, too: [`encode_request`] puts it there.
    pub headers: JsonText,
    /// The body.
    pub body: JsonText,
}

impl LegacyRequest {
    /// A request for `path` with nothing else in it.
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

    /// The method, wherever the dialect keeps it.
    #[must_use]
    pub const fn method(&self) -> &Bytes {
        &self.envelope.method
    }
}

/// Reads a request that a ROUTER received: `[identity][payload]` or `[identity][""][payload]`.
///
/// The dialect is [`Dialect::Seed`] or [`Dialect::Branch`]; the envelope shows which.
///
/// # Errors
/// [`LegacyDecodeError`], with the envelope if only the data behind it is wrong.
pub fn decode_request(frames: &[Bytes]) -> Result<LegacyRequest, LegacyDecodeError> {
    let (identity, payload) = match frames {
        [identity, payload] => (identity, payload),
        [identity, delimiter, payload] if delimiter.is_empty() => (identity, payload),
        _ => {
            let what = "an identity, perhaps an empty frame, and one payload";
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
        .expect(b' ', "the space a request begins with")
        .map_err(|reason| LegacyDecodeError::new(MESSAGE, "sender", reason))?;
    read(cursor, identity.clone(), [Dialect::Seed, Dialect::Branch])
}

/// Reads a request that a PULL received: one frame that names its sender.
///
/// The dialect is [`Dialect::Pypi`] or [`Dialect::Pypi01x`]; the envelope shows which. Blanks around the request are skipped.
///
/// # Errors
/// [`LegacyDecodeError`], with the envelope if only the data behind it is wrong.
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
    // An envelope too broken to show its dialect is broken in the one with more fields, too, and that reading says where.
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

/// Writes the one frame of a request, in the dialect of its envelope.
///
/// JSON is written in ASCII, and what is empty as the peer can read it: `{}` for data, `-` for an origin, `0` for a time.
///
/// # Errors
/// [`EncodeError`] if a value would be read as something else or could not be expressed.
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
                "it is no JSON object; send one, or nothing",
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
                "it is empty, so no answer could come back",
            ));
        }
        if breaks_field(&envelope.sender) {
            return Err(EncodeError::new("sender", SPACES));
        }
        output.put_slice(&envelope.sender);
        output.put_u8(b' ');
    }
    envelope.write(&mut output, envelope.dialect.request_fields())?;
    if envelope.dialect == Dialect::Seed {
        if !arguments.is_vacant() {
            return Err(EncodeError::new(
                "arguments",
                "the seed dialect has none; put them into the body",
            ));
        }
        let headers = json::headers_with_method(headers, method_str(envelope)?)?;
        json::put(&mut output, "headers", &headers)?;
    } else {
        json::put(&mut output, "arguments", arguments)?;
        json::put(&mut output, "headers", headers)?;
    }
    json::put(&mut output, "body", body)?;
    Ok(output.freeze())
}

/// The method as text, as the seed dialect has to put it into JSON.
pub(super) fn method_str(envelope: &LegacyEnvelope) -> Result<&str, EncodeError> {
    match std::str::from_utf8(&envelope.method) {
        Ok("") => Err(EncodeError::new("method", "it is empty; give it a value")),
        Ok(method) => Ok(method),
        Err(_) => Err(EncodeError::new("method", "it is not UTF-8")),
    }
}
