//! The framing of messages, and their authentication codes.

use super::field;
use super::handshake::{MAC_LENGTH, MacKey};
use super::head::{MessageHead, MessageKind, VERSION};
use super::message::WireMessage;
use crate::codec::{Cursor, EncodeError, ParseError};
use bytes::{BufMut, Bytes, BytesMut};

/// A received message of which only the [head](MessageHead) was decoded.
#[derive(Clone, Debug)]
pub struct RawMessage {
    head: MessageHead,
    frame: Bytes,
    body: Bytes,
}

/// The error of a message whose fields are malformed, although its authentication code is valid or its kind has none.
#[derive(Clone, Debug)]
pub struct InvalidMessage {
    /// The id of the request, if the message is a request, a reply or an error, and long enough to contain the id.
    pub request_id: Option<u64>,
    /// The error of the malformed field.
    pub error: ParseError,
}

impl RawMessage {
    /// Decodes the head of a message. The first frame holds head, fields and code; a second one holds the body, if there is any.
    ///
    /// # Errors
    ///
    /// Returns an error if the head is malformed, has another version than [`VERSION`] or does not match the body, if a frame is
    /// missing or superfluous, or if the first frame has more than 32 KiB. The fields and the code are not checked.
    pub fn read(frames: &[Bytes]) -> Result<Self, ParseError> {
        let (frame, body) = match frames {
            [frame] => (frame, Bytes::new()),
            [frame, body] if !body.is_empty() => (frame, body.clone()),
            _ => {
                return Err(ParseError::Frames {
                    found: frames.len(),
                    what: "a head, and a body unless it is empty",
                });
            }
        };
        let head = MessageHead::read(&mut Cursor::new(frame))?;
        if head.body_len as usize != body.len() || (head.body_len > 0 && !head.kind.has_body()) {
            return Err(ParseError::Expected {
                at: 32,
                what: "the length of the received body, which only requests and replies have",
            });
        }
        let needed = if head.kind.is_sealed() {
            MessageHead::LENGTH + MAC_LENGTH
        } else {
            MessageHead::LENGTH
        };
        if frame.len() < needed {
            let left = frame.len().saturating_sub(MessageHead::LENGTH);
            return Err(ParseError::Truncated {
                at: MessageHead::LENGTH,
                needed: MAC_LENGTH as u64,
                left,
            });
        }
        Ok(Self {
            head,
            frame: frame.clone(),
            body,
        })
    }

    /// Returns the head. It is not authenticated until the message is [opened](Self::open).
    #[must_use]
    pub const fn head(&self) -> &MessageHead {
        &self.head
    }

    /// Returns the length of all frames, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.frame.len() + self.body.len()
    }

    /// Returns the first frame.
    #[must_use]
    pub const fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// Returns whether the message has an authentication code that is valid for this key.
    #[must_use]
    pub fn is_sealed_with(&self, key: &MacKey) -> bool {
        let Some(signed_len) = self
            .frame
            .len()
            .checked_sub(MAC_LENGTH)
            .filter(|_| self.head.kind.is_sealed())
        else {
            return false;
        };
        match self.frame.split_at_checked(signed_len) {
            Some((signed, code)) => key.verify(&[signed, &self.body], code),
            None => false,
        }
    }

    /// Decodes the message if its authentication code is valid for this key, otherwise returns `None`. Does not check the
    /// session or the counter.
    #[must_use]
    pub fn open(&self, key: &MacKey) -> Option<Result<WireMessage, InvalidMessage>> {
        self.is_sealed_with(key).then(|| self.decode(MAC_LENGTH))
    }

    /// Decodes the message if its kind carries no authentication code, otherwise returns `None`.
    #[must_use]
    pub fn decode_unsealed(&self) -> Option<Result<WireMessage, InvalidMessage>> {
        (!self.head.kind.is_sealed()).then(|| self.decode(0))
    }

    fn decode(&self, code_len: usize) -> Result<WireMessage, InvalidMessage> {
        let mut request_id = None;
        let mut read = || {
            let mut cursor = Cursor::new(&self.frame);
            cursor.split_to(MessageHead::LENGTH)?;
            let mut fields = cursor.split_to(cursor.remaining().saturating_sub(code_len))?;
            if matches!(
                self.head.kind,
                MessageKind::Request | MessageKind::Reply | MessageKind::Error
            ) {
                request_id = field::u64(&mut fields.clone()).ok();
            }
            let message = WireMessage::read(&self.head, &mut fields, self.body.clone())?;
            fields.expect_end()?;
            Ok(message)
        };
        let message = read();
        message.map_err(|error| InvalidMessage { request_id, error })
    }
}

