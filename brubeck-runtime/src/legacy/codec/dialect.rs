//! The fields of an envelope in each dialect, in their order.

use crate::codec::{Cursor, lenstr};
use crate::rpc::api::Dialect;

impl Dialect {
    /// Returns `true` if a request begins with a space.
    pub(super) const fn has_leading_space(self) -> bool {
        !matches!(self, Self::Pypi01x)
    }

    pub(super) const fn request_fields(self) -> &'static [EnvelopeField] {
        use EnvelopeField::{
            ConnId, EndTime, HandleResponse, Method, OriginConnId, OriginOutAddr, OriginSenderId, Passphrase,
            Path, RequestTime, StartTime,
        };
        match self {
            Self::Seed => &[
                ConnId,
                Passphrase,
                OriginSenderId,
                OriginConnId,
                OriginOutAddr,
                Path,
            ],
            Self::Branch => &[
                ConnId,
                StartTime,
                EndTime,
                Passphrase,
                OriginSenderId,
                OriginConnId,
                OriginOutAddr,
                Path,
                Method,
            ],
            Self::Pypi => &[
                ConnId,
                RequestTime,
                Passphrase,
                OriginSenderId,
                OriginConnId,
                OriginOutAddr,
                Path,
                Method,
            ],
            Self::Pypi01x => &[
                ConnId,
                RequestTime,
                Passphrase,
                OriginSenderId,
                OriginConnId,
                OriginOutAddr,
                HandleResponse,
                Path,
                Method,
            ],
        }
    }

    pub(super) const fn response_fields(self) -> &'static [EnvelopeField] {
        use EnvelopeField::{
            ConnId, EndTime, HandleResponse, Method, OriginConnId, OriginOutAddr, OriginSenderId, Passphrase,
            Path, RequestTime, StartTime,
        };
        match self {
            Self::Seed | Self::Branch => self.request_fields(),
            Self::Pypi => &[
                ConnId,
                RequestTime,
                StartTime,
                EndTime,
                Passphrase,
                OriginSenderId,
                OriginConnId,
                OriginOutAddr,
                Path,
                Method,
            ],
            Self::Pypi01x => &[
                ConnId,
                RequestTime,
                StartTime,
                EndTime,
                Passphrase,
                OriginSenderId,
                OriginConnId,
                OriginOutAddr,
                HandleResponse,
                Path,
                Method,
            ],
        }
    }
}

/// One field of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EnvelopeField {
    ConnId,
    RequestTime,
    StartTime,
    EndTime,
    Passphrase,
    OriginSenderId,
    OriginConnId,
    OriginOutAddr,
    HandleResponse,
    Path,
    Method,
}

impl EnvelopeField {
    /// Returns the name of the field in the Python original.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ConnId => "conn_id",
            Self::RequestTime => "request_timestamp",
            Self::StartTime => "start_timestamp",
            Self::EndTime => "end_timestamp",
            Self::Passphrase => "passphrase",
            Self::OriginSenderId => "origin_sender_id",
            Self::OriginConnId => "origin_conn_id",
            Self::OriginOutAddr => "origin_out_addr",
            Self::HandleResponse => "handle_response",
            Self::Path => "path",
            Self::Method => "method",
        }
    }
}

/// Detects in which of two dialects an envelope is encoded. The second dialect must have more fields.
///
/// The string after the fields of the first dialect is another field if a space follows it, and the start of the tail
/// otherwise. Returns `None` if the envelope is malformed before the end of that string.
///
/// `cursor` is a copy that is positioned after the sender, so that the caller can read the envelope from its start.
pub(super) fn detect(mut cursor: Cursor<'_>, [fewer_fields, more_fields]: [Dialect; 2]) -> Option<Dialect> {
    for _ in fewer_fields.request_fields() {
        lenstr::decode(&mut cursor).ok()?;
        cursor.expect(b' ', "a space").ok()?;
    }
    lenstr::decode(&mut cursor).ok()?;
    Some(if cursor.peek() == Some(b' ') {
        more_fields
    } else {
        fewer_fields
    })
}
