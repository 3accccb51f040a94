//! The messages of brubeck's protocol, and the requests and replies that they carry.

use super::handshake::{Denial, Hello, Proof, Welcome};
use super::head::{MessageHead, MessageKind};
use super::limits::{MAX_MESSAGE, MAX_METHOD, MAX_PATH, MAX_TRACEPARENT, MAX_TRACESTATE};
use super::{ByteStr, field};
use crate::codec::{Cursor, EncodeError, ParseError};
use bytes::{BufMut, Bytes, BytesMut};
use std::sync::Arc;

/// A message.
///
/// `request_id` numbers the requests of a session, from 1. `limit` is the highest request id that the caller may send. The latest limit
/// counts, even if it is lower than a previous one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireMessage {
    /// From the caller: begins the handshake.
    Hello(Hello),
    /// From the worker: requests a proof that the caller knows the passphrase.
    Challenge(Hello),
    /// From the caller: proves that it knows the passphrase.
    Proof(Proof),
    /// From the worker: opens the session, and proves that the worker knows the passphrase.
    Welcome(Welcome),
    /// From the caller: starts a handler.
    Request(WireRequest),
    /// From the worker: confirms that it accepted a request with the flag `nowait`. The handler may still be queued.
    Started {
        /// The id of the request.
        request_id: u64,
        /// The new limit.
        limit: u64,
    },
    /// From the worker: ends a request. Each request ends with exactly one reply or one [`Error`](Self::Error), unless its
    /// session ends first.
    Reply {
        /// The id of the request.
        request_id: u64,
        /// The new limit.
        limit: u64,
        /// The reply of the handler.
        reply: WireReply,
    },
    /// From the worker: ends a request without a reply.
    Error {
        /// The id of the request.
        request_id: u64,
        /// The new limit.
        limit: u64,
        /// The reason.
        error: ErrorReply,
    },
    /// From the caller: cancels a request.
    Cancel {
        /// The id of the request.
        request_id: u64,
    },
    /// From the worker: updates the limit.
    Credit {
        /// The new limit.
        limit: u64,
    },
    /// From the caller: requests a pong.
    Ping {
        /// An arbitrary number that the pong returns.
        stamp: u64,
        /// The last request id that was sent. Requests up to it that have not arrived are lost, and the worker never begins them.
        last_request_id: u64,
    },
    /// From the worker: responds to a ping.
    Pong {
        /// The stamp of the ping.
        stamp: u64,
        /// The new limit.
        limit: u64,
    },
    /// From the worker: announces that it accepts no further requests and finishes the accepted ones.
    Draining,
    /// From either side: ends the session.
    Bye {
        /// From the worker: the last request id that arrived or that a ping reported. The worker never begins requests with a
        /// higher id. From the caller: 0, without a meaning.
        last_request_id: u64,
    },
    /// From the worker: denies a session.
    Denied(Denial),
}

impl WireMessage {
    /// Returns the kind of the message.
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

    /// Returns the body, which is empty for kinds without one.
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

    /// Returns the number of bytes that the fields take. The number is exact for requests, replies and errors, and an upper bound for
    /// all other kinds. A buffer of this size is therefore never reallocated.
    pub(super) fn encoded_len(&self) -> usize {
        match self {
            Self::Request(request) => request.encoded_len(),
            Self::Reply { reply, .. } => 16 + reply.encoded_len(),
            Self::Error { error, .. } => 23 + error.message.len(),
            _ => 128,
        }
    }

    /// Returns an error if a text or the headers exceed their limits. The receiver could not decode such a message.
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

// Flags of a request.
const IDEMPOTENT: u16 = 1;
const NOWAIT: u16 = 2;
const MORE_WAITING: u16 = 4;

/// The request of a call: the part that is the same for each attempt to send it.
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
    /// The method, in lower case. At most 16 bytes.
    pub method: ByteStr,
    /// The path. At most 8 KiB.
    pub path: ByteStr,
    /// The W3C `traceparent` of the span that makes the call, or empty. At most 64 bytes.
    pub traceparent: ByteStr,
    /// The W3C `tracestate`, or empty. At most 512 bytes.
    pub tracestate: ByteStr,
    /// The names and values of the headers. At most 100 headers, and 16 KiB together.
    pub headers: Vec<(ByteStr, ByteStr)>,
    /// The body. The caller and the worker both limit its length, by default to 8 MiB.
    pub body: Bytes,
    /// The number of calls that led to this one. At most 16.
    pub hops: u8,
    /// Allows retries after the call may have run.
    pub idempotent: bool,
    /// Makes the worker confirm with [`WireMessage::Started`] that it accepted the request.
    pub nowait: bool,
}