/// The position of a message in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The id of the session.
    pub session: u64,
    /// The number of the message in its direction of the session, from 1.
    pub counter: u64,
    /// The highest counter received from the other side.
    pub ack: u64,
}

/// Encodes a message with an authentication code. Its kind must be [sealed](MessageKind::is_sealed).
///
/// # Errors
///
/// Returns an error if a field exceeds its limit or the body has 4 GiB or more.
pub fn seal(message: &WireMessage, position: Position, key: &MacKey) -> Result<Vec<Bytes>, EncodeError> {
    let mut out = encode(message, position)?;
    let body = message.body();
    let code = key.mac(&[&out, &body]);
    out.put_slice(&code);
    let mut frames = Vec::with_capacity(2);
    frames.push(out.freeze());
    if !body.is_empty() {
        frames.push(body);
    }
    Ok(frames)
}

/// Encodes a message without an authentication code: a hello, a challenge or a denial. `session` is 0 unless the message is a
/// challenge.
///
/// # Errors
///
/// Returns an error if a field exceeds its limit.
pub fn encode_unsealed(message: &WireMessage, session: u64) -> Result<Vec<Bytes>, EncodeError> {
    Ok(vec![
        encode(
            message,
            Position {
                session,
                counter: 0,
                ack: 0,
            },
        )?
        .freeze(),
    ])
}

fn encode(message: &WireMessage, position: Position) -> Result<BytesMut, EncodeError> {
    message.validate()?;
    let body_len = u32::try_from(message.body().len())
        .map_err(|_| EncodeError::new("body", "it has 4 GiB or more; send it in several calls"))?;
    let mut out = BytesMut::with_capacity(MessageHead::LENGTH + message.encoded_len() + MAC_LENGTH);
    let head = MessageHead {
        version: VERSION,
        kind: message.kind(),
        flags: message.flags(),
        session: position.session,
        counter: position.counter,
        ack: position.ack,
        body_len,
    };
    head.write(&mut out);
    message.write(&mut out);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::codec::{CallRequest, WireReply, WireRequest};

    #[test]
    fn encoded_len_is_exact_for_requests_and_replies() {
        let headers = vec![("a".into(), "bc".into()), ("".into(), "d".into())];
        let call = CallRequest {
            traceparent: "00-1-2-03".into(),
            tracestate: "a=b".into(),
            headers: headers.clone(),
            ..CallRequest::new("request", "/service/slow")
        };
        let request = WireRequest {
            id: 1,
            timeout_ms: 2,
            more_waiting: false,
            call: call.into(),
        };
        let reply = WireReply {
            status: 200,
            message: "OK".into(),
            headers,
            body: Bytes::from_static(b"{}"),
        };
        let reply = WireMessage::Reply {
            request_id: 1,
            limit: 2,
            reply,
        };
        let position = Position {
            session: 1,
            counter: 2,
            ack: 3,
        };
        for message in [WireMessage::Request(request), reply] {
            let encoded = encode(&message, position).unwrap();
            assert_eq!(encoded.capacity(), encoded.len() + MAC_LENGTH, "{message:?}");
        }
    }
}
