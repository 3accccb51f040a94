//! The messages of the wire, and what a call asks and is answered.

use super::handshake::{Denial, Hello, Proof, Welcome};
use super::head::{MessageHead, MessageKind};
use super::limits::{MAX_MESSAGE, MAX_METHOD, MAX_PATH, MAX_TRACEPARENT, MAX_TRACESTATE};
use super::{ByteStr, field};
use crate::codec::{Cursor, EncodeError, ParseError};
use bytes::{BufMut, Bytes, BytesMut};
use std::sync::Arc;

/// One message. `limit` is always the highest call id that the caller may send from now on; the newest one counts, even
/// if it is lower than one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireMessage {
    /// Caller: I would like to open a session.
    Hello(Hello),
    /// Worker: prove that you know the passphrase.
    Challenge(Hello),
    /// Caller: the proof.
    Proof(Proof),
    /// Worker: the session is open, and this proves that I know the passphrase too.
    Welcome(Welcome),
    /// Caller: do this.
    Request(WireRequest),
    /// Worker: I have taken the call. Sent for requests that ask for it.
    Started {
        /// Which call.
        request_id: u64,
        /// See above.
        limit: u64,
    },
    /// Worker: the answer. A call ends in one of these or in one [`ParseError`](Self::Error).
    Reply {
        /// Which call.
        request_id: u64,
        /// See above.
        limit: u64,
        /// What the handler answered.
        reply: WireReply,
    },
    /// Worker: there will be no answer.
    Error {
        /// Which call.
        request_id: u64,
        /// See above.
        limit: u64,
        /// Why.
        error: ErrorReply,
    },
    /// Caller: nobody waits for this call any more.
    Cancel {
        /// Which call.
        request_id: u64,
    },
    /// Worker: how much may be sent.
    Credit {
        /// See above.
        limit: u64,
    },
    /// Caller: are you there?
    Ping {
        /// Anything; comes back.
        stamp: u64,
        /// The last call id that was sent. Requests up to it that did not arrive are lost, and never begun.
        last_request_id: u64,
    },
    /// Worker: I am here.
    Pong {
        /// From the ping.
        stamp: u64,
        /// See above.
        limit: u64,
    },
    /// Worker: I am stopping; what I have taken will be finished.
    Draining,
    /// Either: this session is over.
    Bye {
        /// From the worker: the last call id that arrived. Calls with a higher one were never begun, and never will be.
        last_request_id: u64,
    },
    /// Worker: there will be no session.
    Denied(Denial),
}

