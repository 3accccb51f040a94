//! The messages of brubeck's protocol, and the requests and replies that they carry.

use super::ByteStr;
use super::field::{self, Fields, number};
use super::handshake::{Denial, Hello, Welcome};
use super::head::{MessageHead, MessageKind};
use super::limits::{
    MAX_MESSAGE, MAX_METHOD, MAX_OPERATION, MAX_PARTS, MAX_PATH, MAX_TRACEPARENT, MAX_TRACESTATE,
};
use crate::codec::{EncodeError, ParseError};
use crate::outcome::Outcome;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// A message.
///
/// `request_id` numbers the requests of a session, from 1. `limit` is the highest request id that the caller may send. The latest limit
/// counts, even if it is lower than a previous one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireMessage {
    /// From the caller: begins the handshake.
    Hello(Hello),
    /// From the worker: opens the session.
    Welcome(Welcome),
    /// From the caller: starts a handler.
    Request(WireRequest),
    /// From the worker: confirms that it accepted a request with the flag `nowait`. The handler may still be queued.
    Accepted {
        /// The id of the request.
        request_id: u64,
        /// The new limit.
        limit: u64,
    },
    /// From the worker: ends a request with what the application has responded. Each request ends with exactly one reply or one
    /// [`Error`](Self::Error), unless its session ends first. Both are sent as a `response`, and differ in its outcome.
    Reply {
        /// The id of the request.
        request_id: u64,
        /// The new limit.
        limit: u64,
        /// The reply of the application.
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
            Self::Welcome(_) => MessageKind::Welcome,
            Self::Request(_) => MessageKind::Request,
            Self::Accepted { .. } => MessageKind::Accepted,
            Self::Reply { .. } | Self::Error { .. } => MessageKind::Response,
            Self::Cancel { .. } => MessageKind::Cancel,
            Self::Credit { .. } => MessageKind::Credit,
            Self::Ping { .. } => MessageKind::Ping,
            Self::Pong { .. } => MessageKind::Pong,
            Self::Draining => MessageKind::Draining,
            Self::Bye { .. } => MessageKind::Bye,
            Self::Denied(_) => MessageKind::Denied,
        }
    }

    /// Returns the body and its parts, which are empty for kinds without them.
    #[must_use]
    pub fn body_and_parts(&self) -> (&Bytes, &[Bytes]) {
        static EMPTY: Bytes = Bytes::new();
        match self {
            Self::Request(request) => (&request.call.body, &request.call.parts),
            Self::Reply { reply, .. } => (&reply.body, &reply.parts),
            _ => (&EMPTY, &[]),
        }
    }

    pub(super) fn from_fields(
        head: &MessageHead,
        fields: &mut Fields,
        frames: &[Bytes],
    ) -> Result<Self, ParseError> {
        let require = |numbers: &[u8], what| fields.require(numbers, what);
        Ok(match head.kind {
            MessageKind::Hello => Self::Hello(Hello::from_fields(fields)?),
            MessageKind::Welcome => Self::Welcome(Welcome::from_fields(fields)?),
            MessageKind::Request => {
                require(
                    &[number::request_id, number::timeout],
                    "a request id and a timeout",
                )?;
                Self::Request(WireRequest::from_fields(fields, frames)?)
            }
            MessageKind::Accepted => {
                require(&[number::request_id, number::limit], "a request id and a limit")?;
                Self::Accepted {
                    request_id: fields.request_id,
                    limit: fields.limit,
                }
            }
            MessageKind::Response => {
                let numbers = [number::request_id, number::limit, number::outcome];
                require(&numbers, "a request id, a limit and an outcome")?;
                let (request_id, limit) = (fields.request_id, fields.limit);
                match outcome_of(fields.outcome) {
                    Some(outcome) => {
                        require(&[number::status], "a status, which this outcome has")?;
                        Self::Reply {
                            request_id,
                            limit,
                            reply: WireReply::from_fields(outcome, fields, frames)?,
                        }
                    }
                    None => Self::Error {
                        request_id,
                        limit,
                        error: ErrorReply::from_fields(fields)?,
                    },
                }
            }
            MessageKind::Cancel => {
                require(&[number::request_id], "a request id")?;
                Self::Cancel {
                    request_id: fields.request_id,
                }
            }
            MessageKind::Credit => {
                require(&[number::limit], "a limit")?;
                Self::Credit { limit: fields.limit }
            }
            MessageKind::Ping => {
                require(
                    &[number::stamp, number::last_request_id],
                    "a stamp and the last request id",
                )?;
                Self::Ping {
                    stamp: fields.stamp,
                    last_request_id: fields.last_request_id,
                }
            }
            MessageKind::Pong => {
                require(&[number::stamp, number::limit], "a stamp and a limit")?;
                Self::Pong {
                    stamp: fields.stamp,
                    limit: fields.limit,
                }
            }
            MessageKind::Draining => Self::Draining,
            MessageKind::Bye => Self::Bye {
                last_request_id: fields.last_request_id,
            },
            MessageKind::Denied => Self::Denied(Denial::from_fields(fields)?),
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Hello(hello) => hello.write(out),
            Self::Welcome(welcome) => welcome.write(out),
            Self::Request(request) => request.write(out),
            Self::Accepted { request_id, limit } => write_ids(out, *request_id, *limit),
            Self::Reply {
                request_id,
                limit,
                reply,
            } => {
                write_ids(out, *request_id, *limit);
                reply.write(out);
            }
            Self::Error {
                request_id,
                limit,
                error,
            } => {
                write_ids(out, *request_id, *limit);
                error.write(out);
            }
            Self::Cancel { request_id } => field::put_number(out, number::request_id, *request_id),
            Self::Credit { limit } => field::put_number(out, number::limit, *limit),
            Self::Ping {
                stamp,
                last_request_id,
            } => {
                field::put_number(out, number::stamp, *stamp);
                field::put_number(out, number::last_request_id, *last_request_id);
            }
            Self::Pong { stamp, limit } => {
                field::put_number(out, number::stamp, *stamp);
                field::put_number(out, number::limit, *limit);
            }
            Self::Draining => {}
            Self::Bye { last_request_id } => {
                field::put_number(out, number::last_request_id, *last_request_id);
            }
            Self::Denied(denial) => denial.write(out),
        }
    }

    /// Returns an upper bound of the number of bytes that the fields take. A buffer of this size is never reallocated.
    pub(super) fn encoded_len(&self) -> usize {
        match self {
            Self::Request(request) => request.encoded_len(),
            Self::Reply { reply, .. } => reply.encoded_len(),
            Self::Error { error, .. } => field::encoded_len(5, &[&error.message], &[], 0),
            _ => 128,
        }
    }

    /// Returns an error if a text or the headers exceed their limits. The receiver could not decode such a message.
    pub(super) fn validate(&self) -> Result<(), EncodeError> {
        match self {
            Self::Hello(hello) => hello.validate(),
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

fn write_ids(out: &mut BytesMut, request_id: u64, limit: u64) {
    field::put_number(out, number::request_id, request_id);
    field::put_number(out, number::limit, limit);
}

/// Splits the frames after the head into the body and its parts, and checks their lengths.
fn split_frames(fields: &Fields, frames: &[Bytes]) -> Result<(Bytes, Vec<Bytes>), ParseError> {
    let announced = fields.lengths.chunks_exact(4);
    let lengths = frames
        .iter()
        .map(|frame| u32::try_from(frame.len()).unwrap_or(u32::MAX));
    if !announced.eq(lengths.map(u32::to_be_bytes)) {
        return Err(ParseError::Frames {
            found: 1 + frames.len(),
            what: "a head, and frames with the lengths that it announces",
        });
    }
    // JSON is the only encoding so far.
    if fields.codec != 0 {
        return Err(ParseError::Expected {
            at: 0,
            what: "a body in JSON, which is codec 0",
        });
    }
    match frames.split_first() {
        Some((body, parts)) => Ok((body.clone(), parts.to_vec())),
        None => Ok((Bytes::new(), Vec::new())),
    }
}

/// Returns an error if there are more parts than the receiver accepts.
fn check_parts(parts: &[Bytes]) -> Result<(), EncodeError> {
    if parts.len() > MAX_PARTS {
        return Err(EncodeError::new(
            "parts",
            "there are more than 64; join some of them, or send them in several calls",
        ));
    }
    Ok(())
}

fn total_len(body: &Bytes, parts: &[Bytes]) -> usize {
    parts
        .iter()
        .fold(body.len(), |sum, part| sum.saturating_add(part.len()))
}

/// The request of a call: the part that is the same for each attempt to send it.
///
/// ```
/// use brubeck_runtime::wire::v3::CallRequest;
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
    /// The name of the operation of a contract, or empty. At most 256 bytes.
    pub operation: ByteStr,
    /// A digest of the operation, or 0 if it is not known.
    pub contract: u64,
    /// The W3C `traceparent` of the span that makes the call, or empty. At most 64 bytes.
    pub traceparent: ByteStr,
    /// The W3C `tracestate`, or empty. At most 512 bytes.
    pub tracestate: ByteStr,
    /// The names and values of the headers. At most 100 headers, and 16 KiB together.
    pub headers: Vec<(ByteStr, ByteStr)>,
    /// The body. The caller and the worker both limit its length together with that of the parts, by default to 8 MiB.
    pub body: Bytes,
    /// The bytes to which the body refers. At most 64.
    pub parts: Vec<Bytes>,
    /// The number of calls that led to this one. At most 16.
    pub hops: u8,
    /// Allows retries after the call may have run.
    pub idempotent: bool,
    /// Makes the worker confirm with [`WireMessage::Accepted`] that it accepted the request.
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
        field::check_length(&self.operation, MAX_OPERATION, "operation")?;
        field::check_length(&self.traceparent, MAX_TRACEPARENT, "traceparent")?;
        field::check_length(&self.tracestate, MAX_TRACESTATE, "tracestate")?;
        field::check_headers(&self.headers)?;
        check_parts(&self.parts)
    }

    /// Returns the length of the body and its parts together, in bytes.
    #[must_use]
    pub fn body_len(&self) -> usize {
        total_len(&self.body, &self.parts)
    }

    /// Returns the approximate size in memory, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        let texts = self.method.len() + self.path.len() + self.operation.len() + self.tracestate.len();
        texts.saturating_add(headers).saturating_add(self.body_len())
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
    fn from_fields(fields: &mut Fields, frames: &[Bytes]) -> Result<Self, ParseError> {
        let (body, parts) = split_frames(fields, frames)?;
        let take = std::mem::take::<ByteStr>;
        Ok(Self {
            id: fields.request_id,
            timeout_ms: fields.timeout,
            more_waiting: fields.flags & MORE_WAITING != 0,
            call: Arc::new(CallRequest {
                method: take(&mut fields.method),
                path: take(&mut fields.path),
                operation: take(&mut fields.operation),
                contract: fields.contract,
                traceparent: take(&mut fields.traceparent),
                tracestate: take(&mut fields.tracestate),
                headers: std::mem::take(&mut fields.header),
                body,
                parts,
                hops: fields.hops,
                idempotent: fields.flags & IDEMPOTENT != 0,
                nowait: fields.flags & NOWAIT != 0,
            }),
        })
    }

    fn flags(&self) -> u16 {
        let flag = |set, bit| if set { bit } else { 0 };
        flag(self.call.idempotent, IDEMPOTENT)
            | flag(self.call.nowait, NOWAIT)
            | flag(self.more_waiting, MORE_WAITING)
    }

    fn encoded_len(&self) -> usize {
        let call = &self.call;
        let texts = [
            &call.method,
            &call.path,
            &call.operation,
            &call.traceparent,
            &call.tracestate,
        ];
        field::encoded_len(5, &texts, &call.headers, 1 + call.parts.len())
    }

    fn write(&self, out: &mut BytesMut) {
        let call = &self.call;
        field::put_number(out, number::request_id, self.id);
        field::put_number(out, number::timeout, self.timeout_ms);
        field::put_number_unless_zero(out, number::hops, call.hops);
        field::put_number_unless_zero(out, number::flags, self.flags());
        field::put_text(out, number::method, &call.method);
        field::put_text(out, number::path, &call.path);
        field::put_text(out, number::operation, &call.operation);
        field::put_number_unless_zero(out, number::contract, call.contract);
        field::put_text(out, number::traceparent, &call.traceparent);
        field::put_text(out, number::tracestate, &call.tracestate);
        field::put_headers(out, &call.headers);
        field::put_lengths(out, &call.body, &call.parts);
    }
}

/// Returns the number of an outcome on the wire. The numbers of [`ErrorCode`] follow.
const fn outcome_number(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Value => 1,
        Outcome::Failure => 2,
        Outcome::Rejected => 3,
        Outcome::Panicked => 4,
    }
}

