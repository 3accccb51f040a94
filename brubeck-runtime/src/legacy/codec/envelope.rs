//! What stands around a request or response: its fields, what follows them, and its times.

use super::dialect::EnvelopeField;
use super::{Dialect, JsonText, LegacyDecodeError};
use crate::codec::{Cursor, EncodeError, ParseError, lenstr};
use crate::rpc::api::Origin;
use crate::secret::Secret;
use bytes::{BufMut, Bytes, BytesMut};

/// The fields in front of the data of a request or response.
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
    /// How the message was or will be written.
    pub dialect: Dialect,
    /// The application that asks: the identity of its DEALER, any bytes.
    pub sender: Bytes,
    /// Names the call; a response repeats it.
    pub conn_id: Bytes,
    /// When it was asked and answered.
    pub times: Times,
    /// The secret both sides share.
    pub passphrase: Secret,
    /// The web request the call was made for.
    pub origin: Origin,
    /// Whether the application handles the response; only [`Dialect::Pypi01x`] carries it.
    pub handle_response: bool,
    /// What is asked for. UTF-8 if [`path_str`](Self::path_str) says so.
    pub path: Bytes,
    /// `request` or another method; `response` in a response.
    pub method: Bytes,
}

/// When a call was asked and answered, as far as the dialect says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    /// When the request was made; only the pypi dialects have it.
    pub request: Timestamp,
    /// When the work began. In a request of [`Dialect::Branch`]: when the request was made.
    pub start: Timestamp,
    /// When the answer was sent. In a request of [`Dialect::Branch`]: when the request was made.
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

    /// The path, if it is UTF-8.
    #[must_use]
    pub fn path_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.path).ok()
    }

    /// Reads the fields behind the sender.
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

    /// Writes the fields behind the sender, each followed by a space.
    pub(super) fn write(&self, output: &mut BytesMut, fields: &[EnvelopeField]) -> Result<(), EncodeError> {
        for &field in fields {
            lenstr::encode(output, self.written(field)?);
            output.put_u8(b' ');
        }
        Ok(())
    }

    /// The bytes of one field, refused if an original would read something else.
    fn written(&self, field: EnvelopeField) -> Result<&[u8], EncodeError> {
        let (value, if_empty): (&[u8], Option<&[u8]>) = match field {
            EnvelopeField::ConnId => (&self.conn_id, None),
            EnvelopeField::RequestTime => (self.times.request.text(), Some(b"0")),
            EnvelopeField::StartTime => (self.times.start.text(), Some(b"0")),
            EnvelopeField::EndTime => (self.times.end.text(), Some(b"0")),
            // Only the pypi dialects choke on an empty passphrase, and no other bytes could stand for it.
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
        if breaks_field(value) {
            return Err(EncodeError::new(field.name(), SPACES));
        }
        if value.is_empty() {
            return if_empty.ok_or(EncodeError::new(
                field.name(),
                "it is empty, which this dialect cannot express; give it a value",
            ));
        }
        Ok(value)
    }
}

/// Why a value with spaces is refused.
pub(super) const SPACES: &str =
    "it has a space or line break in it, where the originals end a field; take it out or percent-encode it";

/// Whether an original, which splits at spaces before it looks at lengths, would cut `value` in two.
pub(super) fn breaks_field(value: &[u8]) -> bool {
    value
        .iter()
        .any(|byte| byte.is_ascii_whitespace() || *byte == 0x0b)
}

/// Reads the strings of a tail; an error carries the envelope, which was read before.
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

    /// The offset of the next string.
    pub(super) const fn position(&self) -> usize {
        self.cursor.position()
    }

    /// The next string.
    pub(super) fn string(&mut self, field: &'static str) -> Result<Bytes, LegacyDecodeError> {
        lenstr::decode(&mut self.cursor).map_err(|reason| self.error(field, reason))
    }

    /// The next string as JSON.
    pub(super) fn json(&mut self, field: &'static str) -> Result<JsonText, LegacyDecodeError> {
        self.string(field).map(JsonText::from)
    }

    /// Checks that only blanks follow.
    pub(super) fn end(mut self) -> Result<LegacyEnvelope, LegacyDecodeError> {
        self.cursor.skip_whitespace();
        match self.cursor.expect_end() {
            Ok(()) => Ok(self.envelope),
            Err(reason) => Err(self.error("end", reason)),
        }
    }

    /// An error about `field` that carries the envelope.
    pub(super) fn error(&self, field: &'static str, reason: ParseError) -> LegacyDecodeError {
        LegacyDecodeError::new(self.message, field, reason).with_envelope(self.envelope.clone())
    }
}

/// Milliseconds since 1970 as text, kept as it came.
///
/// Peers write what they like here, some of them seconds; a text that is no number counts as absent.
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
    /// A timestamp of so many milliseconds since 1970.
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.to_string().into())
    }

    /// A timestamp as a peer wrote it.
    #[must_use]
    pub fn from_text(text: impl Into<Bytes>) -> Self {
        Self(text.into())
    }

    /// Milliseconds since 1970; `None` if the text is no number, or `0`, which stands for "absent" where a peer needs a
    /// number.
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

    /// The text on the wire.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.0
    }
}
