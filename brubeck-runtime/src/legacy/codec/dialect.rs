//! Which fields an envelope has, in which order.

use crate::codec::{Cursor, lenstr};
use crate::rpc::api::Dialect;

impl Dialect {
    /// Whether a request begins with a space.
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
    /// The name the original uses.
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

/// Finds out in which of two dialects an envelope is written: the string behind the fields both have is another field if a
/// space follows it, and the tail if not. `None` if the envelope is broken before that.
///
/// The cursor stands behind the sender and is a copy, so that the envelope is then read from its start.
pub(super) fn detect(mut cursor: Cursor<'_>, [few, many]: [Dialect; 2]) -> Option<Dialect> {
    for _ in few.request_fields() {
        lenstr::decode(&mut cursor).ok()?;
        cursor.expect(b' ', "a space").ok()?;
    }
    lenstr::decode(&mut cursor).ok()?;
    Some(if cursor.peek() == Some(b' ') { many } else { few })
}
