//! A cursor over bytes from outside, what can be wrong with them, and text that shares their memory.

use bytes::Bytes;
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// The most digits a length may have: enough for anything that fits a frame, too few to overflow a `u64`.
const MAX_DIGITS: usize = 10;

/// A reading position in one frame; what is read is sliced from the frame, not copied.
///
/// ```
/// use brubeck_runtime::wire::Cursor;
/// use bytes::Bytes;
///
/// let frame = Bytes::from_static(b"ident 42 rest");
/// let mut cursor = Cursor::new(&frame);
/// assert_eq!(cursor.take_until(b' ', "a space after the ident")?, "ident");
/// assert_eq!(cursor.take(2)?, "42");
/// assert_eq!((cursor.position(), cursor.remaining()), (8, 5));
/// # Ok::<(), brubeck_runtime::wire::ParseError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    frame: &'a Bytes,
    at: usize,
    end: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the first byte of `frame`.
    #[must_use]
    pub fn new(frame: &'a Bytes) -> Self {
        Self {
            frame,
            at: 0,
            end: frame.len(),
        }
    }

    /// The offset of the next byte, counted from the start of the frame.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.end.saturating_sub(self.at)
    }

    /// The bytes that are left.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.frame.get(self.at..self.end).unwrap_or_default()
    }

    /// The next byte, without moving on.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    /// The next byte, moving on past it.
    #[must_use = "use `expect` to skip a known byte"]
    pub fn byte(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Moves on past the byte `wanted`.
    ///
    /// # Errors
    /// [`ParseError::Expected`] with `what` if another byte, or none, stands there.
    pub fn expect(&mut self, wanted: u8, what: &'static str) -> Result<(), ParseError> {
        if self.peek() == Some(wanted) {
            self.at += 1;
            Ok(())
        } else {
            Err(ParseError::Expected { at: self.at, what })
        }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`ParseError::Truncated`] if fewer are left.
    pub fn take(&mut self, count: usize) -> Result<Bytes, ParseError> {
        let taken = self.split_to(count)?;
        Ok(self.frame.slice(taken.at..taken.end))
    }

    /// A cursor over the next `count` bytes, which this one skips; offsets stay those of the frame.
    ///
    /// # Errors
    /// [`ParseError::Truncated`] if fewer are left.
    pub fn split_to(&mut self, count: usize) -> Result<Self, ParseError> {
        let left = self.remaining();
        if count > left {
            return Err(ParseError::Truncated {
                at: self.at,
                needed: count as u64,
                left,
            });
        }
        let start = self.at;
        self.at += count;
        Ok(Self {
            frame: self.frame,
            at: start,
            end: self.at,
        })
    }

    /// The bytes before the next `stop`; moves on past it.
    ///
    /// # Errors
    /// [`ParseError::Expected`] with `what` if no `stop` follows.
    pub fn take_until(&mut self, stop: u8, what: &'static str) -> Result<Bytes, ParseError> {
        let Some(count) = self.rest().iter().position(|&byte| byte == stop) else {
            return Err(ParseError::Expected { at: self.end, what });
        };
        let before = self.take(count)?;
        self.expect(stop, what)?;
        Ok(before)
    }

    /// A decimal length, its `:`, and the proof that so many bytes follow.
    ///
    /// One to ten digits, leading zeros allowed, no sign.
    ///
    /// # Errors
    /// [`ParseError::Expected`] if there is no such number, [`ParseError::Truncated`] if fewer bytes follow.
    pub fn read_length(&mut self) -> Result<usize, ParseError> {
        const WHAT: &str = "a length of 1 to 10 decimal digits followed by `:`";
        let start = self.at;
        let mut length = 0_u64;
        let mut digits = 0;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            digits += 1;
            if digits > MAX_DIGITS {
                return Err(ParseError::Expected {
                    at: start,
                    what: WHAT,
                });
            }
            length = length * 10 + u64::from(byte - b'0');
            self.at += 1;
        }
        if digits == 0 || self.peek() != Some(b':') {
            return Err(ParseError::Expected {
                at: start,
                what: WHAT,
            });
        }
        self.at += 1;
        let left = self.remaining();
        match usize::try_from(length) {
            Ok(length) if length <= left => Ok(length),
            _ => Err(ParseError::Truncated {
                at: self.at,
                needed: length,
                left,
            }),
        }
    }

    /// Moves on past spaces, tabs, line feeds and carriage returns.
    pub fn skip_whitespace(&mut self) {
        let blanks = self
            .rest()
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
            .count();
        self.at += blanks;
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// [`ParseError::Trailing`] if something is.
    pub const fn expect_end(&self) -> Result<(), ParseError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(ParseError::Trailing { at: self.at, left }),
        }
    }
}

