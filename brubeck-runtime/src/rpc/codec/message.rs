//! The messages by kind.

use bytes::{BufMut, Bytes, BytesMut};

use super::call::{Failure, Reply, Request};
use super::envelope::{Head, Kind};
use super::field;
use super::handshake::{Denial, Hello, Proof, Welcome};
use crate::codec::{Cursor, EncodeError, Error};

/// One message. `limit` is always the highest call id that the caller may send from now on; the newest one counts, even
/// if it is lower than one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Caller: I would like to open a session.
    Hello(Hello),
    /// Worker: prove that you know the passphrase.
    Challenge(Hello),
    /// Caller: the proof.
    Proof(Proof),
    /// Worker: the session is open, and this proves that I know the passphrase too.
    Welcome(Welcome),
    /// Caller: do this.
    Request(Request),
    /// Worker: I have taken the call. Sent for requests that ask for it.
    Started {
        /// Which call.
        call: u64,
        /// See above.
        limit: u64,
    },
    /// Worker: the answer. A call ends in one of these or in one [`Error`](Self::Error).
    Reply {
        /// Which call.
        call: u64,
        /// See above.
        limit: u64,
        /// What the handler answered.
        reply: Reply,
    },
    /// Worker: there will be no answer.
    Error {
        /// Which call.
        call: u64,
        /// See above.
        limit: u64,
        /// Why.
        failure: Failure,
    },
    /// Caller: nobody waits for this call any more.
    Cancel {
        /// Which call.
        call: u64,
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
        last_call: u64,
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
        last_call: u64,
    },
    /// Worker: there will be no session.
    Denied(Denial),
}

impl Message {
    /// What it is for.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Hello(_) => Kind::Hello,
            Self::Challenge(_) => Kind::Challenge,
            Self::Proof(_) => Kind::Proof,
            Self::Welcome(_) => Kind::Welcome,
            Self::Request(_) => Kind::Request,
            Self::Started { .. } => Kind::Started,
            Self::Reply { .. } => Kind::Reply,
            Self::Error { .. } => Kind::Error,
            Self::Cancel { .. } => Kind::Cancel,
            Self::Credit { .. } => Kind::Credit,
            Self::Ping { .. } => Kind::Ping,
            Self::Pong { .. } => Kind::Pong,
            Self::Draining => Kind::Draining,
            Self::Bye { .. } => Kind::Bye,
            Self::Denied(_) => Kind::Denied,
        }
    }

    /// The body; empty for kinds that have none.
    #[must_use]
    pub fn body(&self) -> Bytes {
        match self {
            Self::Request(request) => request.ask.body.clone(),
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

    pub(super) fn read(head: &Head, cursor: &mut Cursor<'_>, body: Bytes) -> Result<Self, Error> {
        Ok(match head.kind {
            Kind::Hello => Self::Hello(Hello::read(cursor)?),
            Kind::Challenge => Self::Challenge(Hello::read(cursor)?),
            Kind::Proof => Self::Proof(Proof::read(cursor)?),
            Kind::Welcome => Self::Welcome(Welcome::read(cursor)?),
            Kind::Request => Self::Request(Request::read(cursor, head.flags, body)?),
            Kind::Started => Self::Started {
                call: field::u64(cursor)?,
                limit: field::u64(cursor)?,
            },
            Kind::Reply => Self::Reply {
                call: field::u64(cursor)?,
                limit: field::u64(cursor)?,
                reply: Reply::read(cursor, body)?,
            },
            Kind::Error => Self::Error {
                call: field::u64(cursor)?,
                limit: field::u64(cursor)?,
                failure: Failure::read(cursor)?,
            },
            Kind::Cancel => Self::Cancel {
                call: field::u64(cursor)?,
            },
            Kind::Credit => Self::Credit {
                limit: field::u64(cursor)?,
            },
            Kind::Ping => Self::Ping {
                stamp: field::u64(cursor)?,
                last_call: field::u64(cursor)?,
            },
            Kind::Pong => Self::Pong {
                stamp: field::u64(cursor)?,
                limit: field::u64(cursor)?,
            },
            Kind::Draining => Self::Draining,
            Kind::Bye => Self::Bye {
                last_call: field::u64(cursor)?,
            },
            Kind::Denied => Self::Denied(Denial::read(cursor)?),
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Hello(hello) | Self::Challenge(hello) => hello.write(out),
            Self::Proof(proof) => proof.write(out),
            Self::Welcome(welcome) => welcome.write(out),
            Self::Request(request) => request.write(out),
            Self::Started { call, limit } => {
                out.put_u64(*call);
                out.put_u64(*limit);
            }
            Self::Reply { call, limit, reply } => {
                out.put_u64(*call);
                out.put_u64(*limit);
                reply.write(out);
            }
            Self::Error { call, limit, failure } => {
                out.put_u64(*call);
                out.put_u64(*limit);
                failure.write(out);
            }
            Self::Cancel { call } => out.put_u64(*call),
            Self::Credit { limit } => out.put_u64(*limit),
            Self::Ping { stamp, last_call } => {
                out.put_u64(*stamp);
                out.put_u64(*last_call);
            }
            Self::Pong { stamp, limit } => {
                out.put_u64(*stamp);
                out.put_u64(*limit);
            }
            Self::Draining => {}
            Self::Bye { last_call } => out.put_u64(*last_call),
            Self::Denied(denial) => out.put_u8(*denial as u8),
        }
    }

    /// How many bytes its fields take. It is exact for those that are sent the most, so that their memory can be handed on
    /// as it is; for others it is enough.
    pub(super) fn room(&self) -> usize {
        match self {
            Self::Request(request) => request.room(),
            Self::Reply { reply, .. } => 16 + reply.room(),
            Self::Error { failure, .. } => 23 + failure.message.len(),
            _ => 128,
        }
    }

    /// Refuses what the other side would not read.
    pub(super) fn check(&self) -> Result<(), EncodeError> {
        match self {
            Self::Proof(proof) => proof.fits(),
            Self::Welcome(welcome) => welcome.fits(),
            Self::Request(request) => request.ask.check(),
            Self::Reply { reply, .. } => reply.check(),
            Self::Error { failure, .. } => failure.fits(),
            _ => Ok(()),
        }
    }
}
