//! Frames: messages and commands after the handshake, and their limits.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

const MORE: u8 = 0b001;
const LONG: u8 = 0b010;
const COMMAND: u8 = 0b100;

/// Frames below this size, in bytes, are copied out of the read buffer. A slice would keep the whole buffer alive and prevent
/// its reuse.
const COPY_BELOW: usize = 1 << 10;

/// Maximum number of bytes reserved for a frame of which fewer bytes have arrived. An announced length alone therefore costs no more.
const MAX_RESERVE: usize = 256 << 10;

/// Maximum number of bytes reserved for a frame of which [`MAX_RESERVE`] have arrived. It is the whole frame in most cases, so that it is not
/// moved again. A longer frame is reserved in steps that double it.
const MAX_FRAME_RESERVE: usize = 64 << 20;

/// Frames from this size on, in bytes, are read into memory that is reserved for them alone.
const LARGE_FRAME: usize = 64 << 10;

/// Maximum size of a command, in bytes. The longest command in use is `SUBSCRIBE`, which contains a topic.
const MAX_COMMAND: usize = 4 << 10;

/// Limits on what one peer may send.
#[derive(Clone, Copy, Debug)]
pub struct FrameLimits {
    /// Maximum size of a message, in bytes, all frames together.
    pub max_message_bytes: usize,
    /// Maximum number of frames in a message.
    pub max_frames: usize,
}

/// A decoded message or heartbeat.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A complete message with at least one frame.
    ///
    /// A decoder [with subscriptions](FrameDecoder::with_subscriptions) returns the commands `SUBSCRIBE` and `CANCEL` of ZMTP
    /// 3.1 as the message that ZMTP 3.0 sends instead: one frame with a byte 1 or 0, followed by the topic.
    Message(Vec<Bytes>),
    /// A heartbeat.
    Ping {
        /// The encoded `PONG` frame to respond with.
        pong: Vec<u8>,
    },
}

/// Decodes the byte stream of a peer. The bytes may arrive in chunks of any size.
///
/// ```
/// use brubeck_zmtp::codec::{Decoded, FrameDecoder, FrameLimits};
/// use bytes::BytesMut;
///
/// let mut decoder = FrameDecoder::new(FrameLimits { max_message_bytes: 1000, max_frames: 16 });
/// let mut input = BytesMut::from(&b"\0\x05hello\0\x05wo"[..]);
/// assert_eq!(decoder.decode(&mut input), Ok(Some(Decoded::Message(vec!["hello".into()]))));
/// assert_eq!(decoder.decode(&mut input), Ok(None));
/// ```
#[derive(Debug)]
pub struct FrameDecoder {
    limits: FrameLimits,
    /// The frames of an incomplete message.
    partial: Vec<Bytes>,
    partial_bytes: usize,
    /// `true` if the peer may subscribe.
    subscriptions: bool,
    /// `true` if the input ends within a large frame, for whose next bytes space was reserved.
    in_large_frame: bool,
}

impl FrameDecoder {
    /// Creates a decoder for one connection.
    pub fn new(limits: FrameLimits) -> Self {
        Self {
            limits,
            partial: Vec::new(),
            partial_bytes: 0,
            subscriptions: false,
            in_large_frame: false,
        }
    }

    /// Creates a decoder for the connection of a `PUB` or an `XPUB`, on which the peer may subscribe.
    ///
    /// The commands `SUBSCRIBE` and `CANCEL` of ZMTP 3.1 are decoded as the messages that ZMTP 3.0 sends instead.
    pub fn with_subscriptions(limits: FrameLimits) -> Self {
        Self {
            subscriptions: true,
            ..Self::new(limits)
        }
    }

    /// Replaces the limits, for the next frame on.
    pub fn set_limits(&mut self, limits: FrameLimits) {
        self.limits = limits;
    }

    /// Returns `true` if the input ends within a large frame. [`decode`](Self::decode) has reserved space for its next bytes, and reading more
    /// than fits into it would move the frame.
    pub(crate) fn is_in_large_frame(&self) -> bool {
        self.in_large_frame
    }

