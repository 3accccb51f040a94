//! The request of a call.

use super::ByteStr;
use super::body::{check_parts, split_frames, total_len};
use super::field::{self, Fields, number};
use super::limits::{MAX_METHOD, MAX_OPERATION, MAX_PATH, MAX_TRACEPARENT, MAX_TRACESTATE};
use crate::codec::{EncodeError, ParseError};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

// Flags of a request.
const IDEMPOTENT: u16 = 1;
const NOWAIT: u16 = 2;
const MORE_WAITING: u16 = 4;

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
    /// Makes the worker confirm with [`WireMessage::Accepted`](super::WireMessage::Accepted) that it accepted the request.
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
    pub(super) fn from_fields(fields: &mut Fields, frames: &[Bytes]) -> Result<Self, ParseError> {
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

    pub(super) fn flags(&self) -> u16 {
        let flag = |set, bit| if set { bit } else { 0 };
        flag(self.call.idempotent, IDEMPOTENT)
            | flag(self.call.nowait, NOWAIT)
            | flag(self.more_waiting, MORE_WAITING)
    }

    pub(super) fn encoded_len(&self) -> usize {
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

    pub(super) fn write(&self, out: &mut BytesMut) {
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