impl WireMessage {
    /// What it is for.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        match self {
            Self::Hello(_) => MessageKind::Hello,
            Self::Challenge(_) => MessageKind::Challenge,
            Self::Proof(_) => MessageKind::Proof,
            Self::Welcome(_) => MessageKind::Welcome,
            Self::Request(_) => MessageKind::Request,
            Self::Started { .. } => MessageKind::Started,
            Self::Reply { .. } => MessageKind::Reply,
            Self::Error { .. } => MessageKind::Error,
            Self::Cancel { .. } => MessageKind::Cancel,
            Self::Credit { .. } => MessageKind::Credit,
            Self::Ping { .. } => MessageKind::Ping,
            Self::Pong { .. } => MessageKind::Pong,
            Self::Draining => MessageKind::Draining,
            Self::Bye { .. } => MessageKind::Bye,
            Self::Denied(_) => MessageKind::Denied,
        }
    }

    /// The body; empty for kinds that have none.
    #[must_use]
    pub fn body(&self) -> Bytes {
        match self {
            Self::Request(request) => request.call.body.clone(),
            Self::Reply { reply, .. } => reply.body.clone(),
            _ => Bytes::new(),
        }
    }

    pub(super) fn flags(&self) -> u16 {
        match self {
            Self::Request(request) => request.flags(),
            _ => 0,
        }
    }

    pub(super) fn read(head: &MessageHead, cursor: &mut Cursor<'_>, body: Bytes) -> Result<Self, ParseError> {
        Ok(match head.kind {
            MessageKind::Hello => Self::Hello(Hello::read(cursor)?),
            MessageKind::Challenge => Self::Challenge(Hello::read(cursor)?),
            MessageKind::Proof => Self::Proof(Proof::read(cursor)?),
            MessageKind::Welcome => Self::Welcome(Welcome::read(cursor)?),
            MessageKind::Request => Self::Request(WireRequest::read(cursor, head.flags, body)?),
            MessageKind::Started => Self::Started {
                request_id: field::u64(cursor)?,
                limit: field::u64(cursor)?,
            },
            MessageKind::Reply => Self::Reply {
                request_id: field::u64(cursor)?,
                limit: field::u64(cursor)?,
                reply: WireReply::read(cursor, body)?,
            },
            MessageKind::Error => Self::Error {
                request_id: field::u64(cursor)?,
                limit: field::u64(cursor)?,
                error: ErrorReply::read(cursor)?,
            },
            MessageKind::Cancel => Self::Cancel {
                request_id: field::u64(cursor)?,
            },
            MessageKind::Credit => Self::Credit {
                limit: field::u64(cursor)?,
            },
            MessageKind::Ping => Self::Ping {
                stamp: field::u64(cursor)?,
                last_request_id: field::u64(cursor)?,
            },
            MessageKind::Pong => Self::Pong {
                stamp: field::u64(cursor)?,
                limit: field::u64(cursor)?,
            },
            MessageKind::Draining => Self::Draining,
            MessageKind::Bye => Self::Bye {
                last_request_id: field::u64(cursor)?,
            },
            MessageKind::Denied => Self::Denied(Denial::read(cursor)?),
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Hello(hello) | Self::Challenge(hello) => hello.write(out),
            Self::Proof(proof) => proof.write(out),
            Self::Welcome(welcome) => welcome.write(out),
            Self::Request(request) => request.write(out),
            Self::Started { request_id, limit } => {
                out.put_u64(*request_id);
                out.put_u64(*limit);
            }
            Self::Reply {
                request_id,
                limit,
                reply,
            } => {
                out.put_u64(*request_id);
                out.put_u64(*limit);
                reply.write(out);
            }
            Self::Error {
                request_id,
                limit,
                error,
            } => {
                out.put_u64(*request_id);
                out.put_u64(*limit);
                error.write(out);
            }
            Self::Cancel { request_id } => out.put_u64(*request_id),
            Self::Credit { limit } => out.put_u64(*limit),
            Self::Ping {
                stamp,
                last_request_id,
            } => {
                out.put_u64(*stamp);
                out.put_u64(*last_request_id);
            }
            Self::Pong { stamp, limit } => {
                out.put_u64(*stamp);
                out.put_u64(*limit);
            }
            Self::Draining => {}
            Self::Bye { last_request_id } => out.put_u64(*last_request_id),
            Self::Denied(denial) => out.put_u8(*denial as u8),
        }
    }

    /// How many bytes its fields take. It is exact for those that are sent the most, so that their memory can be handed on
    /// as it is; for others it is enough.
    pub(super) fn encoded_len(&self) -> usize {
        match self {
            Self::Request(request) => request.encoded_len(),
            Self::Reply { reply, .. } => 16 + reply.encoded_len(),
            Self::Error { error, .. } => 23 + error.message.len(),
            _ => 128,
        }
    }

    /// Refuses what the other side would not read.
    pub(super) fn validate(&self) -> Result<(), EncodeError> {
        match self {
            Self::Proof(proof) => proof.validate(),
            Self::Welcome(welcome) => welcome.validate(),
            Self::Request(request) => request.call.validate(),
            Self::Reply { reply, .. } => reply.validate(),
            Self::Error { error, .. } => error.validate(),
            _ => Ok(()),
        }
    }
}

const IDEMPOTENT: u16 = 1;
const NOWAIT: u16 = 2;
const MORE_WAITING: u16 = 4;