    /// Removes the next message or heartbeat from `input`.
    ///
    /// Returns `None` if the input is incomplete, after reserving space for the missing bytes, up to a limit. Commands that are
    /// not decoded to a [`Decoded`] are skipped.
    ///
    /// # Errors
    /// Returns an error if the stream violates the protocol or a limit. The connection must be closed.
    #[inline]
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Decoded>, Violation> {
        self.in_large_frame = false;
        loop {
            let Some(header) = ZmtpFrameHeader::decode(input)? else {
                return Ok(None);
            };
            self.check_limits(&header)?;
            let length = header.size.saturating_add(header.body_length);
            let missing = length.saturating_sub(input.len());
            if missing > 0 {
                self.in_large_frame = length >= LARGE_FRAME;
                let max_reserve = match input.len() {
                    0..MAX_RESERVE => MAX_RESERVE,
                    received => received.max(MAX_FRAME_RESERVE),
                };
                input.reserve(missing.min(max_reserve));
                return Ok(None);
            }
            // Nothing was removed from the input so far: an incomplete frame is decoded again from its header.
            input.advance(header.size);
            let body = take_body(input, header.body_length);
            if header.command {
                match decode_command(&body, self.subscriptions)? {
                    Some(decoded) => return Ok(Some(decoded)),
                    None => continue,
                }
            }
            self.partial_bytes += body.len();
            self.partial.push(body);
            if !header.more {
                self.partial_bytes = 0;
                return Ok(Some(Decoded::Message(std::mem::take(&mut self.partial))));
            }
        }
    }

    /// Checks the announced length against the limits. Called before memory is reserved for it.
    fn check_limits(&self, header: &ZmtpFrameHeader) -> Result<(), Violation> {
        if header.command {
            if header.body_length > MAX_COMMAND {
                return Err(Violation::Command);
            }
            return Ok(());
        }
        if self.partial_bytes.saturating_add(header.body_length) > self.limits.max_message_bytes {
            Err(Violation::MessageBytes {
                bytes: self.partial_bytes.saturating_add(header.body_length),
                limit: self.limits.max_message_bytes,
            })
        } else if self.partial.len() >= self.limits.max_frames {
            Err(Violation::Frames)
        } else {
            Ok(())
        }
    }
}

/// Removes a body of `length` bytes from the front of `input`.
fn take_body(input: &mut BytesMut, length: usize) -> Bytes {
    if length >= COPY_BELOW {
        return input.split_to(length).freeze();
    }
    let body = copy_small(input.get(..length).unwrap_or_default());
    input.advance(length);
    body
}

/// Copies `bytes`. Cloning the result does not allocate if it has at most 256 bytes.
///
/// Up to that size, the data and the reference count share one allocation. `Bytes::copy_from_slice` would allocate a
/// reference count at the first clone. A few fixed sizes keep the unused space small.
fn copy_small(bytes: &[u8]) -> Bytes {
    match bytes.len() {
        0 => Bytes::new(),
        1..=64 => Bytes::from_owner(InlineFrame::<64>::new(bytes)),
        65..=96 => Bytes::from_owner(InlineFrame::<96>::new(bytes)),
        97..=128 => Bytes::from_owner(InlineFrame::<128>::new(bytes)),
        129..=192 => Bytes::from_owner(InlineFrame::<192>::new(bytes)),
        193..=256 => Bytes::from_owner(InlineFrame::<256>::new(bytes)),
        _ => Bytes::copy_from_slice(bytes),
    }
}

struct InlineFrame<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> InlineFrame<N> {
    fn new(source: &[u8]) -> Self {
        let mut inline = Self {
            bytes: [0; N],
            length: 0,
        };
        if let Some(space) = inline.bytes.get_mut(..source.len()) {
            space.copy_from_slice(source);
            inline.length = source.len();
        }
        inline
    }
}

impl<const N: usize> AsRef<[u8]> for InlineFrame<N> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

struct ZmtpFrameHeader {
    command: bool,
    more: bool,
    /// Size of the header itself, in bytes: 2 or 9.
    size: usize,
    body_length: usize,
}

