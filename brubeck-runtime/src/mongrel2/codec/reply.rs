//! Replies to browsers, and messages to the control port.

use crate::codec::tnetstring::{self, Value};
use crate::codec::{Cursor, EncodeError, ParseError, lenstr};
use bytes::{BufMut, Bytes, BytesMut};
use std::borrow::Cow;
use std::slice::Chunks;

/// The most connections one frame may name: Mongrel2's default `limits.handler_targets`.
pub const MAX_TARGETS: usize = 128;

/// The most digits of a connection id, which is a 32-bit number.
const MAX_ID_DIGITS: usize = 10;

/// Frames that carry one payload to any number of connections, each to at most [`MAX_TARGETS`].
///
/// They are made one by one, so the payload is in memory once for each frame that is still held.
#[derive(Debug, Clone)]
pub struct ReplyFrames<'a, I> {
    ident: &'a [u8],
    extended: bool,
    groups: Chunks<'a, I>,
    payload: Cow<'a, [u8]>,
}

impl<I: AsRef<[u8]>> Iterator for ReplyFrames<'_, I> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let group = self.groups.next()?;
        let words = self.extended.then_some(&b"X"[..]).into_iter();
        let words = words.chain(group.iter().map(AsRef::as_ref));
        // A space stands between two of them.
        let list = words.clone().map(|word| word.len() + 1).sum::<usize>() - 1;
        let mut output =
            BytesMut::with_capacity(self.ident.len() + list + self.payload.len() + 2 * MAX_ID_DIGITS);
        output.put_slice(self.ident);
        output.put_u8(b' ');
        lenstr::encode_length(&mut output, list);
        for (index, word) in words.enumerate() {
            if index > 0 {
                output.put_u8(b' ');
            }
            output.put_slice(word);
        }
        output.put_slice(b", ");
        output.put_slice(&self.payload);
        Some(output.freeze())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.groups.size_hint()
    }
}

/// Sends `payload`, as it is, to the connections `ids` of the server `ident`.
///
/// ```
/// use brubeck_runtime::wire::mongrel2;
///
/// let frames: Vec<_> = mongrel2::reply(b"m2-1", &["7", "8"], b"HTTP/1.1 200 OK\r\n\r\n")?.collect();
/// assert_eq!(frames, ["m2-1 3:7 8, HTTP/1.1 200 OK\r\n\r\n"]);
/// # Ok::<(), brubeck_runtime::wire::EncodeError>(())
/// ```
///
/// # Errors
/// [`EncodeError`] for what Mongrel2 would refuse: an ident or id with other characters, no ids. It tells nobody and stops
/// delivering for half a second. Also for an empty payload, which would close the connections: that is [`close`].
pub fn reply<'a, I: AsRef<[u8]>>(
    ident: &'a [u8],
    ids: &'a [I],
    payload: &'a [u8],
) -> Result<ReplyFrames<'a, I>, EncodeError> {
    if payload.is_empty() {
        return Err(EncodeError::new(
            "payload",
            "an empty one closes the connection; use `close` to do that",
        ));
    }
    addressed(ident, ids, false, MAX_TARGETS, Cow::Borrowed(payload))
}

/// Closes the connections `ids` of the server `ident` as soon as everything sent before is written.
///
/// ```
/// use brubeck_runtime::wire::mongrel2;
///
/// assert_eq!(mongrel2::close(b"m2-1", &["7"])?.next().unwrap(), "m2-1 1:7, ");
/// # Ok::<(), brubeck_runtime::wire::EncodeError>(())
/// ```
///
/// # Errors
/// As [`reply`].
pub fn close<'a, I: AsRef<[u8]>>(ident: &'a [u8], ids: &'a [I]) -> Result<ReplyFrames<'a, I>, EncodeError> {
    addressed(ident, ids, false, MAX_TARGETS, Cow::Borrowed(b""))
}

pub(super) fn addressed<'a, I: AsRef<[u8]>>(
    ident: &'a [u8],
    ids: &'a [I],
    extended: bool,
    group: usize,
    payload: Cow<'a, [u8]>,
) -> Result<ReplyFrames<'a, I>, EncodeError> {
    if ident.is_empty() || !ident.iter().all(|byte| is_ident(*byte)) {
        return Err(EncodeError::new(
            "ident",
            "Mongrel2 takes only ASCII letters, digits and `-` here; set such a `send_ident`",
        ));
    }
    if ids.is_empty() {
        return Err(EncodeError::new(
            "ids",
            "there are none; a reply names one connection or more",
        ));
    }
    if !ids.iter().all(|id| is_id(id.as_ref())) {
        return Err(EncodeError::new(
            "ids",
            "a connection id Mongrel2 can find has 1 to 10 digits and nothing else",
        ));
    }
    Ok(ReplyFrames {
        ident,
        extended,
        groups: ids.chunks(group),
        payload,
    })
}