/// Why bytes could not be read as a message.
///
/// Offsets count bytes from the start of the frame. No variant carries bytes of the message itself, so an error can be
/// logged even when the message held a passphrase.
///
/// ```
/// use brubeck_runtime::wire::{Cursor, ParseError, lenstr};
/// use bytes::Bytes;
///
/// let input = Bytes::from_static(b"9:short");
/// let error = lenstr::decode(&mut Cursor::new(&input)).unwrap_err();
/// assert_eq!(error, ParseError::Truncated { at: 2, needed: 9, left: 5 });
/// assert_eq!(error.to_string(), "9 bytes announced at byte 2, but only 5 are left");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// Fewer bytes are there than a length announced.
    Truncated {
        /// Where the announced bytes should begin.
        at: usize,
        /// How many bytes were announced.
        needed: u64,
        /// How many bytes are there.
        left: usize,
    },
    /// Something else stands where the grammar wants `what`.
    Expected {
        /// Where it should stand.
        at: usize,
        /// What should stand there.
        what: &'static str,
    },
    /// Values are nested deeper than `limit`.
    TooDeep {
        /// Where the value that is too deep begins.
        at: usize,
        /// The deepest nesting that is read.
        limit: usize,
    },
    /// More values than `limit`.
    TooMany {
        /// Where the first value above the limit begins.
        at: usize,
        /// The most values that are read.
        limit: usize,
    },
    /// The message is complete, yet bytes follow it.
    Trailing {
        /// Where the surplus begins.
        at: usize,
        /// How many bytes follow.
        left: usize,
    },
    /// The number or arrangement of the frames is not one this kind of message comes in.
    Frames {
        /// How many frames came.
        found: usize,
        /// The arrangement that is read.
        what: &'static str,
    },
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { at, needed, left } => {
                write!(
                    f,
                    "{needed} bytes announced at byte {at}, but only {left} are left"
                )
            }
            Self::Expected { at, what } => write!(f, "expected {what} at byte {at}"),
            Self::TooDeep { at, limit } => write!(f, "more than {limit} nested values at byte {at}"),
            Self::TooMany { at, limit } => write!(f, "more than {limit} values at byte {at}"),
            Self::Trailing { at, left } => {
                write!(f, "the message ends at byte {at}, but {left} more bytes follow")
            }
            Self::Frames { found, what } => write!(f, "expected {what}, got {found} frame(s)"),
        }
    }
}

impl std::error::Error for ParseError {}

/// Why a message was not written: the other side could not read it, or would read something else.
///
/// The text names the field and the way out, never the value, which may be secret.
///
/// ```
/// use brubeck_runtime::wire::mongrel2;
///
/// let refused = mongrel2::close(b"no spaces here", &[b"7"]).err().unwrap();
/// assert_eq!(
///     refused.to_string(),
///     "cannot send `ident`: Mongrel2 takes only ASCII letters, digits and `-` here; set such a `send_ident`",
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeError {
    field: &'static str,
    problem: &'static str,
}

impl EncodeError {
    pub(crate) const fn new(field: &'static str, problem: &'static str) -> Self {
        Self { field, problem }
    }

    /// The field that cannot be sent as it is.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot send `{}`: {}", self.field, self.problem)
    }
}

impl std::error::Error for EncodeError {}

/// UTF-8 text; what was read from a frame shares the frame's memory.
///
/// ```
/// use brubeck_runtime::wire::v2::ByteStr;
///
/// let path = ByteStr::from("/service/slow");
/// assert!(path.starts_with("/service"));
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteStr(Bytes);

impl ByteStr {
    /// The text in these bytes; `None` if they are not UTF-8.
    #[must_use]
    pub fn checked(bytes: Bytes) -> Option<Self> {
        std::str::from_utf8(&bytes).is_ok().then_some(Self(bytes))
    }

    /// As much of the beginning as fits into `max` bytes.
    #[must_use]
    pub fn cut(&self, max: usize) -> Self {
        let text = self.as_str();
        let mut end = text.len().min(max);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self(self.0.slice(..end))
    }

    /// Its bytes. They and their number are asked for more often than the text, and without it being checked again.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// How long it is, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Always valid: there is no way to make a `ByteStr` of anything else.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Deref for ByteStr {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<&'static str> for ByteStr {
    fn from(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }
}

impl From<String> for ByteStr {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Cow<'static, str>> for ByteStr {
    fn from(text: Cow<'static, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl PartialEq<str> for ByteStr {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for ByteStr {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Debug for ByteStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for ByteStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}
