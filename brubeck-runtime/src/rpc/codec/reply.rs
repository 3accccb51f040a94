//! The response of a call: a reply of its handler, or an error.

use super::ByteStr;
use super::body::{check_parts, split_frames, total_len};
use super::field::{self, Fields, number};
use super::limits::MAX_MESSAGE;
use crate::codec::{EncodeError, ParseError};
use crate::outcome::Outcome;
use bytes::{Bytes, BytesMut};

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

    pub(super) fn from_fields(
        outcome: Outcome,
        fields: &mut Fields,
        frames: &[Bytes],
    ) -> Result<Self, ParseError> {
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

    pub(super) fn encoded_len(&self) -> usize {
        field::encoded_len(5, &[&self.message], &self.headers, 1 + self.parts.len())
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
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

    pub(super) fn from_fields(fields: &mut Fields) -> Result<Self, ParseError> {
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

    pub(super) fn write(&self, out: &mut BytesMut) {
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

    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|code| *code as u8 == number)
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

pub(super) fn outcome_of(number: u8) -> Option<Outcome> {
    const ALL: [Outcome; 4] = [
        Outcome::Value,
        Outcome::Failure,
        Outcome::Rejected,
        Outcome::Panicked,
    ];
    ALL.into_iter().find(|outcome| outcome_number(*outcome) == number)
}
