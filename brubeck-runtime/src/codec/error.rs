//! What can be wrong with bytes that came in, and with a message that should go out.

use std::fmt;

/// Why bytes could not be read as a message.
///
/// Offsets count bytes from the start of the frame. No variant carries bytes of the message itself, so an error can be
/// logged even when the message held a passphrase.
///
/// ```
/// use brubeck_runtime::wire::{Cursor, Error, lenstr};
/// use bytes::Bytes;
///
/// let input = Bytes::from_static(b"9:short");
/// let error = lenstr::decode(&mut Cursor::new(&input)).unwrap_err();
/// assert_eq!(error, Error::Truncated { at: 2, needed: 9, left: 5 });
/// assert_eq!(error.to_string(), "9 bytes announced at byte 2, but only 5 are left");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
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

impl fmt::Display for Error {
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

impl std::error::Error for Error {}

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