/// What is asked: the part of a call that stays the same wherever it is sent.
///
/// ```
/// use brubeck_runtime::wire::v2::CallRequest;
///
/// let call = CallRequest { idempotent: true, ..CallRequest::new("request", "/service/slow") };
/// assert_eq!(call.path, "/service/slow");
/// assert!(call.validate().is_ok());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallRequest {
    /// The method, in lower case.
    pub method: ByteStr,
    /// The path.
    pub path: ByteStr,
    /// The W3C `traceparent` of the span that asks; may be empty.
    pub traceparent: ByteStr,
    /// The W3C `tracestate`; may be empty.
    pub tracestate: ByteStr,
    /// Names and values.
    pub headers: Vec<(ByteStr, ByteStr)>,
    /// The body.
    pub body: Bytes,
    /// How many calls led to this one.
    pub hops: u8,
    /// Whether it does no harm to do it twice.
    pub idempotent: bool,
    /// Whether the caller wants to hear when the worker has taken it.
    pub nowait: bool,
}

impl CallRequest {
    /// Asks for this path, with nothing else set.
    pub fn new(method: impl Into<ByteStr>, path: impl Into<ByteStr>) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            ..Self::default()
        }
    }

    /// Refuses what a worker would not read.
    ///
    /// # Errors
    /// The field that is too long, and what to do about it.
    pub fn validate(&self) -> Result<(), EncodeError> {
        field::check_length(&self.method, MAX_METHOD, "method")?;
        field::check_length(&self.path, MAX_PATH, "path")?;
        field::check_length(&self.traceparent, MAX_TRACEPARENT, "traceparent")?;
        field::check_length(&self.tracestate, MAX_TRACESTATE, "tracestate")?;
        field::check_headers(&self.headers)
    }

    /// How much memory it takes, roughly, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        self.method.len() + self.path.len() + self.tracestate.len() + headers + self.body.len()
    }
}

/// One call to one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireRequest {
    /// Which call of the session it is; every request has a higher one than the one before.
    pub id: u64,
    /// How long the answer is of use, in milliseconds from now.
    pub timeout_ms: u32,
    /// Whether more calls wait for leave to be sent.
    pub more_waiting: bool,
    /// What is asked; shared, because whoever may have to send it again keeps it.
    pub call: Arc<CallRequest>,
}

impl WireRequest {
    pub(super) fn read(cursor: &mut Cursor<'_>, flags: u16, body: Bytes) -> Result<Self, ParseError> {
        Ok(Self {
            id: field::u64(cursor)?,
            timeout_ms: field::u32(cursor)?,
            more_waiting: flags & MORE_WAITING != 0,
            call: Arc::new(CallRequest {
                hops: field::u8(cursor)?,
                method: field::short_text(cursor, MAX_METHOD, "a method of at most 16 bytes in UTF-8")?,
                path: field::text(cursor, MAX_PATH, "a path of at most 8 KiB in UTF-8")?,
                traceparent: field::short_text(cursor, MAX_TRACEPARENT, "a traceparent of at most 64 bytes")?,
                tracestate: field::text(cursor, MAX_TRACESTATE, "a tracestate of at most 512 bytes")?,
                headers: field::headers(cursor)?,
                body,
                idempotent: flags & IDEMPOTENT != 0,
                nowait: flags & NOWAIT != 0,
            }),
        })
    }

    pub(super) fn flags(&self) -> u16 {
        let flag = |set, bit| if set { bit } else { 0 };
        flag(self.call.idempotent, IDEMPOTENT)
            | flag(self.call.nowait, NOWAIT)
            | flag(self.more_waiting, MORE_WAITING)
    }

