//! What a service answers.

use bytes::{BufMut, Bytes, BytesMut};

use super::envelope::{Tail, breaks_field};
use super::request::method_str;
use super::{Dialect, JsonText, LegacyDecodeError, LegacyEnvelope, Times, Timestamp, json};
use crate::codec::{Cursor, EncodeError, ParseError, lenstr};

const MESSAGE: &str = "response";
const METHOD: &[u8] = b"response";

/// A response, as it is on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LegacyResponse {
    /// Who is answered, and what was asked.
    pub envelope: LegacyEnvelope,
    /// The status; services of the original use HTTP's codes and `-1`.
    pub status_code: i32,
    /// What the status means, without the quotes some dialects put around it.
    pub status_msg: String,
    /// Always empty in the originals; [`Dialect::Seed`] has none.
    pub arguments: JsonText,
    /// Headers. In [`Dialect::Seed`] they hold the method, too: [`encode_response`] puts it there.
    pub headers: JsonText,
    /// The body: a JSON object as a rule, any JSON or plain text from some peers.
    pub body: JsonText,
}

impl LegacyResponse {
    /// The answer to `request`: same dialect, application, call, secret, origin and path.
    ///
    /// Its start and end are left for the caller, who has the clock.
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

    /// The method, wherever the dialect keeps it. Anything but `response` is no answer.
    #[must_use]
    pub const fn method(&self) -> &Bytes {
        &self.envelope.method
    }

    /// Whether this is the answer to `request`: same call, same path, method `response`.
    ///
    /// The passphrase is not looked at; use [`Secret::matches`](crate::secret::Secret::matches).
    #[must_use]
    pub fn answers(&self, request: &LegacyEnvelope) -> bool {
        self.envelope.conn_id == request.conn_id
            && self.envelope.path == request.path
            && self.envelope.method == METHOD
    }
}

/// Reads a response that a DEALER received: `[""][payload]` or `[payload]`.
///
/// # Errors
/// [`LegacyDecodeError`], with the `conn_id` if it was legible, so that the call it names can be failed.
pub fn decode_response(dialect: Dialect, frames: &[Bytes]) -> Result<LegacyResponse, LegacyDecodeError> {
    let payload = match frames {
        [payload] => payload,
        [delimiter, payload] if delimiter.is_empty() => payload,
        _ => {
            let what = "perhaps an empty frame, and one payload";
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
    let status_code = status(&tail.string("status_code")?).ok_or_else(|| {
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
        // Without it the response has no method and answers nothing, which is for `answers` to find.
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

fn status(text: &[u8]) -> Option<i32> {
    std::str::from_utf8(text)
        .ok()
        .filter(|text| !text.starts_with('+'))?
        .parse()
        .ok()
}

/// Writes the frames a ROUTER sends for a response, in the dialect of its envelope: identity, an empty one, payload.
///
/// # Errors
/// [`EncodeError`] if a value would be read as something else or could not be expressed.
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
            "it is empty, so the answer has nowhere to go",
        ));
    }
    for (field, text) in [("arguments", arguments), ("headers", headers)] {
        if !text.is_braced() {
            return Err(EncodeError::new(
                field,
                "it is no JSON object; send one, or nothing",
            ));
        }
    }
    let mut output = BytesMut::new();
    // An identity is any bytes, yet a peer finds the end of the sender at the first space; it knows its identity anyway.
    let sender = if breaks_field(&envelope.sender) {
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
        if !arguments.is_vacant() {
            return Err(EncodeError::new(
                "arguments",
                "the seed dialect has none; put them into the body",
            ));
        }
        // The original counts characters where it means bytes, so only ASCII comes through; an empty text would not.
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
        json::put(&mut output, "headers", &headers)?;
    } else {
        lenstr::encode(&mut output, json::quoted(status_msg).as_bytes());
        json::put(&mut output, "arguments", arguments)?;
        json::put(&mut output, "headers", headers)?;
    }
    json::put(&mut output, "body", body)?;
    Ok([envelope.sender.clone(), Bytes::new(), output.freeze()])
}
