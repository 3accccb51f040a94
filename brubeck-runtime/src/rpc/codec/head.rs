//! The first 30 bytes of a head frame: the kind of the message, and its position in its session.

use super::limits::MAX_HEAD;
use crate::codec::{Cursor, ParseError};
use bytes::{BufMut, BytesMut};

/// The first four bytes of each message. They distinguish it from requests in the Python dialects, which begin with a space or an
/// empty frame on a `ROUTER`.
pub const MAGIC: [u8; 4] = *b"\xb2brb";

/// The version of the protocol that this module implements.
pub const VERSION: u8 = 3;

/// The kind of a message.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants of `WireMessage` document the kinds")]
pub enum MessageKind {
    Hello = 1,
    Welcome = 4,
    Request = 5,
    Accepted = 6,
    Response = 7,
    Cancel = 8,
    Credit = 9,
    Ping = 10,
    Pong = 11,
    Draining = 12,
    Bye = 13,
    Denied = 14,
}

impl MessageKind {
    const ALL: [Self; 12] = [
        Self::Hello,
        Self::Welcome,
        Self::Request,
        Self::Accepted,
        Self::Response,
        Self::Cancel,
        Self::Credit,
        Self::Ping,
        Self::Pong,
        Self::Draining,
        Self::Bye,
        Self::Denied,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Returns whether messages of this kind may have a body.
    #[must_use]
    pub const fn has_body(self) -> bool {
        matches!(self, Self::Request | Self::Response)
    }
}

/// The start of each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageHead {
    /// The version of the protocol.
    pub version: u8,
    /// The kind of the message.
    pub kind: MessageKind,
    /// The id of the session, chosen by the worker; 0 in `hello` and `denied`.
    pub session: u64,
    /// The number of the message in its direction of the session, from 1; 0 in `hello` and `denied`.
    pub counter: u64,
    /// The highest counter received from the other side; 0 in `hello` and `denied`.
    pub ack: u64,
}

impl MessageHead {
    /// The encoded length, in bytes.
    pub(super) const LENGTH: usize = 30;

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        if cursor.remaining() > MAX_HEAD {
            return Err(ParseError::Expected {
                at: MAX_HEAD,
                what: "the end of a head of at most 32 KiB",
            });
        }
        for byte in MAGIC {
            cursor.expect(byte, "the magic bytes `b2 62 72 62`")?;
        }
        let [version] = bytes(cursor)?;
        if version != VERSION {
            return Err(ParseError::Expected {
                at: 4,
                what: "version 3",
            });
        }
        let [kind] = bytes(cursor)?;
        let kind = MessageKind::from_byte(kind).ok_or(ParseError::Expected {
            at: 5,
            what: "a kind of message",
        })?;
        Ok(Self {
            version,
            kind,
            session: u64::from_be_bytes(bytes(cursor)?),
            counter: u64::from_be_bytes(bytes(cursor)?),
            ack: u64::from_be_bytes(bytes(cursor)?),
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        out.put_slice(&MAGIC);
        out.put_u8(self.version);
        out.put_u8(self.kind as u8);
        out.put_u64(self.session);
        out.put_u64(self.counter);
        out.put_u64(self.ack);
    }
}

fn bytes<const N: usize>(cursor: &mut Cursor<'_>) -> Result<[u8; N], ParseError> {
    let field = cursor.split_to(N)?;
    field.rest().try_into().map_err(|_| ParseError::Truncated {
        at: field.position(),
        needed: N as u64,
        left: field.remaining(),
    })
}
