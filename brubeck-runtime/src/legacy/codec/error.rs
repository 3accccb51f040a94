//! The error of decoding a request or response.

use std::fmt;

use bytes::Bytes;

use super::LegacyEnvelope;
use crate::codec::ParseError;

/// An error that occurred while decoding a request or response.
///
/// The error contains the envelope, or else the `conn_id`, if it was decoded. With the envelope, a service can respond with
/// status 400. With the `conn_id`, an application can fail the call that the response belongs to. Check the passphrase of an
/// envelope before you use the envelope. A `conn_id` alone is not authenticated.
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
///     "unreadable response, field `passphrase`: length 16 at byte 22, but only 5 bytes remain",
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyDecodeError {
    message: &'static str,
    field: &'static str,
    reason: ParseError,
    decoded: DecodedPart,
}

/// The part of a message that was decoded before the error.
#[derive(Debug, Clone, PartialEq, Eq)]
enum DecodedPart {
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
            decoded: DecodedPart::Nothing,
        }
    }

    pub(super) fn with_conn_id(self, conn_id: Bytes) -> Self {
        if conn_id.is_empty() {
            self
        } else {
            Self {
                decoded: DecodedPart::ConnId(conn_id),
                ..self
            }
        }
    }

    pub(super) fn with_envelope(self, envelope: LegacyEnvelope) -> Self {
        Self {
            decoded: DecodedPart::Envelope(Box::new(envelope)),
            ..self
        }
    }

    /// Returns the cause, with its position in the message.
    #[must_use]
    pub const fn reason(&self) -> &ParseError {
        &self.reason
    }

    /// Returns the name of the invalid field. The name is `frames` if the frames of the message are wrong, and `end` if data follows
    /// the last field.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// Returns the `conn_id` if it was decoded.
    #[must_use]
    pub fn conn_id(&self) -> Option<&Bytes> {
        match &self.decoded {
            DecodedPart::Nothing => None,
            DecodedPart::ConnId(conn_id) => Some(conn_id),
            DecodedPart::Envelope(envelope) => Some(&envelope.conn_id),
        }
    }

    /// Returns the envelope if all of it was decoded and only the tail is invalid.
    #[must_use]
    pub fn envelope(&self) -> Option<&LegacyEnvelope> {
        match &self.decoded {
            DecodedPart::Envelope(envelope) => Some(envelope),
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
