//! The envelope of a request or response, and the tail that follows it.

use super::dialect::EnvelopeField;
use super::{Dialect, JsonText, LegacyDecodeError};
use crate::codec::{Cursor, EncodeError, ParseError, lenstr};
use crate::rpc::api::Origin;
use crate::secret::Secret;
use bytes::{BufMut, Bytes, BytesMut};

/// The fields that precede the data of a request or response.
///
/// ```
/// use brubeck_runtime::wire::service::{Dialect, LegacyRequest};
///
/// let request = LegacyRequest::new(Dialect::Pypi, "42", "/service/slow", "request");
/// assert_eq!(request.envelope.conn_id, "42");
/// assert_eq!(request.envelope.times.request.millis(), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LegacyEnvelope {
    /// The dialect of the message.
    pub dialect: Dialect,
    /// The identity of the calling application, which is the routing identity of its `DEALER`. It may be any bytes, except in
    /// requests of the `Pypi` dialects, which cannot encode whitespace in it.
    pub sender: Bytes,
    /// The id of the call. A response repeats it.
    pub conn_id: Bytes,
    /// The timestamps of the call.
    pub times: Times,
    /// The secret that both sides share.
    pub passphrase: Secret,
    /// The web request that the call was made for.
    pub origin: Origin,
    /// `true` if the application handles the response. Only [`Dialect::Pypi01x`] encodes it; messages that are
    /// decoded in other dialects have `true`.
    pub handle_response: bool,
    /// The path of the operation. [`path_str`](Self::path_str) returns it as text.
    pub path: Bytes,
    /// The method: `response` in a response, and usually `request` in a request.
    pub method: Bytes,
}

/// The timestamps of a call. Each dialect encodes some of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    /// When the request was made. Only the `Pypi` dialects encode it.
    pub request: Timestamp,
    /// When the service received the request. In a request of [`Dialect::Branch`], when the request was made.
    pub start: Timestamp,
    /// When the service sent the response. In a request of [`Dialect::Branch`], when the request was made.
    pub end: Timestamp,
}

impl LegacyEnvelope {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            sender: Bytes::new(),
            conn_id: Bytes::new(),
            times: Times::default(),
            passphrase: Secret::default(),
            origin: Origin::default(),
            handle_response: true,
            path: Bytes::new(),
            method: Bytes::new(),
        }
    }

    /// Returns the path. Returns `None` if it is not UTF-8.
    #[must_use]
    pub fn path_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.path).ok()
    }

    /// Reads the fields after the sender.
    pub(super) fn read(
        mut self,
        cursor: &mut Cursor<'_>,
        message: &'static str,
        fields: &[EnvelopeField],
    ) -> Result<Self, LegacyDecodeError> {
        for &field in fields {
            if let Err(reason) = self.read_field(cursor, field) {
                let error = LegacyDecodeError::new(message, field.name(), reason);
                return Err(error.with_conn_id(self.conn_id));
            }
        }
        Ok(self)
    }

    fn read_field(&mut self, cursor: &mut Cursor<'_>, field: EnvelopeField) -> Result<(), ParseError> {
        let at = cursor.position();
        let value = lenstr::decode(cursor)?;
        cursor.expect(b' ', "the space that ends an envelope field")?;
        match field {
            EnvelopeField::ConnId if value.is_empty() => {
                return Err(ParseError::Expected {
                    at,
                    what: "a `conn_id` of one byte or more",
                });
            }
            EnvelopeField::ConnId => self.conn_id = value,
            EnvelopeField::RequestTime => self.times.request = Timestamp::from_text(value),
            EnvelopeField::StartTime => self.times.start = Timestamp::from_text(value),
            EnvelopeField::EndTime => self.times.end = Timestamp::from_text(value),
            EnvelopeField::Passphrase => self.passphrase = Secret::new(value),
            EnvelopeField::OriginSenderId => self.origin.sender_id = value,
            EnvelopeField::OriginConnId => self.origin.conn_id = value,
            EnvelopeField::OriginOutAddr => self.origin.out_addr = value,
            EnvelopeField::HandleResponse => {
                self.handle_response = match value.as_ref() {
                    b"1" => true,
                    b"0" => false,
                    _ => {
                        return Err(ParseError::Expected {
                            at,
                            what: "`1` or `0`",
                        });
                    }
                }
            }
            EnvelopeField::Path => self.path = value,
            EnvelopeField::Method => self.method = value,
        }
        Ok(())
    }

    /// Writes the fields after the sender, each followed by a space.
    pub(super) fn write(&self, output: &mut BytesMut, fields: &[EnvelopeField]) -> Result<(), EncodeError> {
        for &field in fields {
            lenstr::encode(output, self.encoded_field(field)?);
            output.put_u8(b' ');
        }
        Ok(())
    }

    /// Returns the encoded value of one field.
    ///
    /// Returns an error if a peer in Python would decode a different value, or none.
    fn encoded_field(&self, field: EnvelopeField) -> Result<&[u8], EncodeError> {
        // `if_empty` is the placeholder for an empty value. `None` means that the value must not be empty.
        let (value, if_empty): (&[u8], Option<&[u8]>) = match field {
            EnvelopeField::ConnId => (&self.conn_id, None),
            EnvelopeField::RequestTime => (self.times.request.text(), Some(b"0")),
            EnvelopeField::StartTime => (self.times.start.text(), Some(b"0")),
            EnvelopeField::EndTime => (self.times.end.text(), Some(b"0")),
            // The parser of the `Pypi` dialects fails on an empty string, and no placeholder is possible for a passphrase.
            EnvelopeField::Passphrase if self.dialect.has_sender_in_request() => {
                (self.passphrase.expose(), None)
            }
            EnvelopeField::Passphrase => (self.passphrase.expose(), Some(b"")),
            EnvelopeField::OriginSenderId => (&self.origin.sender_id, Some(b"-")),
            EnvelopeField::OriginConnId => (&self.origin.conn_id, Some(b"-")),
            EnvelopeField::OriginOutAddr => (&self.origin.out_addr, Some(b"-")),
            EnvelopeField::HandleResponse if self.handle_response => (b"1", None),
            EnvelopeField::HandleResponse => (b"0", None),
            EnvelopeField::Path => (&self.path, None),
            EnvelopeField::Method => (&self.method, None),
        };
        if splits_field(value) {
            return Err(EncodeError::new(field.name(), CONTAINS_WHITESPACE));
        }
        if value.is_empty() {
            return if_empty.ok_or(EncodeError::new(
                field.name(),
                "the value is empty, which this dialect cannot encode; set a value",
            ));
        }
        Ok(value)
    }
}