const fn is_ident(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn is_id(id: &[u8]) -> bool {
    (1..=MAX_ID_DIGITS).contains(&id.len()) && id.iter().all(u8::is_ascii_digit)
}

/// A reply as Mongrel2 reads it, for a stand-in of Mongrel2.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mongrel2Reply {
    /// The first word, by which the servers that want the reply are found.
    pub ident: Bytes,
    /// Whether the payload is a command to Mongrel2 and not for the clients.
    pub extended: bool,
    /// The connections.
    pub ids: Vec<Bytes>,
    /// What the clients get; empty to close them.
    pub payload: Bytes,
}

/// Reads a reply as strictly as Mongrel2 does.
///
/// ```
/// use brubeck_runtime::wire::mongrel2::decode_reply;
/// use bytes::Bytes;
///
/// let reply = decode_reply(&Bytes::from_static(b"m2-1 3:7 8, hello"))?;
/// assert_eq!((reply.ids.len(), reply.payload.as_ref()), (2, b"hello".as_slice()));
/// # Ok::<(), brubeck_runtime::wire::ParseError>(())
/// ```
///
/// # Errors
/// Any [`ParseError`].
pub fn decode_reply(frame: &Bytes) -> Result<Mongrel2Reply, ParseError> {
    const ID: &str = "a connection id of 1 to 10 digits";
    let mut cursor = Cursor::new(frame);
    let ident = cursor.take_until(b' ', "an ident and a space")?;
    if ident.is_empty() || !ident.iter().all(|byte| is_ident(*byte)) {
        return Err(ParseError::Expected {
            at: 0,
            what: "an ident of ASCII letters, digits and `-`",
        });
    }
    let length = cursor.read_length()?;
    let mut list = cursor.split_to(length)?;
    cursor.expect(b',', "the `,` that ends the connection ids")?;
    cursor.expect(b' ', "the space before the payload")?;
    let payload = cursor.take(cursor.remaining())?;

    let extended = list.rest().starts_with(b"X ");
    if extended {
        list.take(2)?;
    }
    let mut ids = Vec::new();
    while list.remaining() > 0 {
        let at = list.position();
        if ids.len() == MAX_TARGETS {
            return Err(ParseError::TooMany {
                at,
                limit: MAX_TARGETS,
            });
        }
        let length = list
            .rest()
            .iter()
            .position(|&byte| byte == b' ')
            .unwrap_or(list.remaining());
        let id = list.take(length)?;
        if !is_id(&id) {
            return Err(ParseError::Expected { at, what: ID });
        }
        ids.push(id);
        if list.remaining() > 0 {
            list.expect(b' ', ID)?;
        }
    }
    if ids.is_empty() {
        return Err(ParseError::Expected {
            at: list.position(),
            what: ID,
        });
    }
    Ok(Mongrel2Reply {
        ident,
        extended,
        ids,
        payload,
    })
}

/// What Mongrel2 shall do with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlCommand {
    /// Reset the idle timer; without it a quiet connection is dropped after about two minutes.
    KeepAlive,
    /// Allow so many more bytes of a streamed upload.
    Credits(u32),
    /// Drop the client now. No notice follows.
    Cancel,
}

/// Tells Mongrel2 what to do with the connections `ids` of the server `ident`.
///
/// ```
/// use brubeck_runtime::wire::mongrel2::{ControlCommand, control};
///
/// let mut frames = control(b"m2-1", &["5"], ControlCommand::Credits(10_000))?;
/// assert_eq!(frames.next().unwrap(), "m2-1 3:X 5, 28:3:ctl,18:7:credits,5:10000#}]");
/// # Ok::<(), brubeck_runtime::wire::EncodeError>(())
/// ```
///
/// # Errors
/// As [`reply()`].
pub fn control<'a, I: AsRef<[u8]>>(
    ident: &'a [u8],
    ids: &'a [I],
    command: ControlCommand,
) -> Result<ReplyFrames<'a, I>, EncodeError> {
    let (key, value) = match command {
        ControlCommand::KeepAlive => ("keep-alive", 1),
        ControlCommand::Credits(bytes) => ("credits", i64::from(bytes)),
        ControlCommand::Cancel => ("cancel", 1),
    };
    let argument = Value::Dictionary(vec![(key.into(), Value::Integer(value))]);
    let mut payload = BytesMut::new();
    tnetstring::encode(
        &mut payload,
        &Value::List(vec![Value::String("ctl".into()), argument]),
    );
    // The `X` may count as a target, and one too many would have the whole frame refused.
    addressed(ident, ids, true, MAX_TARGETS - 1, Cow::Owned(payload.into()))
}
