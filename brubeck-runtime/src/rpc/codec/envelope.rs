//! The frame around a message, and the seal of those that are authenticated.

use super::field;
use super::handshake::{Key, MAC};
use super::head::{Head, Kind, VERSION};
use super::message::Message;
use crate::codec::{Cursor, EncodeError, Error};
use bytes::{BufMut, Bytes, BytesMut};

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
