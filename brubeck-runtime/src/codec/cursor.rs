//! A cursor for parsing untrusted bytes, the errors of parsing and encoding, and strings that share the memory of a frame.

use bytes::Bytes;
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// The maximum number of digits of a length. Ten digits are enough for every frame and cannot overflow a `u64`.
const MAX_LENGTH_DIGITS: usize = 10;

/// A read position in a frame. Values are slices of the frame and are not copied.
///
/// ```
/// use brubeck_runtime::wire::Cursor;
/// use bytes::Bytes;
///
/// let frame = Bytes::from_static(b"ident 42 rest");
/// let mut cursor = Cursor::new(&frame);
/// assert_eq!(cursor.take_until(b' ', "a space after the identifier")?, "ident");
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
    /// Creates a cursor at the start of `frame`.
    #[must_use]
    pub fn new(frame: &'a Bytes) -> Self {
        Self {
            frame,
            at: 0,
            end: frame.len(),
        }
    }

    /// Returns the offset of the next byte from the start of the frame.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Returns the number of remaining bytes.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.end.saturating_sub(self.at)
    }

    /// Returns the remaining bytes.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.frame.get(self.at..self.end).unwrap_or_default()
    }

    /// Returns the next byte without advancing, or `None` at the end.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    /// Reads the next byte. Returns `None` at the end.
    #[must_use = "use `expect` to skip a known byte"]
    pub fn byte(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Reads the byte `expected`.
    ///
    /// # Errors
    /// Returns [`ParseError::Expected`] with `what` if the next byte is another one or the cursor is at its end.
    pub fn expect(&mut self, expected: u8, what: &'static str) -> Result<(), ParseError> {
        if self.peek() == Some(expected) {
            self.at += 1;
            Ok(())
        } else {
            Err(ParseError::Expected { at: self.at, what })
        }
    }

    /// Reads `count` bytes.
    ///
    /// # Errors
    /// Returns [`ParseError::Truncated`] if fewer bytes remain.
    pub fn take(&mut self, count: usize) -> Result<Bytes, ParseError> {
        let part = self.split_to(count)?;
        Ok(self.frame.slice(part.at..part.end))
    }

    /// Returns a cursor over the next `count` bytes, and skips them in this cursor. Positions in the new cursor also count from
    /// the start of the frame.
    ///
    /// # Errors
    /// Returns [`ParseError::Truncated`] if fewer bytes remain.
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

    /// Reads the bytes up to the next `delimiter`, which is skipped.
    ///
    /// # Errors
    /// Returns [`ParseError::Expected`] with `what` if there is no `delimiter`.
    pub fn take_until(&mut self, delimiter: u8, what: &'static str) -> Result<Bytes, ParseError> {
        let Some(count) = self.rest().iter().position(|&byte| byte == delimiter) else {
            // The delimiter is missing at the end of the input, not at the current position.
            return Err(ParseError::Expected { at: self.end, what });
        };
        let before = self.take(count)?;
        self.expect(delimiter, what)?;
        Ok(before)
    }

    /// Reads a decimal length and its `:`.
    ///
    /// A length has one to ten digits and no sign; leading zeros are allowed. At least that many bytes must follow the `:`.
    ///
    /// # Errors
    /// Returns [`ParseError::Expected`] if there is no such length, and [`ParseError::Truncated`] if fewer bytes follow.
    pub fn read_length(&mut self) -> Result<usize, ParseError> {
        const LENGTH: &str = "a length of 1 to 10 decimal digits followed by `:`";
        let start = self.at;
        let mut length = 0_u64;
        let mut digits = 0;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            digits += 1;
            if digits > MAX_LENGTH_DIGITS {
                return Err(ParseError::Expected {
                    at: start,
                    what: LENGTH,
                });
            }
            length = length * 10 + u64::from(byte - b'0');
            self.at += 1;
        }
        if digits == 0 || self.peek() != Some(b':') {
            return Err(ParseError::Expected {
                at: start,
                what: LENGTH,
            });
        }
        self.at += 1;
        // Checked here, so that no caller can allocate memory for a length that the input does not have.
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

    /// Skips spaces, tabs, line feeds and carriage returns.
    pub fn skip_whitespace(&mut self) {
        let blanks = self
            .rest()
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
            .count();
        self.at += blanks;
    }

    /// Checks that no bytes remain.
    ///
    /// # Errors
    /// Returns [`ParseError::Trailing`] if bytes remain.
    pub const fn expect_end(&self) -> Result<(), ParseError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(ParseError::Trailing { at: self.at, left }),
        }
    }
}

