//! The frame around a message: its head, and the seal of those that are authenticated.

use super::field;
use super::handshake::{Key, MAC};
use super::limits::MAX_HEAD;
use super::message::Message;
use crate::codec::{Cursor, EncodeError, Error};
use bytes::{BufMut, Bytes, BytesMut};

/// The first four bytes of every message. The messages of the original begin with a space, a digit or an empty frame.
pub const MAGIC: [u8; 4] = *b"\xb2brb";

/// The version that this module speaks.
pub const VERSION: u8 = 2;

/// What a message is for.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(
    missing_docs,
    reason = "each is the name of a variant of `Message`, which says what it is"
)]
pub enum Kind {
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

impl Kind {
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
pub struct Head {
    /// The version it is written in.
    pub version: u8,
    /// What it is for.
    pub kind: Kind,
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

impl Head {
    /// The length of these fields, in bytes.
    pub(super) const LENGTH: usize = 36;

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, Error> {
        if cursor.left() > MAX_HEAD {
            return Err(Error::Expected {
                at: MAX_HEAD,
                what: "the end of a head of at most 32 KiB",
            });
        }
        for byte in MAGIC {
            cursor.expect(byte, "the four bytes that begin a message")?;
        }
        let version = field::u8(cursor)?;
        if version != VERSION {
            return Err(Error::Expected {
                at: 4,
                what: "version 2",
            });
        }
        let kind = Kind::from_byte(field::u8(cursor)?).ok_or(Error::Expected {
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

/// A message whose head was read, and nothing else.
#[derive(Clone, Debug)]
pub struct Envelope {
    head: Head,
    frame: Bytes,
    body: Bytes,
}

/// A message as it was found behind its code.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// The call that a request, reply or error is about.
    pub call: Option<u64>,
    /// What is wrong with it.
    pub error: Error,
}

impl Envelope {
    /// Reads the head of a message: one frame, and the body as a second one if there is any.
    ///
    /// # Errors
    /// The frames are no message of this wire.
    pub fn read(frames: &[Bytes]) -> Result<Self, Error> {
        let (frame, body) = match frames {
            [frame] => (frame, Bytes::new()),
            [frame, body] if !body.is_empty() => (frame, body.clone()),
            _ => {
                return Err(Error::Frames {
                    found: frames.len(),
                    what: "a head, and a body unless it is empty",
                });
            }
        };
        let head = Head::read(&mut Cursor::new(frame))?;
        if head.body as usize != body.len() || (head.body > 0 && !head.kind.has_body()) {
            return Err(Error::Expected {
                at: 32,
                what: "the length of the body that came",
            });
        }
        let needed = if head.kind.is_sealed() {
            Head::LENGTH + MAC
        } else {
            Head::LENGTH
        };
        if frame.len() < needed {
            let left = frame.len().saturating_sub(Head::LENGTH);
            return Err(Error::Truncated {
                at: Head::LENGTH,
                needed: MAC as u64,
                left,
            });
        }
        Ok(Self {
            head,
            frame: frame.clone(),
            body,
        })
    }

    /// The head. Until the message is opened, anybody can have written it.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// How long all frames are, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.frame.len() + self.body.len()
    }

    /// The first frame, as it came.
    #[must_use]
    pub const fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// Whether it was sealed with this key.
    #[must_use]
    pub fn is_from(&self, key: &Key) -> bool {
        let Some(signed) = self
            .frame
            .len()
            .checked_sub(MAC)
            .filter(|_| self.head.kind.is_sealed())
        else {
            return false;
        };
        match self.frame.split_at_checked(signed) {
            Some((signed, code)) => key.verifies(&[signed, &self.body], code),
            None => false,
        }
    }

    /// The message, if it was sealed with this key; `None` if not.
    #[must_use]
    pub fn open(&self, key: &Key) -> Option<Result<Message, Unreadable>> {
        self.is_from(key).then(|| self.message(MAC))
    }

    /// The message, if it is one of those that carry no code; `None` for all others.
    #[must_use]
    pub fn plain(&self) -> Option<Result<Message, Unreadable>> {
        (!self.head.kind.is_sealed()).then(|| self.message(0))
    }

    fn message(&self, code: usize) -> Result<Message, Unreadable> {
        let mut call = None;
        let mut read = || {
            let mut cursor = Cursor::new(&self.frame);
            cursor.within(Head::LENGTH)?;
            let mut fields = cursor.within(cursor.left().saturating_sub(code))?;
            if matches!(self.head.kind, Kind::Request | Kind::Reply | Kind::Error) {
                call = field::u64(&mut fields.clone()).ok();
            }
            let message = Message::read(&self.head, &mut fields, self.body.clone())?;
            fields.end()?;
            Ok(message)
        };
        let message = read();
        message.map_err(|error| Unreadable { call, error })
    }
}

/// Where a message stands in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The session.
    pub session: u64,
    /// The counter of this message.
    pub counter: u64,
    /// The highest counter that came the other way.
    pub ack: u64,
}

/// Writes a message that ends with a code.
///
/// # Errors
/// A field is longer than the other side would read.
pub fn seal(message: &Message, place: Place, key: &Key) -> Result<Vec<Bytes>, EncodeError> {
    let mut out = write(message, place)?;
    let body = message.body();
    let code = key.code(&[&out, &body]);
    out.put_slice(&code);
    let mut frames = Vec::with_capacity(2);
    frames.push(out.freeze());
    if !body.is_empty() {
        frames.push(body);
    }
    Ok(frames)
}

/// Writes a message that comes before there is a key.
///
/// # Errors
/// A field is longer than the other side would read.
pub fn plain(message: &Message, session: u64) -> Result<Vec<Bytes>, EncodeError> {
    Ok(vec![
        write(
            message,
            Place {
                session,
                counter: 0,
                ack: 0,
            },
        )?
        .freeze(),
    ])
}

fn write(message: &Message, place: Place) -> Result<BytesMut, EncodeError> {
    message.check()?;
    let body = u32::try_from(message.body().len())
        .map_err(|_| EncodeError::new("body", "it has 4 GiB or more; send less at once"))?;
    let mut out = BytesMut::with_capacity(Head::LENGTH + message.room() + MAC);
    let head = Head {
        version: VERSION,
        kind: message.kind(),
        flags: message.flags(),
        session: place.session,
        counter: place.counter,
        ack: place.ack,
        body,
    };
    head.write(&mut out);
    message.write(&mut out);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::codec::{Ask, Reply, Request};

    #[test]
    fn requests_and_replies_get_the_memory_they_need() {
        let headers = vec![("a".into(), "bc".into()), ("".into(), "d".into())];
        let ask = Ask {
            traceparent: "00-1-2-03".into(),
            tracestate: "a=b".into(),
            headers: headers.clone(),
            ..Ask::new("request", "/service/slow")
        };
        let request = Request {
            call: 1,
            deadline: 2,
            more: false,
            ask: ask.into(),
        };
        let reply = Reply {
            status: 200,
            message: "OK".into(),
            headers,
            body: Bytes::from_static(b"{}"),
        };
        let reply = Message::Reply {
            call: 1,
            limit: 2,
            reply,
        };
        let place = Place {
            session: 1,
            counter: 2,
            ack: 3,
        };
        for message in [Message::Request(request), reply] {
            let written = write(&message, place).unwrap();
            assert_eq!(written.capacity(), written.len() + MAC, "{message:?}");
        }
    }
}