fn outcome_of(number: u8) -> Option<Outcome> {
    const ALL: [Outcome; 4] = [
        Outcome::Value,
        Outcome::Failure,
        Outcome::Rejected,
        Outcome::Panicked,
    ];
    ALL.into_iter().find(|outcome| outcome_number(*outcome) == number)
}

/// The reply of the application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireReply {
    /// The outcome.
    pub outcome: Outcome,
    /// The status code, which may have any value.
    pub status: i32,
    /// The reason phrase of the status. At most 1 KiB.
    pub message: ByteStr,
    /// The names and values of the headers. At most 100 headers, and 16 KiB together.
    pub headers: Vec<(ByteStr, ByteStr)>,
    /// The body. The caller and the worker both limit its length together with that of the parts, by default to 8 MiB.
    pub body: Bytes,
    /// The bytes to which the body refers. At most 64.
    pub parts: Vec<Bytes>,
}

impl WireReply {
    /// Checks the lengths of the message and the headers. The limit of the body is checked by callers and workers.
    ///
    /// # Errors
    ///
    /// Returns an error if a field exceeds its limit.
    pub fn validate(&self) -> Result<(), EncodeError> {
        field::check_length(&self.message, MAX_MESSAGE, "message")?;
        field::check_headers(&self.headers)?;
        check_parts(&self.parts)
    }

