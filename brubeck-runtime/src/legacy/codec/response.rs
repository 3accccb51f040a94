//! The response of a service to an application.

use bytes::{BufMut, Bytes, BytesMut};

use super::envelope::{Tail, splits_field};
use super::request::method_str;
use super::{Dialect, JsonText, LegacyDecodeError, LegacyEnvelope, Times, Timestamp, json};
use crate::codec::{Cursor, EncodeError, ParseError, lenstr};

const MESSAGE: &str = "response";
const METHOD: &[u8] = b"response";

/// A response in one of the dialects.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LegacyResponse {
    /// The envelope: receiver, call id, path, method and more.
    pub envelope: LegacyEnvelope,
    /// The status code. Services of the Python original use the codes of HTTP, and negative codes for errors.
    pub status_code: i32,
    /// The status message, without the quotes that some dialects add.
    pub status_msg: String,
    /// Always empty in the Python original. Must be empty in [`Dialect::Seed`], which cannot encode it.
    pub arguments: JsonText,
    /// Headers. In [`Dialect::Seed`] they contain the method, which [`encode_response`] adds.
    pub headers: JsonText,
    /// The body. Usually a JSON object; some peers send other JSON or plain text.
    pub body: JsonText,
}

impl LegacyResponse {
    /// Creates a response to `request`, with the same dialect, receiver, call id, passphrase, origin, path and request time.
    ///
    /// The timestamps `start` and `end` are absent, because this function has no clock. Set them afterwards.
    ///
    /// ```
    /// use brubeck_runtime::wire::service::{Dialect, LegacyRequest, LegacyResponse, Timestamp};
    ///
    /// let request = LegacyRequest::new(Dialect::Branch, "42", "/service/slow", "request");
    /// let mut response = LegacyResponse::to(&request.envelope, 404, "Not Found");
    /// response.envelope.times.end = Timestamp::from_millis(1_795_470_575_047);
    /// assert_eq!(response.method(), "response");
    /// ```
    #[must_use]
    pub fn to(request: &LegacyEnvelope, status_code: i32, status_msg: impl Into<String>) -> Self {
        let times = Times {
            request: request.times.request.clone(),
            start: Timestamp::default(),
            end: Timestamp::default(),
        };
        Self {
            envelope: LegacyEnvelope {
                times,
                method: Bytes::from_static(METHOD),
                ..request.clone()
            },
            status_code,
            status_msg: status_msg.into(),
            arguments: JsonText::default(),
            headers: JsonText::default(),
            body: JsonText::default(),
        }
    }

    /// Returns the method, which is `response` unless the peer is faulty.
    #[must_use]
    pub const fn method(&self) -> &Bytes {
        &self.envelope.method
    }

    /// Returns `true` if this is the response to `request`: it has the same call id and path, and the method `response`.
    ///
    /// Does not compare the passphrases; use [`Secret::matches`](crate::secret::Secret::matches).
    #[must_use]
    pub fn answers(&self, request: &LegacyEnvelope) -> bool {
        self.envelope.conn_id == request.conn_id
            && self.envelope.path == request.path
            && self.envelope.method == METHOD
    }
}

