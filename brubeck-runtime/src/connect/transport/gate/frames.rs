//! Walks the frames of a ZMTP 3 stream without looking into them: limits, boundaries, commands. No I/O.

use std::fmt;

const MORE: u8 = 0b001;
const LONG: u8 = 0b010;
const COMMAND: u8 = 0b100;

/// What one message may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameLimits {
    /// Bytes of all its frames together.
    pub(crate) message_bytes: u64,
    /// Frames.
    pub(crate) frames: u64,
}

impl FrameLimits {
    /// For a stream whose writer is trusted.
    pub(crate) const NONE: Self = Self {
        message_bytes: u64::MAX,
        frames: u64::MAX,
    };
}

/// How far a walk came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Walk {
    /// So many bytes are message frames, to be passed on as they are.
    pub(crate) pass: usize,
    /// Right after them stands a command frame of so many bytes, header included; it is not to be passed on.
    pub(crate) command: Option<usize>,
    /// Messages that ended within the bytes to pass on.
    pub(crate) messages: u64,
    /// Where the last of them ended.
    pub(crate) boundary: Option<usize>,
}

/// Where in a stream of frames one is.
#[derive(Debug)]
pub(crate) struct FrameWalker {
    limits: FrameLimits,
    /// What is still to come of the frame whose header was seen.
    body_left: u64,
    /// Whether that frame, or the one before a header, is followed by another one of its message.
    more: bool,
    /// What was seen of the message so far.
    bytes: u64,
    frames: u64,
}

impl FrameWalker {
    pub(crate) fn new(limits: FrameLimits) -> Self {
        Self {
            limits,
            body_left: 0,
            more: false,
            bytes: 0,
            frames: 0,
        }
    }

    /// Whether the stream stands inside a message, where nothing may be put in between.
    pub(crate) fn inside(&self) -> bool {
        self.body_left > 0 || self.more
    }

    /// Walks over `input`, which begins where the last walk ended (after the command, if there was one). Bytes beyond
    /// `pass` and the command belong to a header or a command that is not complete yet: bring them again with what
    /// follows them. They are never more than 256.
    ///
    /// # Errors
    /// The stream breaks a limit or the protocol, and is to be closed. Nothing of `input` may be passed on then.
    pub(crate) fn walk(&mut self, input: &[u8]) -> Result<Walk, Violation> {
        let mut walk = Walk::default();
        loop {
            let rest = input.get(walk.pass..).unwrap_or_default();
            if self.body_left > 0 {
                let step = usize::try_from(self.body_left)
                    .unwrap_or(usize::MAX)
                    .min(rest.len());
                walk.pass += step;
                self.body_left -= step as u64;
                if self.body_left > 0 {
                    return Ok(walk);
                }
                self.frame_ended(&mut walk);
                continue;
            }
            let Some(header) = Header::read(rest)? else {
                return Ok(walk);
            };
            if header.command {
                let whole = header.size + usize::try_from(header.length).unwrap_or(usize::MAX - header.size);
                walk.command = (rest.len() >= whole).then_some(whole);
                return Ok(walk);
            }
            self.count(&header)?;
            walk.pass += header.size;
            self.body_left = header.length;
            self.more = header.more;
            if self.body_left == 0 {
                self.frame_ended(&mut walk);
            }
        }
    }

    fn count(&mut self, header: &Header) -> Result<(), Violation> {
        self.bytes = self.bytes.saturating_add(header.length);
        self.frames = self.frames.saturating_add(1);
        if self.bytes > self.limits.message_bytes {
            Err(Violation::MessageBytes)
        } else if self.frames > self.limits.frames {
            Err(Violation::Frames)
        } else {
            Ok(())
        }
    }

    fn frame_ended(&mut self, walk: &mut Walk) {
        if !self.more {
            self.bytes = 0;
            self.frames = 0;
            walk.messages += 1;
            walk.boundary = Some(walk.pass);
        }
    }
}

struct Header {
    command: bool,
    more: bool,
    size: usize,
    length: u64,
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
                Some(&length) => (2, u64::from(length)),
                None => return Ok(None),
            }
        } else {
            match input.get(1..9).and_then(|bytes| bytes.try_into().ok()) {
                Some(length) => (9, u64::from_be_bytes(length)),
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

/// The answer to a command frame, if it is one that wants an answer: a PONG to a PING.
///
/// # Errors
/// The frame is no well-formed command.
pub(crate) fn pong(command: &[u8]) -> Result<Option<Vec<u8>>, Violation> {
    const TTL: usize = 2;
    const MAX_CONTEXT: usize = 16;
    let (&length, rest) = command
        .get(2..)
        .and_then(<[u8]>::split_first)
        .ok_or(Violation::Command)?;
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
pub(crate) enum Violation {
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
            Self::MessageBytes => "it sent a message with more bytes than Limits::message_bytes",
            Self::Frames => "it sent a message with more frames than Limits::frames",
        })
    }
}

#[cfg(test)]
mod tests;