    /// Returns the length of the body and its parts together, in bytes.
    #[must_use]
    pub fn body_len(&self) -> usize {
        total_len(&self.body, &self.parts)
    }

    fn from_fields(outcome: Outcome, fields: &mut Fields, frames: &[Bytes]) -> Result<Self, ParseError> {
        let (body, parts) = split_frames(fields, frames)?;
        Ok(Self {
            outcome,
            status: fields.status,
            message: std::mem::take(&mut fields.message),
            headers: std::mem::take(&mut fields.header),
            body,
            parts,
        })
    }

    fn encoded_len(&self) -> usize {
        field::encoded_len(5, &[&self.message], &self.headers, 1 + self.parts.len())
    }

    fn write(&self, out: &mut BytesMut) {
        field::put_number(out, number::outcome, outcome_number(self.outcome));
        field::put_i32(out, number::status, self.status);
        if self.outcome != Outcome::Value {
            field::put_number(out, number::may_have_run, self.outcome.may_have_run());
        }
        field::put_text(out, number::message, &self.message);
        field::put_headers(out, &self.headers);
        field::put_lengths(out, &self.body, &self.parts);
    }
}

/// The reason why a request ended without a reply of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReply {
    /// The error code.
    pub code: ErrorCode,
    /// Whether the handler may have run.
    pub may_have_run: bool,
    /// The time after which a retry may succeed, in milliseconds. Only set for [`ErrorCode::Busy`], otherwise 0.
    pub retry_after_ms: u32,
    /// A description of the error. At most 1 KiB.
    pub message: ByteStr,
}