/// Decodes a response that a `DEALER` received: `[""][payload]` or `[payload]`.
///
/// # Errors
/// Returns an error if the frames are not a response. The error contains the `conn_id` if that was decoded, so that the caller
/// can fail the call.
pub fn decode_response(dialect: Dialect, frames: &[Bytes]) -> Result<LegacyResponse, LegacyDecodeError> {
    let payload = match frames {
        [payload] => payload,
        [delimiter, payload] if delimiter.is_empty() => payload,
        _ => {
            let what = "an optional empty frame, and one payload";
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
    let sender = match cursor.take_until(b' ', "the space that ends the sender") {
        Ok(sender) if sender.is_empty() => Err(ParseError::Expected {
            at: 0,
            what: "a sender",
        }),
        other => other,
    }
    .map_err(|reason| LegacyDecodeError::new(MESSAGE, "sender", reason))?;
    let envelope = LegacyEnvelope {
        sender,
        ..LegacyEnvelope::new(dialect)
    };
    let envelope = envelope.read(&mut cursor, MESSAGE, dialect.response_fields())?;

    let mut tail = Tail::new(envelope, cursor, MESSAGE);
    let at = tail.position();
    let status_code = parse_status_code(&tail.string("status_code")?).ok_or_else(|| {
        tail.error(
            "status_code",
            ParseError::Expected {
                at,
                what: "a decimal integer that fits 32 bits",
            },
        )
    })?;
    let status_msg = json::unquoted(&tail.string("status_msg")?);
    let arguments = if dialect == Dialect::Seed {
        JsonText::default()
    } else {
        tail.json("arguments")?
    };
    let headers = tail.json("headers")?;
    if dialect == Dialect::Seed {
        // A missing method is not an error here. It stays empty, and `answers` returns `false`.
        tail.envelope.method = json::method_in(&headers).unwrap_or_default();
    }
    let body = tail.json("body")?;
    Ok(LegacyResponse {
        envelope: tail.end()?,
        status_code,
        status_msg,
        arguments,
        headers,
        body,
    })
}

fn parse_status_code(text: &[u8]) -> Option<i32> {
    std::str::from_utf8(text)
        .ok()
        .filter(|text| !text.starts_with('+'))?
        .parse()
        .ok()
}

/// Encodes a response as the frames that a `ROUTER` sends, in the dialect of its envelope: identity, an empty frame, payload.
///
/// # Errors
/// Returns an error if the dialect cannot encode a value, or if a peer would decode it as a different one.
pub fn encode_response(response: &LegacyResponse) -> Result<[Bytes; 3], EncodeError> {
    let LegacyResponse {
        envelope,
        status_code,
        status_msg,
        arguments,
        headers,
        body,
    } = response;
    if envelope.sender.is_empty() {
        return Err(EncodeError::new(
            "sender",
            "the value is empty, so the response cannot be routed",
        ));
    }
    for (field, text) in [("arguments", arguments), ("headers", headers)] {
        if !text.is_braced() {
            return Err(EncodeError::new(
                field,
                "the value is not a JSON object; send an object, or leave it empty",
            ));
        }
    }
    let mut output = BytesMut::new();
    // An identity may be any bytes, but for a peer, the first space is the end of the sender. A peer does not need its own
    // identity, so a placeholder is sent if the identity contains whitespace.
    let sender = if splits_field(&envelope.sender) {
        b"-".as_slice()
    } else {
        &envelope.sender
    };
    output.put_slice(sender);
    output.put_u8(b' ');
    envelope.write(&mut output, envelope.dialect.response_fields())?;

    let status_code = status_code.to_string();
    lenstr::encode(&mut output, status_code.as_bytes());
    if envelope.dialect == Dialect::Seed {
        if !arguments.is_empty_object() {
            return Err(EncodeError::new(
                "arguments",
                "the seed dialect has no arguments; send them in the body",
            ));
        }
        // The Python original counts characters instead of bytes, so only ASCII is decoded correctly. It cannot decode an
        // empty text.
        let text = status_msg
            .chars()
            .map(|character| if character.is_ascii() { character } else { '?' });
        let text: String = if status_msg.is_empty() {
            status_code
        } else {
            text.collect()
        };
        lenstr::encode(&mut output, text.as_bytes());
        let headers = json::headers_with_method(headers, method_str(envelope)?)?;
        json::encode_text(&mut output, "headers", &headers)?;
    } else {
        lenstr::encode(&mut output, json::quoted(status_msg).as_bytes());
        json::encode_text(&mut output, "arguments", arguments)?;
        json::encode_text(&mut output, "headers", headers)?;
    }
    json::encode_text(&mut output, "body", body)?;
    Ok([envelope.sender.clone(), Bytes::new(), output.freeze()])
}
