//! Messages to Mongrel2: replies to clients, and control commands.

use crate::codec::tnetstring::{self, Value};
use crate::codec::{Cursor, EncodeError, ParseError, lenstr};
use bytes::{BufMut, Bytes, BytesMut};
use std::borrow::Cow;
use std::slice::Chunks;

/// Limit of connections that one frame addresses: the default of Mongrel2's `limits.handler_targets`.
pub const MAX_TARGETS: usize = 128;

/// Digits of the largest connection id, which is a 32-bit number.
const MAX_ID_DIGITS: usize = 10;

/// An iterator over the frames that send one payload to a number of connections, at most [`MAX_TARGETS`] in each
/// frame.
///
/// [`next`](Iterator::next) encodes one frame, which contains a copy of the payload.
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
        // The words are separated by spaces.
        let list_bytes = words.clone().map(|word| word.len() + 1).sum::<usize>() - 1;
        let mut output =
            BytesMut::with_capacity(self.ident.len() + list_bytes + self.payload.len() + 2 * MAX_ID_DIGITS);
        output.put_slice(self.ident);
        output.put_u8(b' ');
        lenstr::encode_length(&mut output, list_bytes);
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

/// Encodes `payload` for the connections `ids` of the server `ident`. Mongrel2 writes it to the clients unchanged.
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
/// Returns an error if there are no ids, if `ident` is empty or has characters other than ASCII letters, digits and `-`, or if
/// an id does not have 1 to 10 digits. Mongrel2 would drop such a message silently, and deliver nothing for half a second.
/// Returns an error if the payload is empty, because that would close the connections; use [`close`] to do so.
pub fn reply<'a, I: AsRef<[u8]>>(
    ident: &'a [u8],
    ids: &'a [I],
    payload: &'a [u8],
) -> Result<ReplyFrames<'a, I>, EncodeError> {
    if payload.is_empty() {
        return Err(EncodeError::new(
            "payload",
            "an empty payload closes the connection; use `close` for that",
        ));
    }
    frames(ident, ids, false, MAX_TARGETS, Cow::Borrowed(payload))
}

/// Encodes a request to close the connections `ids` of the server `ident` once everything that was sent before is
/// written.
///
/// ```
/// use brubeck_runtime::wire::mongrel2;
///
/// assert_eq!(mongrel2::close(b"m2-1", &["7"])?.next().unwrap(), "m2-1 1:7, ");
/// # Ok::<(), brubeck_runtime::wire::EncodeError>(())
/// ```
///
/// # Errors
/// Returns an error if there are no ids, or the ident or an id is invalid, as [`reply()`] does.
pub fn close<'a, I: AsRef<[u8]>>(ident: &'a [u8], ids: &'a [I]) -> Result<ReplyFrames<'a, I>, EncodeError> {
    frames(ident, ids, false, MAX_TARGETS, Cow::Borrowed(b""))
}

fn frames<'a, I: AsRef<[u8]>>(
    ident: &'a [u8],
    ids: &'a [I],
    extended: bool,
    max_targets: usize,
    payload: Cow<'a, [u8]>,
) -> Result<ReplyFrames<'a, I>, EncodeError> {
    if ident.is_empty() || !ident.iter().all(|byte| is_ident(*byte)) {
        return Err(EncodeError::new(
            "ident",
            "it must contain only ASCII letters, digits and `-`; change the `send_ident` of the Mongrel2 handler",
        ));
    }
    if ids.is_empty() {
        return Err(EncodeError::new(
            "ids",
            "there are none; a reply must name at least one connection",
        ));
    }
    if !ids.iter().all(|id| is_id(id.as_ref())) {
        return Err(EncodeError::new(
            "ids",
            "a connection id must have 1 to 10 digits and nothing else",
        ));
    }
    Ok(ReplyFrames {
        ident,
        extended,
        groups: ids.chunks(max_targets),
        payload,
    })
}

const fn is_ident(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn is_id(id: &[u8]) -> bool {
    (1..=MAX_ID_DIGITS).contains(&id.len()) && id.iter().all(u8::is_ascii_digit)
}

/// A reply as Mongrel2 reads it, for test servers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mongrel2Reply {
    /// The `send_ident` of the addressed server. The frame begins with it, so it is also the topic of the message.
    pub ident: Bytes,
    /// `true` if the payload is a command to Mongrel2 instead of data for the clients.
    pub extended: bool,
    /// The ids of the connections.
    pub ids: Vec<Bytes>,
    /// The data for the clients, or the command if `extended` is set. Empty data closes the connections.
    pub payload: Bytes,
}

/// Decodes a reply as strictly as Mongrel2 does.
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
/// Returns an error if Mongrel2 would refuse the reply, with its default settings.
pub fn decode_reply(frame: &Bytes) -> Result<Mongrel2Reply, ParseError> {
    const EXPECTED_ID: &str = "a connection id of 1 to 10 digits";
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
            return Err(ParseError::Expected {
                at,
                what: EXPECTED_ID,
            });
        }
        ids.push(id);
        if list.remaining() > 0 {
            list.expect(b' ', EXPECTED_ID)?;
        }
    }
    if ids.is_empty() {
        return Err(ParseError::Expected {
            at: list.position(),
            what: EXPECTED_ID,
        });
    }
    Ok(Mongrel2Reply {
        ident,
        extended,
        ids,
        payload,
    })
}

/// A command to Mongrel2 about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlCommand {
    /// Resets the idle timer. By default, Mongrel2 closes a connection that has been idle for about two minutes.
    KeepAlive,
    /// Allows the client to send this many more bytes of a streamed upload.
    Credits(u32),
    /// Closes the connection now. Mongrel2 sends no notice about it.
    Cancel,
}

/// Encodes a command about the connections `ids` of the server `ident`.
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
/// Returns an error if there are no ids, or the ident or an id is invalid, as [`reply()`] does.
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
    // Mongrel2 may count the `X` as a target, and refuses the frame if there are too many.
    frames(ident, ids, true, MAX_TARGETS - 1, Cow::Owned(payload.into()))
}
