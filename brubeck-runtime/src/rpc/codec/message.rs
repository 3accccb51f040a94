//! The messages of brubeck's protocol.

use super::field::{self, Fields, number};
use super::handshake::{Denial, Hello, Welcome};
use super::head::{MessageHead, MessageKind};
use super::reply::{ErrorReply, WireReply, outcome_of};
use super::request::WireRequest;
use crate::codec::{EncodeError, ParseError};
use bytes::{Bytes, BytesMut};

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
            Self::Welcome(welcome) => 128 + 16 * welcome.contracts.len(),
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

fn write_ids(out: &mut BytesMut, request_id: u64, limit: u64) {
    field::put_number(out, number::request_id, request_id);
    field::put_number(out, number::limit, limit);
}