impl ZmtpFrameHeader {
    /// Decodes the header at the start of `input`. Returns `None` if it is incomplete.
    fn decode(input: &[u8]) -> Result<Option<Self>, Violation> {
        let Some(&flags) = input.first() else {
            return Ok(None);
        };
        if flags & !(MORE | LONG | COMMAND) != 0 {
            return Err(Violation::Flags);
        }
        let (command, more) = (flags & COMMAND != 0, flags & MORE != 0);
        if command && more {
            return Err(Violation::Command);
        }
        let (size, body_length) = if flags & LONG == 0 {
            match input.get(1) {
                Some(&length) => (2, length.into()),
                None => return Ok(None),
            }
        } else {
            match input.get(1..9).and_then(|bytes| bytes.try_into().ok()) {
                // A length that does not fit into a `usize` exceeds every limit.
                Some(length) => (
                    9,
                    usize::try_from(u64::from_be_bytes(length)).unwrap_or(usize::MAX),
                ),
                None => return Ok(None),
            }
        };
        Ok(Some(Self {
            command,
            more,
            size,
            body_length,
        }))
    }
}

/// Appends the header of a message frame with a body of `length` bytes. Set `more` unless it is the last frame of its
/// message.
#[inline]
pub fn encode_header(out: &mut impl BufMut, length: usize, more: bool) {
    let more = if more { MORE } else { 0 };
    match u8::try_from(length) {
        Ok(length) => out.put_slice(&[more, length]),
        Err(_) => {
            out.put_u8(more | LONG);
            out.put_u64(length as u64);
        }
    }
}

/// Decodes the body of a command. Returns `None` if the command is ignored.
fn decode_command(body: &[u8], subscriptions: bool) -> Result<Option<Decoded>, Violation> {
    let (&length, rest) = body.split_first().ok_or(Violation::Command)?;
    let (name, data) = rest.split_at_checked(length.into()).ok_or(Violation::Command)?;
    let subscription = |first: u8| {
        let mut frame = Vec::with_capacity(1 + data.len());
        frame.push(first);
        frame.extend_from_slice(data);
        Some(Decoded::Message(vec![frame.into()]))
    };
    match name {
        // A name has at least one byte (RFC 37, section "Formal Grammar").
        b"" => Err(Violation::Command),
        b"PING" => encode_pong(data).map(|pong| Some(Decoded::Ping { pong })),
        b"SUBSCRIBE" if subscriptions => Ok(subscription(1)),
        b"CANCEL" if subscriptions => Ok(subscription(0)),
        _ => Ok(None),
    }
}

/// Encodes the `PONG` frame for the data of a `PING`.
///
/// The data is a time to live of two bytes and a context of up to 16 bytes. The `PONG` returns the context (RFC 37, section
/// "Heartbeating").
fn encode_pong(ping: &[u8]) -> Result<Vec<u8>, Violation> {
    const TTL: usize = 2;
    const MAX_CONTEXT: usize = 16;
    const NAME: &[u8] = b"\x04PONG";
    let context = ping
        .get(TTL..)
        .filter(|context| context.len() <= MAX_CONTEXT)
        .ok_or(Violation::Command)?;
    let mut pong = vec![COMMAND, (NAME.len() + context.len()) as u8];
    pong.extend_from_slice(NAME);
    pong.extend_from_slice(context);
    Ok(pong)
}

/// A violation of the protocol or of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// A frame with flags that ZMTP 3 does not define.
    Flags,
    /// A command that is malformed, longer than 4 KiB, or marked as part of a message.
    Command,
    /// A message with more bytes than [`FrameLimits::max_message_bytes`].
    MessageBytes {
        /// The number of bytes, up to the end of the frame that exceeds the limit.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A message with more frames than [`FrameLimits::max_frames`].
    Frames,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MessageBytes { bytes, limit } => {
                return write!(
                    f,
                    "the peer sent a message of at least {bytes} bytes, and `max_message_bytes` is {limit}"
                );
            }
            Self::Flags => "the peer sent a frame with unknown flags",
            Self::Command => "the peer sent a command that is malformed or too long",
            Self::Frames => "the peer sent a message with more frames than `max_frames` allows",
        })
    }
}

impl std::error::Error for Violation {}

#[cfg(test)]
mod tests;
