//! The first 36 bytes of a head frame: the kind of the message, and the fields that all kinds share.

use super::field;
use super::limits::MAX_HEAD;
use crate::codec::{Cursor, ParseError};
use bytes::{BufMut, BytesMut};

/// The first four bytes of each message. They distinguish it from requests in the Python dialects, which begin with a space or an
/// empty frame on a `ROUTER`.
pub const MAGIC: [u8; 4] = *b"\xb2brb";

/// The version of the protocol that this module implements.
pub const VERSION: u8 = 2;

/// The kind of a message.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants of `WireMessage` document the kinds")]
pub enum MessageKind {
    Hello = 1,
    Challenge = 2,
    Proof = 3,
    Welcome = 4,
    Request = 5,
    Started = 6,
    Reply = 7,
    Error = 8,
    Cancel = 9,
    Credit = 10,
    Ping = 11,
    Pong = 12,
    Draining = 13,
    Bye = 14,
    Denied = 15,
}

impl MessageKind {
    const ALL: [Self; 15] = [
        Self::Hello,
        Self::Challenge,
        Self::Proof,
        Self::Welcome,
        Self::Request,
        Self::Started,
        Self::Reply,
        Self::Error,
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

    /// Returns whether messages of this kind end with an authentication code. The others are sent before a session is open.
    #[must_use]
    pub const fn is_sealed(self) -> bool {
        !matches!(self, Self::Hello | Self::Challenge | Self::Denied)
    }

    /// Returns whether messages of this kind may have a body.
    #[must_use]
    pub const fn has_body(self) -> bool {
        matches!(self, Self::Request | Self::Reply)
    }
}

/// The fields that all kinds of messages share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageHead {
    /// The version of the protocol.
    pub version: u8,
    /// The kind of the message.
    pub kind: MessageKind,
    /// The flags of a request. Other kinds are sent with 0, and receivers ignore their flags.
    pub flags: u16,
    /// The id of the session, chosen by the worker; 0 in `hello` and `denied`.
    pub session: u64,
    /// The number of the message in its direction of the session, from 1; 0 in messages without an authentication code.
    pub counter: u64,
    /// The highest counter received from the other side; 0 in messages without an authentication code.
    pub ack: u64,
    /// The length of the body, in bytes.
    pub body_len: u32,
}

impl MessageHead {
    /// The encoded length of these fields, in bytes.
    pub(super) const LENGTH: usize = 36;

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
        let version = field::u8(cursor)?;
        if version != VERSION {
            return Err(ParseError::Expected {
                at: 4,
                what: "version 2",
            });
        }
        let kind = MessageKind::from_byte(field::u8(cursor)?).ok_or(ParseError::Expected {
            at: 5,
            what: "a kind of message",
        })?;
        Ok(Self {
            version,
            kind,
            flags: field::u16(cursor)?,
            session: field::u64(cursor)?,
            counter: field::u64(cursor)?,
            ack: field::u64(cursor)?,
            body_len: field::u32(cursor)?,
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        out.put_slice(&MAGIC);
        out.put_u8(self.version);
        out.put_u8(self.kind as u8);
        out.put_u16(self.flags);
        out.put_u64(self.session);
        out.put_u64(self.counter);
        out.put_u64(self.ack);
        out.put_u32(self.body_len);
    }
}