impl ErrorReply {
    /// Creates an error with a `retry_after_ms` of 0, after which the handler has not run unless the code is
    /// [`Failed`](ErrorCode::Failed). Truncates the message to its limit.
    pub(crate) fn new(code: ErrorCode, message: impl Into<ByteStr>) -> Self {
        Self {
            code,
            may_have_run: code == ErrorCode::Failed,
            retry_after_ms: 0,
            message: message.into().truncated(MAX_MESSAGE),
        }
    }

    fn from_fields(fields: &mut Fields) -> Result<Self, ParseError> {
        fields.require(&[number::may_have_run], "whether the handler may have run")?;
        Ok(Self {
            code: ErrorCode::from_number(fields.outcome).ok_or(ParseError::Expected {
                at: 0,
                what: "an outcome from 1 to 12",
            })?,
            may_have_run: fields.may_have_run,
            retry_after_ms: fields.retry_after,
            message: std::mem::take(&mut fields.message),
        })
    }

    fn write(&self, out: &mut BytesMut) {
        field::put_number(out, number::outcome, self.code as u8);
        field::put_number(out, number::may_have_run, self.may_have_run);
        field::put_number_unless_zero(out, number::retry_after, self.retry_after_ms);
        field::put_text(out, number::message, &self.message);
    }

    pub(super) fn validate(&self) -> Result<(), EncodeError> {
        field::check_length(&self.message, MAX_MESSAGE, "message")
    }
}

/// The outcome of a request that has no reply of the application.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The caller cancelled the request.
    Cancelled = 5,
    /// The deadline has passed.
    TimedOut = 6,
    /// Not begun: the worker is at capacity, or the caller has not read enough of its responses.
    Busy = 7,
    /// Not begun: the worker is draining.
    Draining = 8,
    /// Not begun: the worker refused the request, for example because it has too many hops.
    Refused = 9,
    /// Not begun: the body exceeds the limit of the worker.
    TooLarge = 10,
    /// Not begun: the request is malformed.
    BadRequest = 11,
    /// Begun, but the handler returned no reply, or one that exceeds a limit.
    Failed = 12,
}

impl ErrorCode {
    const ALL: [Self; 8] = [
        Self::Cancelled,
        Self::TimedOut,
        Self::Busy,
        Self::Draining,
        Self::Refused,
        Self::TooLarge,
        Self::BadRequest,
        Self::Failed,
    ];

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|code| *code as u8 == number)
    }
}