impl CallRequest {
    /// Creates a request with a method and a path, and defaults for everything else.
    pub fn new(method: impl Into<ByteStr>, path: impl Into<ByteStr>) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            ..Self::default()
        }
    }

    /// Checks the lengths of the texts and headers. The limits of the body and of `hops` are checked by callers and workers.
    ///
    /// # Errors
    ///
    /// Returns an error if a field exceeds its limit.
    pub fn validate(&self) -> Result<(), EncodeError> {
        field::check_length(&self.method, MAX_METHOD, "method")?;
        field::check_length(&self.path, MAX_PATH, "path")?;
        field::check_length(&self.traceparent, MAX_TRACEPARENT, "traceparent")?;
        field::check_length(&self.tracestate, MAX_TRACESTATE, "tracestate")?;
        field::check_headers(&self.headers)
    }

    /// Returns the approximate size in memory, in bytes.
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

/// A request: one attempt to run a call on one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireRequest {
    /// The id of the request, which is higher than those of all previous requests of the session.
    pub id: u64,
    /// The time until the deadline, in milliseconds. 0 is refused as expired.
    pub timeout_ms: u32,
    /// Indicates that further calls wait for credit.
    pub more_waiting: bool,
    /// The request of the call. Shared, because the caller keeps it for retries.
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
        /// The numbers, and the length prefixes of the texts.
        const FIXED_LEN: usize = 19;
        let texts = [
            &self.call.method,
            &self.call.path,
            &self.call.traceparent,
            &self.call.tracestate,
        ];
        let texts: usize = texts.iter().map(|text| text.len()).sum();
        FIXED_LEN + texts + field::headers_encoded_len(&self.call.headers)
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

/// The reply of a handler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireReply {
    /// The status code, which may have any value.
    pub status: i32,
    /// The reason phrase of the status. At most 1 KiB.
    pub message: ByteStr,
    /// The names and values of the headers. At most 100 headers, and 16 KiB together.
    pub headers: Vec<(ByteStr, ByteStr)>,
    /// The body. The caller and the worker both limit its length, by default to 8 MiB.
    pub body: Bytes,
}

impl WireReply {
    /// Checks the lengths of the message and the headers. The limit of the body is checked by callers and workers.
    ///
    /// # Errors
    ///
    /// Returns an error if a field exceeds its limit.
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

/// The reason why a request ended without a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReply {
    /// The error code.
    pub code: ErrorCode,
    /// The time after which a retry may succeed, in milliseconds. Only set for [`ErrorCode::Busy`], otherwise 0.
    pub retry_after_ms: u32,
    /// A description of the error. At most 1 KiB.
    pub message: ByteStr,
}

impl ErrorReply {
    /// Creates an error with a `retry_after_ms` of 0. Truncates the message to its limit.
    pub(crate) fn new(code: ErrorCode, message: impl Into<ByteStr>) -> Self {
        Self {
            code,
            retry_after_ms: 0,
            message: message.into().truncated(MAX_MESSAGE),
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

/// The code of an error, which implies whether the handler may have run.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// Not begun: the worker is at capacity, or the caller has not read enough of its replies.
    Busy = 1,
    /// Not begun: the worker is draining.
    Draining = 2,
    /// Not begun: the worker refused the request, for example because it has too many hops.
    Refused = 3,
    /// Not begun: the body exceeds the limit of the worker.
    TooLarge = 4,
    /// Not begun: the request is malformed.
    BadRequest = 5,
    /// Not begun: the deadline passed first.
    Expired = 6,
    /// Begun and stopped at the deadline.
    Stopped = 7,
    /// Cancelled. The handler may have begun.
    Cancelled = 8,
    /// Begun, but the handler returned no reply, or one that exceeds a limit.
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