    pub(super) fn encoded_len(&self) -> usize {
        let texts = [
            &self.call.method,
            &self.call.path,
            &self.call.traceparent,
            &self.call.tracestate,
        ];
        let texts: usize = texts.iter().map(|text| text.len()).sum();
        // The numbers, and the lengths of the texts.
        19 + texts + field::headers_encoded_len(&self.call.headers)
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        out.put_u64(self.id);
        out.put_u32(self.timeout_ms);
        out.put_u8(self.call.hops);
        field::put_short_text(out, &self.call.method);
        field::put_text(out, &self.call.path);
        field::put_short_text(out, &self.call.traceparent);
        field::put_text(out, &self.call.tracestate);
        field::put_headers(out, &self.call.headers);
    }
}

/// What a handler answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireReply {
    /// The status code.
    pub status: i32,
    /// What goes with the status, for people.
    pub message: ByteStr,
    /// Names and values.
    pub headers: Vec<(ByteStr, ByteStr)>,
    /// The body.
    pub body: Bytes,
}

impl WireReply {
    /// Refuses what a caller would not read.
    ///
    /// # Errors
    /// The field that is too long, and what to do about it.
    pub fn validate(&self) -> Result<(), EncodeError> {
        field::check_length(&self.message, MAX_MESSAGE, "message")?;
        field::check_headers(&self.headers)
    }

    pub(super) fn read(cursor: &mut Cursor<'_>, body: Bytes) -> Result<Self, ParseError> {
        Ok(Self {
            status: field::i32(cursor)?,
            message: message(cursor)?,
            headers: field::headers(cursor)?,
            body,
        })
    }

    pub(super) fn encoded_len(&self) -> usize {
        6 + self.message.len() + field::headers_encoded_len(&self.headers)
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        out.put_i32(self.status);
        field::put_text(out, &self.message);
        field::put_headers(out, &self.headers);
    }
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReply {
    /// What happened.
    pub code: ErrorCode,
    /// When it may be worth asking again, in milliseconds.
    pub retry_after_ms: u32,
    /// More about it, for people.
    pub message: ByteStr,
}

impl ErrorReply {
    pub(crate) fn new(code: ErrorCode, message: impl Into<ByteStr>) -> Self {
        Self {
            code,
            retry_after_ms: 0,
            message: message.into().cut(MAX_MESSAGE),
        }
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        Ok(Self {
            code: ErrorCode::read(cursor)?,
            retry_after_ms: field::u32(cursor)?,
            message: message(cursor)?,
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        out.put_u8(self.code as u8);
        out.put_u32(self.retry_after_ms);
        field::put_text(out, &self.message);
    }

    pub(super) fn validate(&self) -> Result<(), EncodeError> {
        field::check_length(&self.message, MAX_MESSAGE, "message")
    }
}

/// What happened to a call that got no reply.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// Not begun: there is no room.
    Busy = 1,
    /// Not begun: the worker is stopping.
    Draining = 2,
    /// Not begun: the worker does not want it.
    Refused = 3,
    /// Not begun: the request is too large.
    TooLarge = 4,
    /// Not begun: the request cannot be read.
    BadRequest = 5,
    /// Not begun before its deadline.
    Expired = 6,
    /// Begun, and stopped at its deadline.
    Stopped = 7,
    /// Ended because it was cancelled; it may have begun.
    Cancelled = 8,
    /// Begun, and there is no answer that could be sent.
    Failed = 9,
}

impl ErrorCode {
    const ALL: [Self; 9] = [
        Self::Busy,
        Self::Draining,
        Self::Refused,
        Self::TooLarge,
        Self::BadRequest,
        Self::Expired,
        Self::Stopped,
        Self::Cancelled,
        Self::Failed,
    ];

    fn read(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let at = cursor.position();
        let byte = field::u8(cursor)?;
        Self::ALL
            .into_iter()
            .find(|code| *code as u8 == byte)
            .ok_or(ParseError::Expected {
                at,
                what: "an error code from 1 to 9",
            })
    }
}

fn message(cursor: &mut Cursor<'_>) -> Result<ByteStr, ParseError> {
    field::text(cursor, MAX_MESSAGE, "a message of at most 1 KiB in UTF-8")
}
