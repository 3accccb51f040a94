//! The framing of messages.

use super::field::{self, Fields};
use super::head::{MessageHead, MessageKind, VERSION};
use super::limits::MAX_FRAMES;
use super::message::WireMessage;
use crate::codec::{Cursor, EncodeError, ParseError};
use bytes::{Bytes, BytesMut};

/// A received message of which only the [head](MessageHead) was decoded.
#[derive(Clone, Debug)]
pub struct RawMessage<'a> {
    head: MessageHead,
    frame: &'a Bytes,
    /// The body and its parts.
    rest: &'a [Bytes],
}

/// The error of a message whose fields are malformed.
#[derive(Clone, Debug)]
pub struct InvalidMessage {
    /// The id of the request, if the message is a request or a response that contains one.
    pub request_id: Option<u64>,
    /// The error of the malformed field.
    pub error: ParseError,
}

impl<'a> RawMessage<'a> {
    /// Decodes the head of a message. The first frame holds head and fields; further ones hold the body and its parts.
    ///
    /// # Errors
    ///
    /// Returns an error if the head is malformed, has another version than [`VERSION`] or does not match the number of frames, or
    /// if the first frame has more than 32 KiB. The fields are not checked.
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
        Ok(Self { head, frame, rest })
    }

    /// Returns the head.
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

    /// Decodes the message. Does not check the session or the counter.
    ///
    /// # Errors
    ///
    /// Returns an error if a field is malformed.
    pub fn decode(&self) -> Result<WireMessage, InvalidMessage> {
        let fields = || {
            let mut cursor = Cursor::new(self.frame);
            cursor.split_to(MessageHead::LENGTH)?;
            Ok(cursor)
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

impl Position {
    /// The position of `hello` and `denied`, which are sent without a session.
    pub const NONE: Position = Position {
        session: 0,
        counter: 0,
        ack: 0,
    };
}

/// Encodes a message: its head frame, its body, and its parts.
///
/// # Errors
///
/// Returns an error if a field exceeds its limit or the body has 4 GiB or more.
pub fn encode(message: &WireMessage, position: Position) -> Result<Vec<Bytes>, EncodeError> {
    let (body, parts) = message.body_and_parts();
    let mut frames = Vec::with_capacity(2 + parts.len());
    frames.push(encode_head(message, position)?.freeze());
    // A body without parts is left out if it is empty.
    if !(body.is_empty() && parts.is_empty()) {
        frames.push(body.clone());
        frames.extend_from_slice(parts);
    }
    Ok(frames)
}

fn encode_head(message: &WireMessage, position: Position) -> Result<BytesMut, EncodeError> {
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
    let mut out = BytesMut::with_capacity(MessageHead::LENGTH + message.encoded_len());
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
            let encoded = encode_head(&message, position).unwrap();
            let bound = MessageHead::LENGTH + message.encoded_len();
            assert!(
                encoded.len() <= bound && bound < encoded.len() + 100,
                "{message:?}"
            );
        }
    }
}