/// The error of parsing a message.
///
/// Offsets are in bytes from the start of the frame. No variant contains bytes of the message, so an error can be logged
/// even if the message contains a passphrase.
///
/// ```
/// use brubeck_runtime::wire::{Cursor, ParseError, lenstr};
/// use bytes::Bytes;
///
/// let input = Bytes::from_static(b"9:short");
/// let error = lenstr::decode(&mut Cursor::new(&input)).unwrap_err();
/// assert_eq!(error, ParseError::Truncated { at: 2, needed: 9, left: 5 });
/// assert_eq!(error.to_string(), "length 9 at byte 2, but only 5 bytes remain");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// Fewer bytes remain than a length or a field of fixed size requires.
    Truncated {
        /// The offset at which the bytes start.
        at: usize,
        /// The required number of bytes.
        needed: u64,
        /// The number of remaining bytes.
        left: usize,
    },
    /// The bytes do not match the grammar.
    Expected {
        /// The offset of the mismatch.
        at: usize,
        /// A description of the expected bytes.
        what: &'static str,
    },
    /// Values are nested too deeply.
    TooDeep {
        /// The offset of the value that exceeds the limit.
        at: usize,
        /// The maximum depth.
        limit: usize,
    },
    /// There are too many values.
    TooMany {
        /// The offset of the value that exceeds the limit.
        at: usize,
        /// The maximum number of values.
        limit: usize,
    },
    /// Bytes follow the end of the message.
    Trailing {
        /// The offset of the end of the message.
        at: usize,
        /// The number of bytes that follow.
        left: usize,
    },
    /// The message has an unexpected number or order of frames.
    Frames {
        /// The number of frames.
        found: usize,
        /// A description of the expected frames.
        what: &'static str,
    },
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { at, needed, left } => {
                write!(f, "length {needed} at byte {at}, but only {left} bytes remain")
            }
            Self::Expected { at, what } => write!(f, "expected {what} at byte {at}"),
            Self::TooDeep { at, limit } => write!(f, "more than {limit} nested values at byte {at}"),
            Self::TooMany { at, limit } => write!(f, "more than {limit} values at byte {at}"),
            Self::Trailing { at, left } => {
                write!(f, "the message ends at byte {at}, but {left} bytes follow")
            }
            Self::Frames { found, what } => write!(f, "expected {what}, got {found} frame(s)"),
        }
    }
}

impl std::error::Error for ParseError {}

/// The error of encoding a message that the peer could not parse, or would parse as something else.
///
/// Its text names the field and the remedy. It never contains the value, which may be secret.
///
/// ```
/// use brubeck_runtime::wire::mongrel2;
///
/// let refused = mongrel2::close(b"no spaces here", &[b"7"]).err().unwrap();
/// assert_eq!(
///     refused.to_string(),
///     "cannot send `ident`: it must contain only ASCII letters, digits and `-`; change the `send_ident` of the Mongrel2 handler",
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeError {
    field: &'static str,
    problem: Cow<'static, str>,
}

impl EncodeError {
    pub(crate) const fn new(field: &'static str, problem: &'static str) -> Self {
        Self {
            field,
            problem: Cow::Borrowed(problem),
        }
    }

    /// Creates the error of a value that exceeds a limit of the protocol.
    pub(crate) fn too_long(field: &'static str, bytes: usize, limit: usize, advice: &str) -> Self {
        Self {
            field,
            problem: format!(
                "it has {bytes} bytes, and the limit of the protocol is {limit} bytes; {advice}"
            )
            .into(),
        }
    }

    /// Returns the name of the field that cannot be encoded.
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

/// An immutable UTF-8 string that may share the memory of the frame from which it was parsed.
///
/// ```
/// use brubeck_runtime::wire::v3::ByteStr;
///
/// let path = ByteStr::from("/service/slow");
/// assert!(path.starts_with("/service"));
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteStr(Bytes);

/// Returns the longest prefix of at most `max` bytes that is valid UTF-8.
pub(crate) fn truncated(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    // A cut within a character would not be valid UTF-8. Offset 0 is always a boundary.
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

impl ByteStr {
    /// Converts bytes to a string. Returns `None` if they are not valid UTF-8.
    #[must_use]
    pub fn from_utf8(bytes: Bytes) -> Option<Self> {
        std::str::from_utf8(&bytes).is_ok().then_some(Self(bytes))
    }

    /// Returns the longest prefix of at most `max` bytes that is valid UTF-8.
    #[must_use]
    pub fn truncated(&self, max: usize) -> Self {
        Self(self.0.slice(..truncated(self.as_str(), max).len()))
    }

    /// Returns the bytes. Unlike [`as_str`](Self::as_str), this takes constant time.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns `true` if the string is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the string. This validates the bytes again, in time linear in their number.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // All constructors take valid UTF-8, so this cannot fail. Without `unsafe` the bytes must be validated again.
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
