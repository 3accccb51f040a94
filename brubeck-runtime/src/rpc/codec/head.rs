//! The head of a message: what it is for, and the fields that every message has.

use super::field;
use super::limits::MAX_HEAD;
use crate::codec::{Cursor, ParseError};
use bytes::{BufMut, BytesMut};

/// The first four bytes of every message. The messages of the original begin with a space, a digit or an empty frame.
pub const MAGIC: [u8; 4] = *b"\xb2brb";

/// The version that this module speaks.
pub const VERSION: u8 = 2;

/// What a message is for.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(
    missing_docs,
    reason = "each is the name of a variant of `WireMessage`, which says what it is"
)]
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

    /// Whether messages of this kind end with a code. The others come before there is a key.
    #[must_use]
    pub const fn is_sealed(self) -> bool {
        !matches!(self, Self::Hello | Self::Challenge | Self::Denied)
    }

    /// Whether messages of this kind may have a body.
    #[must_use]
    pub const fn has_body(self) -> bool {
        matches!(self, Self::Request | Self::Reply)
    }
}

/// The fields that every message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageHead {
    /// The version it is written in.
    pub version: u8,
    /// What it is for.
    pub kind: MessageKind,
    /// What its kind makes of it; 0 otherwise.
    pub flags: u16,
    /// The session it belongs to; the worker chooses it.
    pub session: u64,
    /// Grows with every message of one direction of a session.
    pub counter: u64,
    /// The highest counter that came the other way.
    pub ack: u64,
    /// The length of the body, in bytes.
    pub body: u32,
}

impl MessageHead {
    /// The length of these fields, in bytes.
    pub(super) const LENGTH: usize = 36;

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        if cursor.remaining() > MAX_HEAD {
            return Err(ParseError::Expected {
                at: MAX_HEAD,
                what: "the end of a head of at most 32 KiB",
            });
        }
        for byte in MAGIC {
            cursor.expect(byte, "the four bytes that begin a message")?;
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
            body: field::u32(cursor)?,
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
        out.put_u32(self.body);
    }
}
