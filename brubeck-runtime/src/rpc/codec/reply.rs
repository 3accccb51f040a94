//! How a call ends on the wire.

use bytes::{BufMut, Bytes, BytesMut};

use super::limits::MAX_MESSAGE;
use super::{Text, field};
use crate::codec::{Cursor, EncodeError, Error};

/// What a handler answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: i32,
    /// What goes with the status, for people.
    pub message: Text,
    /// Names and values.
    pub headers: Vec<(Text, Text)>,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// Refuses what a caller would not read.
    ///
    /// # Errors
    /// The field that is too long, and what to do about it.
    pub fn check(&self) -> Result<(), EncodeError> {
        field::fits(&self.message, MAX_MESSAGE, "message")?;
        field::headers_fit(&self.headers)
    }

    pub(super) fn read(cursor: &mut Cursor<'_>, body: Bytes) -> Result<Self, Error> {
        Ok(Self {
            status: field::i32(cursor)?,
            message: message(cursor)?,
            headers: field::headers(cursor)?,
            body,
        })
    }

    pub(super) fn room(&self) -> usize {
        6 + self.message.len() + field::headers_room(&self.headers)
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        out.put_i32(self.status);
        field::put_text(out, &self.message);
        field::put_headers(out, &self.headers);
    }
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub code: Code,
    /// When it may be worth asking again, in milliseconds.
    pub retry_after: u32,
    /// More about it, for people.
    pub message: Text,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<Text>) -> Self {
        Self {
            code,
            retry_after: 0,
            message: message.into().cut(MAX_MESSAGE),
        }
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, Error> {
        Ok(Self {
            code: Code::read(cursor)?,
            retry_after: field::u32(cursor)?,
            message: message(cursor)?,
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        out.put_u8(self.code as u8);
        out.put_u32(self.retry_after);
        field::put_text(out, &self.message);
    }

    pub(super) fn fits(&self) -> Result<(), EncodeError> {
        field::fits(&self.message, MAX_MESSAGE, "message")
    }
}

/// What happened to a call that got no reply.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
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

impl Code {
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

    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Error> {
        let at = cursor.at();
        let byte = field::u8(cursor)?;
        Self::ALL
            .into_iter()
            .find(|code| *code as u8 == byte)
            .ok_or(Error::Expected {
                at,
                what: "an error code from 1 to 9",
            })
    }
}

fn message(cursor: &mut Cursor<'_>) -> Result<Text, Error> {
    field::text(cursor, MAX_MESSAGE, "a message of at most 1 KiB in UTF-8")
}
