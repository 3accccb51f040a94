//! The frames of a ZMTP 3 stream: limits, messages, commands. No I/O.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::codec::small_bytes as piece;

const MORE: u8 = 0b001;
const LONG: u8 = 0b010;
const COMMAND: u8 = 0b100;

/// A frame below this size is copied out of the buffer: it would keep a much larger piece of memory alive, and the buffer
/// can be used again at once.
const SMALL: usize = 1 << 10;

/// The most that is made ready for a frame that has not come: memory grows with what comes, not with what is announced.
const AHEAD: usize = 256 << 10;

/// What one message may be.
#[derive(Clone, Copy, Debug)]
pub struct FrameLimits {
    /// Bytes of all its frames together.
    pub message_bytes: usize,
    /// Frames.
    pub frames: usize,
}

/// What a peer sends.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// A message, whole.
    Message(Vec<Bytes>),
    /// A heartbeat; the frame that answers it.
    Ping(Vec<u8>),
}

/// Reads frames from what a peer sends, in whatever pieces it comes.
#[derive(Debug)]
pub struct Decoder {
    limits: FrameLimits,
    /// The frames that have come of the message under way.
    message: Vec<Bytes>,
    bytes: usize,
}

impl Decoder {
    pub fn new(limits: FrameLimits) -> Self {
        Self {
            limits,
            message: Vec::new(),
            bytes: 0,
        }
    }

    /// The next thing the peer says, taken out of `input`; `None` if not all of it is there. `input` has room then for a
    /// good part of what is missing.
    ///
    /// # Errors
    /// The stream breaks a limit or the protocol, and is to be closed.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Said>, Violation> {
        loop {
            let Some(header) = Header::read(input)? else {
                return Ok(None);
            };
            if !header.command {
                self.check(&header)?;
            }
            let missing = header
                .size
                .saturating_add(header.length)
                .saturating_sub(input.len());
            if missing > 0 {
                input.reserve(missing.min(AHEAD));
                return Ok(None);
            }
            input.advance(header.size);
            let frame = take(input, header.length);
            if header.command {
                match pong(&frame)? {
                    Some(answer) => return Ok(Some(Said::Ping(answer))),
                    None => continue,
                }
            }
            self.bytes += frame.len();
            self.message.push(frame);
            if !header.more {
                self.bytes = 0;
                return Ok(Some(Said::Message(std::mem::take(&mut self.message))));
            }
        }
    }

    fn check(&self, header: &Header) -> Result<(), Violation> {
        if self.bytes.saturating_add(header.length) > self.limits.message_bytes {
            Err(Violation::MessageBytes)
        } else if self.message.len() >= self.limits.frames {
            Err(Violation::Frames)
        } else {
            Ok(())
        }
    }
}

fn take(input: &mut BytesMut, length: usize) -> Bytes {
    if length >= SMALL {
        return input.split_to(length).freeze();
    }
    let frame = piece::copy(input.get(..length).unwrap_or_default());
    input.advance(length);
    frame
}

struct Header {
    command: bool,
    more: bool,
    size: usize,
    length: usize,
}

impl Header {
    /// Reads the header `input` begins with; `None` if it is not complete.
    fn read(input: &[u8]) -> Result<Option<Self>, Violation> {
        let Some(&flags) = input.first() else {
            return Ok(None);
        };
        if flags & !(MORE | LONG | COMMAND) != 0 {
            return Err(Violation::Flags);
        }
        let (size, length) = if flags & LONG == 0 {
            match input.get(1) {
                Some(&length) => (2, length.into()),
                None => return Ok(None),
            }
        } else {
            match input.get(1..9).and_then(|bytes| bytes.try_into().ok()) {
                // No message may be as long as this, where a length does not fit.
                Some(length) => (
                    9,
                    usize::try_from(u64::from_be_bytes(length)).unwrap_or(usize::MAX),
                ),
                None => return Ok(None),
            }
        };
        let (command, more) = (flags & COMMAND != 0, flags & MORE != 0);
        if command && (more || flags & LONG != 0) {
            return Err(Violation::Command);
        }
        Ok(Some(Self {
            command,
            more,
            size,
            length,
        }))
    }
}

/// Writes the header of a frame of a message.
pub fn put_header(out: &mut impl BufMut, length: usize, more: bool) {
    let more = if more { MORE } else { 0 };
    match u8::try_from(length) {
        Ok(length) => out.put_slice(&[more, length]),
        Err(_) => {
            out.put_u8(more | LONG);
            out.put_u64(length as u64);
        }
    }
}

/// The answer to a command, if it is one that wants an answer: a PONG to a PING.
///
/// # Errors
/// It is no well-formed command.
fn pong(command: &[u8]) -> Result<Option<Vec<u8>>, Violation> {
    const TTL: usize = 2;
    const MAX_CONTEXT: usize = 16;
    let (&length, rest) = command.split_first().ok_or(Violation::Command)?;
    let (name, data) = rest.split_at_checked(length.into()).ok_or(Violation::Command)?;
    if name != b"PING" {
        return Ok(None);
    }
    let context = data
        .get(TTL..)
        .filter(|context| context.len() <= MAX_CONTEXT)
        .ok_or(Violation::Command)?;
    let mut answer = vec![COMMAND, 5 + context.len() as u8];
    answer.extend_from_slice(b"\x04PONG");
    answer.extend_from_slice(context);
    Ok(Some(answer))
}

/// How a stream broke the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Flags ZMTP 3 does not know.
    Flags,
    /// A command that is too long, malformed, or marked as part of a message.
    Command,
    /// A message with too many bytes.
    MessageBytes,
    /// A message with too many frames.
    Frames,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flags => "it sent a frame with unknown flags",
            Self::Command => "it sent a malformed command",
            Self::MessageBytes => "it sent a message with more bytes than `message_bytes` allows",
            Self::Frames => "it sent a message with more frames than are allowed",
        })
    }
}

#[cfg(test)]
mod tests;
