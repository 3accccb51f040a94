//! Why a request or response could not be read, and what could be saved of it.

use std::fmt;

use bytes::Bytes;

use super::LegacyEnvelope;
use crate::codec::ParseError;

/// A request or response that could not be read.
///
/// What was legible is kept: a service can answer status 400 if the whole envelope was, and an application can fail the one
/// call the response was for if its `conn_id` was. Neither is proof of anything: check the passphrase first.
///
/// ```
/// use brubeck_runtime::wire::service::{Dialect, decode_response};
/// use bytes::Bytes;
///
/// let payload = Bytes::from_static(b"application-1 2:42 16:my_sh");
/// let error = decode_response(Dialect::Seed, &[Bytes::new(), payload]).unwrap_err();
/// assert_eq!(error.conn_id(), Some(&Bytes::from_static(b"42")));
/// assert!(error.envelope().is_none());
/// assert_eq!(
///     error.to_string(),
///     "unreadable response, field `passphrase`: 16 bytes announced at byte 22, but only 5 are left",
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyDecodeError {
    message: &'static str,
    field: &'static str,
    reason: ParseError,
    saved: Saved,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Saved {
    Nothing,
    ConnId(Bytes),
    Envelope(Box<LegacyEnvelope>),
}

impl LegacyDecodeError {
    pub(super) const fn new(message: &'static str, field: &'static str, reason: ParseError) -> Self {
        Self {
            message,
            field,
            reason,
            saved: Saved::Nothing,
        }
    }

    pub(super) fn with_conn_id(self, conn_id: Bytes) -> Self {
        if conn_id.is_empty() {
            self
        } else {
            Self {
                saved: Saved::ConnId(conn_id),
                ..self
            }
        }
    }

    pub(super) fn with_envelope(self, envelope: LegacyEnvelope) -> Self {
        Self {
            saved: Saved::Envelope(Box::new(envelope)),
            ..self
        }
    }

    /// What is wrong, and where.
    #[must_use]
    pub const fn reason(&self) -> &ParseError {
        &self.reason
    }

    /// The field that is wrong.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// The `conn_id`, if it could be read.
    #[must_use]
    pub fn conn_id(&self) -> Option<&Bytes> {
        match &self.saved {
            Saved::Nothing => None,
            Saved::ConnId(conn_id) => Some(conn_id),
            Saved::Envelope(envelope) => Some(&envelope.conn_id),
        }
    }

    /// The envelope, if all of it could be read and only the tail is wrong.
    #[must_use]
    pub fn envelope(&self) -> Option<&LegacyEnvelope> {
        match &self.saved {
            Saved::Envelope(envelope) => Some(envelope),
            _ => None,
        }
    }
}

impl fmt::Display for LegacyDecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unreadable {}, field `{}`: {}",
            self.message, self.field, self.reason
        )
    }
}

impl std::error::Error for LegacyDecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}
