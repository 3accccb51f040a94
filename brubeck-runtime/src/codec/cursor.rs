//! A place in a frame.

use bytes::Bytes;

use super::Error;

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
/// assert_eq!(cursor.until(b' ', "a space after the ident")?, "ident");
/// assert_eq!(cursor.take(2)?, "42");
/// assert_eq!((cursor.at(), cursor.left()), (8, 5));
/// # Ok::<(), brubeck_runtime::wire::Error>(())
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
    pub const fn at(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn left(&self) -> usize {
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
    /// [`Error::Expected`] with `what` if another byte, or none, stands there.
    pub fn expect(&mut self, wanted: u8, what: &'static str) -> Result<(), Error> {
        if self.peek() == Some(wanted) {
            self.at += 1;
            Ok(())
        } else {
            Err(Error::Expected { at: self.at, what })
        }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`Error::Truncated`] if fewer are left.
    pub fn take(&mut self, count: usize) -> Result<Bytes, Error> {
        let taken = self.within(count)?;
        Ok(self.frame.slice(taken.at..taken.end))
    }

    /// A cursor over the next `count` bytes, which this one skips; offsets stay those of the frame.
    ///
    /// # Errors
    /// [`Error::Truncated`] if fewer are left.
    pub fn within(&mut self, count: usize) -> Result<Self, Error> {
        let left = self.left();
        if count > left {
            return Err(Error::Truncated {
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
    /// [`Error::Expected`] with `what` if no `stop` follows.
    pub fn until(&mut self, stop: u8, what: &'static str) -> Result<Bytes, Error> {
        let Some(count) = self.rest().iter().position(|&byte| byte == stop) else {
            return Err(Error::Expected { at: self.end, what });
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
    /// [`Error::Expected`] if there is no such number, [`Error::Truncated`] if fewer bytes follow.
    pub fn length(&mut self) -> Result<usize, Error> {
        const WHAT: &str = "a length of 1 to 10 decimal digits followed by `:`";
        let start = self.at;
        let mut length = 0_u64;
        let mut digits = 0;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            digits += 1;
            if digits > MAX_DIGITS {
                return Err(Error::Expected {
                    at: start,
                    what: WHAT,
                });
            }
            length = length * 10 + u64::from(byte - b'0');
            self.at += 1;
        }
        if digits == 0 || self.peek() != Some(b':') {
            return Err(Error::Expected {
                at: start,
                what: WHAT,
            });
        }
        self.at += 1;
        let left = self.left();
        match usize::try_from(length) {
            Ok(length) if length <= left => Ok(length),
            _ => Err(Error::Truncated {
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
    /// [`Error::Trailing`] if something is.
    pub const fn end(&self) -> Result<(), Error> {
        match self.left() {
            0 => Ok(()),
            left => Err(Error::Trailing { at: self.at, left }),
        }
    }
}
