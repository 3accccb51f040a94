//! The data behind an envelope: strings without separators, up to the end of the frame.

use bytes::Bytes;

use super::{DecodeError, Envelope, JsonText};
use crate::codec::{Cursor, Error, lenstr};

/// Reads the strings of a tail; an error carries the envelope, which was read before.
#[derive(Debug)]
pub(super) struct Tail<'a> {
    pub(super) envelope: Envelope,
    cursor: Cursor<'a>,
    message: &'static str,
}

impl<'a> Tail<'a> {
    pub(super) const fn new(envelope: Envelope, cursor: Cursor<'a>, message: &'static str) -> Self {
        Self {
            envelope,
            cursor,
            message,
        }
    }

    /// The offset of the next string.
    pub(super) const fn at(&self) -> usize {
        self.cursor.at()
    }

    /// The next string.
    pub(super) fn string(&mut self, field: &'static str) -> Result<Bytes, DecodeError> {
        lenstr::decode(&mut self.cursor).map_err(|reason| self.error(field, reason))
    }

    /// The next string as JSON.
    pub(super) fn json(&mut self, field: &'static str) -> Result<JsonText, DecodeError> {
        self.string(field).map(JsonText::from)
    }

    /// Checks that only blanks follow.
    pub(super) fn end(mut self) -> Result<Envelope, DecodeError> {
        self.cursor.skip_whitespace();
        match self.cursor.end() {
            Ok(()) => Ok(self.envelope),
            Err(reason) => Err(self.error("end", reason)),
        }
    }

    /// An error about `field` that carries the envelope.
    pub(super) fn error(&self, field: &'static str, reason: Error) -> DecodeError {
        DecodeError::new(self.message, field, reason).with_envelope(self.envelope.clone())
    }
}
