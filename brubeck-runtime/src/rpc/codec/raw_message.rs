//! The frame around a message, and the seal of those that are authenticated.

use super::field;
use super::handshake::{MAC_LENGTH, MacKey};
use super::head::{MessageHead, MessageKind, VERSION};
use super::message::WireMessage;
use crate::codec::{Cursor, EncodeError, ParseError};
use bytes::{BufMut, Bytes, BytesMut};

/// A message whose head was read, and nothing else.
#[derive(Clone, Debug)]
pub struct RawMessage {
    head: MessageHead,
    frame: Bytes,
    body: Bytes,
}

/// A message as it was found behind its code.
#[derive(Clone, Debug)]
pub struct InvalidMessage {
    /// The call that a request, reply or error is about.
    pub request_id: Option<u64>,
    /// What is wrong with it.
    pub error: ParseError,
}

impl RawMessage {
    /// Reads the head of a message: one frame, and the body as a second one if there is any.
    ///
    /// # Errors
    /// The frames are no message of this wire.
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
        if head.body as usize != body.len() || (head.body > 0 && !head.kind.has_body()) {
            return Err(ParseError::Expected {
                at: 32,
                what: "the length of the body that came",
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

    /// The head. Until the message is opened, anybody can have written it.
    #[must_use]
    pub const fn head(&self) -> &MessageHead {
        &self.head
    }

    /// How long all frames are, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.frame.len() + self.body.len()
    }

    /// The first frame, as it came.
    #[must_use]
    pub const fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// Whether it was sealed with this key.
    #[must_use]
    pub fn is_sealed_with(&self, key: &MacKey) -> bool {
        let Some(signed) = self
            .frame
            .len()
            .checked_sub(MAC_LENGTH)
            .filter(|_| self.head.kind.is_sealed())
        else {
            return false;
        };
        match self.frame.split_at_checked(signed) {
            Some((signed, code)) => key.verify(&[signed, &self.body], code),
            None => false,
        }
    }

    /// The message, if it was sealed with this key; `None` if not.
    #[must_use]
    pub fn open(&self, key: &MacKey) -> Option<Result<WireMessage, InvalidMessage>> {
        self.is_sealed_with(key).then(|| self.message(MAC_LENGTH))
    }

    /// The message, if it is one of those that carry no code; `None` for all others.
    #[must_use]
    pub fn decode_unsealed(&self) -> Option<Result<WireMessage, InvalidMessage>> {
        (!self.head.kind.is_sealed()).then(|| self.message(0))
    }

    fn message(&self, code: usize) -> Result<WireMessage, InvalidMessage> {
        let mut request_id = None;
        let mut read = || {
            let mut cursor = Cursor::new(&self.frame);
            cursor.split_to(MessageHead::LENGTH)?;
            let mut fields = cursor.split_to(cursor.remaining().saturating_sub(code))?;
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

/// Where a message stands in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The session.
    pub session: u64,
    /// The counter of this message.
    pub counter: u64,
    /// The highest counter that came the other way.
    pub ack: u64,
}

/// Writes a message that ends with a code.
///
/// # Errors
/// A field is longer than the other side would read.
pub fn seal(message: &WireMessage, position: Position, key: &MacKey) -> Result<Vec<Bytes>, EncodeError> {
    let mut out = write(message, position)?;
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

/// Writes a message that comes before there is a key.
///
/// # Errors
/// A field is longer than the other side would read.
pub fn encode_unsealed(message: &WireMessage, session: u64) -> Result<Vec<Bytes>, EncodeError> {
    Ok(vec![
        write(
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

fn write(message: &WireMessage, position: Position) -> Result<BytesMut, EncodeError> {
    message.validate()?;
    let body = u32::try_from(message.body().len())
        .map_err(|_| EncodeError::new("body", "it has 4 GiB or more; send less at once"))?;
    let mut out = BytesMut::with_capacity(MessageHead::LENGTH + message.encoded_len() + MAC_LENGTH);
    let head = MessageHead {
        version: VERSION,
        kind: message.kind(),
        flags: message.flags(),
        session: position.session,
        counter: position.counter,
        ack: position.ack,
        body,
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
    fn requests_and_replies_get_the_memory_they_need() {
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
            let written = write(&message, position).unwrap();
            assert_eq!(written.capacity(), written.len() + MAC_LENGTH, "{message:?}");
        }
    }
}