/// The reason for refusing a value with whitespace.
pub(super) const CONTAINS_WHITESPACE: &str =
    "the value contains whitespace, which ends a field in the Python original; remove or percent-encode it";

/// Returns `true` if the Python original would split `value`: it splits at whitespace before it reads the lengths.
pub(super) fn splits_field(value: &[u8]) -> bool {
    value
        .iter()
        .any(|byte| byte.is_ascii_whitespace() || *byte == 0x0b)
}

/// Reads the strings of a tail. Its errors contain the envelope.
#[derive(Debug)]
pub(super) struct Tail<'a> {
    pub(super) envelope: LegacyEnvelope,
    cursor: Cursor<'a>,
    message: &'static str,
}

impl<'a> Tail<'a> {
    pub(super) const fn new(envelope: LegacyEnvelope, cursor: Cursor<'a>, message: &'static str) -> Self {
        Self {
            envelope,
            cursor,
            message,
        }
    }

    /// Returns the offset of the next string.
    pub(super) const fn position(&self) -> usize {
        self.cursor.position()
    }

    /// Reads the next string.
    pub(super) fn string(&mut self, field: &'static str) -> Result<Bytes, LegacyDecodeError> {
        lenstr::decode(&mut self.cursor).map_err(|reason| self.error(field, reason))
    }

    /// Reads the next string as JSON text.
    pub(super) fn json(&mut self, field: &'static str) -> Result<JsonText, LegacyDecodeError> {
        self.string(field).map(JsonText::from)
    }

    /// Checks that only whitespace follows. Returns the envelope.
    pub(super) fn end(mut self) -> Result<LegacyEnvelope, LegacyDecodeError> {
        self.cursor.skip_whitespace();
        match self.cursor.expect_end() {
            Ok(()) => Ok(self.envelope),
            Err(reason) => Err(self.error("end", reason)),
        }
    }

    /// Creates an error about `field` that contains the envelope.
    pub(super) fn error(&self, field: &'static str, reason: ParseError) -> LegacyDecodeError {
        LegacyDecodeError::new(self.message, field, reason).with_envelope(self.envelope.clone())
    }
}

/// A timestamp in milliseconds since 1970, as the text on the wire.
///
/// Peers send different texts. Some of them send seconds, which are not converted. A text that is not a whole number counts as
/// absent.
///
/// ```
/// use brubeck_runtime::wire::service::Timestamp;
///
/// assert_eq!(Timestamp::from_millis(1_795_470_575_047).millis(), Some(1_795_470_575_047));
/// assert_eq!(Timestamp::from_text("None").millis(), None);
/// assert_eq!(Timestamp::default().millis(), None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timestamp(Bytes);

impl Timestamp {
    /// Creates a timestamp from milliseconds since 1970.
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.to_string().into())
    }

    /// Creates a timestamp from the text on the wire.
    #[must_use]
    pub fn from_text(text: impl Into<Bytes>) -> Self {
        Self(text.into())
    }

    /// Returns the milliseconds since 1970.
    ///
    /// Returns `None` if the text is not a whole number below 2^64, or if it is `0`, which means "absent" in fields that
    /// require a number.
    #[must_use]
    pub fn millis(&self) -> Option<u64> {
        if !self.0.iter().all(u8::is_ascii_digit) {
            return None;
        }
        std::str::from_utf8(&self.0)
            .ok()?
            .parse()
            .ok()
            .filter(|&millis| millis != 0)
    }

    /// Returns the text on the wire.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.0
    }
}
