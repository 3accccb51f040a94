//! The framing of messages, and their authentication codes.

use super::field::{self, Fields};
use super::handshake::{MAC_LENGTH, MacKey};
use super::head::{MessageHead, MessageKind, VERSION};
use super::limits::MAX_FRAMES;
use super::message::WireMessage;
use crate::codec::{Cursor, EncodeError, ParseError};
use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

/// A received message of which only the [head](MessageHead) was decoded.
#[derive(Clone, Debug)]
pub struct RawMessage<'a> {
    head: MessageHead,
    frame: &'a Bytes,
    /// The body and its parts.
    rest: &'a [Bytes],
}

/// The error of a message whose fields are malformed, although its authentication code is valid or its kind has none.
#[derive(Clone, Debug)]
pub struct InvalidMessage {
    /// The id of the request, if the message is a request or a response that contains one.
    pub request_id: Option<u64>,
    /// The error of the malformed field.
    pub error: ParseError,
}

impl<'a> RawMessage<'a> {
    /// Decodes the head of a message. The first frame holds head, fields and code; further ones hold the body and its parts.
    ///
    /// # Errors
    ///
    /// Returns an error if the head is malformed, has another version than [`VERSION`] or does not match the number of frames, or
    /// if the first frame has more than 32 KiB. The fields and the code are not checked.
    pub fn read(frames: &'a [Bytes]) -> Result<Self, ParseError> {
        let wrong_frames = |what| ParseError::Frames {
            found: frames.len(),
            what,
        };
        let (frame, rest) = frames
            .split_first()
            .filter(|_| frames.len() <= MAX_FRAMES)
            .ok_or(wrong_frames("a head, a body and at most 64 parts"))?;
        let head = MessageHead::read(&mut Cursor::new(frame))?;
        if !rest.is_empty() && !head.kind.has_body() {
            return Err(wrong_frames(
                "a head only, because only requests and responses have a body",
            ));
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
        Ok(Self { head, frame, rest })
    }

    /// Returns the head. It is not authenticated until the message is [opened](Self::open).
    #[must_use]
    pub const fn head(&self) -> &MessageHead {
        &self.head
    }

    /// Returns the length of all frames, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.rest
            .iter()
            .fold(self.frame.len(), |sum, frame| sum.saturating_add(frame.len()))
    }

    /// Returns the first frame.
    #[must_use]
    pub const fn frame(&self) -> &'a Bytes {
        self.frame
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
            Some((signed, code)) => key.verify(&signed_parts(signed, self.rest), code),
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
        let fields = || {
            let mut cursor = Cursor::new(self.frame);
            cursor.split_to(MessageHead::LENGTH)?;
            cursor.split_to(cursor.remaining().saturating_sub(code_len))
        };
        let read = || {
            let mut fields = Fields::read(&mut fields()?)?;
            WireMessage::from_fields(&self.head, &mut fields, self.rest)
        };
        read().map_err(|error| InvalidMessage {
            request_id: fields()
                .ok()
                .filter(|_| matches!(self.head.kind, MessageKind::Request | MessageKind::Response))
                .and_then(|mut fields| field::find_request_id(&mut fields)),
            error,
        })
    }
}

/// Returns everything that a code covers.
fn signed_parts<'b>(head: &'b [u8], rest: &'b [Bytes]) -> SmallVec<[&'b [u8]; 3]> {
    std::iter::once(head)
        .chain(rest.iter().map(|frame| &**frame))
        .collect()
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
    let (body, parts) = message.body_and_parts();
    let mut frames = Vec::with_capacity(2 + parts.len());
    let mut out = encode(message, position)?;
    // A body without parts is left out if it is empty.
    if !(body.is_empty() && parts.is_empty()) {
        frames.push(body.clone());
        frames.extend_from_slice(parts);
    }
    let code = key.mac(&signed_parts(&out, &frames));
    out.put_slice(&code);
    frames.insert(0, out.freeze());
    Ok(frames)
}

/// Encodes a message without an authentication code: a hello, a challenge or a denial. `session` is 0 unless the message is a
/// challenge.
///
/// # Errors
///
/// Returns an error if a field exceeds its limit.
pub fn encode_unsealed(message: &WireMessage, session: u64) -> Result<Vec<Bytes>, EncodeError> {
    let position = Position {
        session,
        counter: 0,
        ack: 0,
    };
    Ok(vec![encode(message, position)?.freeze()])
}

fn encode(message: &WireMessage, position: Position) -> Result<BytesMut, EncodeError> {
    message.validate()?;
    let (body, parts) = message.body_and_parts();
    if std::iter::once(body)
        .chain(parts)
        .any(|frame| u32::try_from(frame.len()).is_err())
    {
        return Err(EncodeError::new(
            "body",
            "it has 4 GiB or more; send it in several calls",
        ));
    }
    let mut out = BytesMut::with_capacity(MessageHead::LENGTH + message.encoded_len() + MAC_LENGTH);
    let head = MessageHead {
        version: VERSION,
        kind: message.kind(),
        session: position.session,
        counter: position.counter,
        ack: position.ack,
    };
    head.write(&mut out);
    message.write(&mut out);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::codec::{CallRequest, ErrorCode, ErrorReply, Outcome, WireReply, WireRequest};

    #[test]
    fn encoded_len_is_an_upper_bound() {
        let headers = vec![("a".into(), "bc".into()), ("".into(), "d".into())];
        let parts = vec![Bytes::from_static(b"part"); 3];
        let call = CallRequest {
            operation: "slow_echo::echo".into(),
            contract: u64::MAX,
            traceparent: "00-1-2-03".into(),
            tracestate: "a=b".into(),
            headers: headers.clone(),
            body: Bytes::from_static(b"{}"),
            parts: parts.clone(),
            hops: 16,
            idempotent: true,
            nowait: true,
            ..CallRequest::new("request", "/service/slow")
        };
        let request = WireRequest {
            id: u64::MAX,
            timeout_ms: u32::MAX,
            more_waiting: true,
            call: call.into(),
        };
        let reply = WireReply {
            outcome: Outcome::Failure,
            status: -1,
            message: "OK".into(),
            headers,
            body: Bytes::from_static(b"{}"),
            parts,
        };
        let (request_id, limit) = (u64::MAX, u64::MAX);
        let reply = WireMessage::Reply {
            request_id,
            limit,
            reply,
        };
        let error = ErrorReply {
            retry_after_ms: u32::MAX,
            ..ErrorReply::new(ErrorCode::Busy, "no room")
        };
        let error = WireMessage::Error {
            request_id,
            limit,
            error,
        };
        let position = Position {
            session: 1,
            counter: 2,
            ack: 3,
        };
        for message in [WireMessage::Request(request), reply, error] {
            let encoded = encode(&message, position).unwrap();
            let bound = MessageHead::LENGTH + message.encoded_len();
            assert!(
                encoded.len() <= bound && bound < encoded.len() + 100,
                "{message:?}"
            );
        }
    }
}
