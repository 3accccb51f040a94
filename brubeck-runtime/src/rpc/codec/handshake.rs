//! The messages of the handshake.

use super::ByteStr;
use super::ContractDigest;
use super::field::{self, Fields, number};
use super::limits::MAX_NAME;
use crate::codec::{EncodeError, ParseError};
use bytes::BytesMut;

/// The content of `hello`, the first message of a caller on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The highest version that the caller supports.
    pub version: u8,
    /// One bit for each feature that the caller supports. No features are defined yet.
    pub features: u32,
    /// The interval between two pings, in milliseconds. The worker clamps it to the range from 10 ms to 60 s.
    pub heartbeat_ms: u32,
    /// The largest body that the caller accepts, with its parts, in bytes. The worker sends an error instead of a larger reply.
    pub max_body: u64,
    /// The name of the sender, for diagnostics. At most 64 bytes.
    pub name: ByteStr,
    /// The name of the service that the caller expects, at most 64 bytes. Empty for any.
    pub service: ByteStr,
}

impl Hello {
    pub(super) fn from_fields(fields: &Fields) -> Result<Self, ParseError> {
        fields.require(
            &[number::version, number::heartbeat_interval, number::max_body],
            "a version, a heartbeat interval and the largest body",
        )?;
        Ok(Self {
            version: fields.version,
            features: fields.features,
            heartbeat_ms: fields.heartbeat_interval,
            max_body: fields.max_body,
            name: fields.name.clone(),
            service: fields.service.clone(),
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        field::put_number(out, number::version, self.version);
        field::put_number_unless_zero(out, number::features, self.features);
        field::put_number(out, number::heartbeat_interval, self.heartbeat_ms);
        field::put_number(out, number::max_body, self.max_body);
        field::put_text(out, number::name, &self.name);
        field::put_text(out, number::service, &self.service);
    }

    pub(super) fn validate(&self) -> Result<(), EncodeError> {
        field::check_length(&self.name, MAX_NAME, "name")?;
        field::check_length(&self.service, MAX_NAME, "name of the service")
    }
}

/// The content of `welcome`, with which a worker opens a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version of the session.
    pub version: u8,
    /// The features that both sides support.
    pub features: u32,
    /// The highest request id that the caller may send.
    pub limit: u64,
    /// The largest body that the worker accepts, with its parts, in bytes. It refuses larger requests with `TooLarge`.
    pub max_body: u64,
    /// The name of the sender, for diagnostics. At most 64 bytes.
    pub name: ByteStr,
    /// The digests of the operations of contracts that the worker serves. At most 1,024.
    pub contracts: Vec<ContractDigest>,
}

impl Welcome {
    pub(super) fn from_fields(fields: &mut Fields) -> Result<Self, ParseError> {
        fields.require(
            &[number::version, number::limit, number::max_body],
            "a version, a limit and the largest body",
        )?;
        Ok(Self {
            version: fields.version,
            features: fields.features,
            limit: fields.limit,
            max_body: fields.max_body,
            name: fields.name.clone(),
            contracts: std::mem::take(&mut fields.contracts),
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        field::put_number(out, number::version, self.version);
        field::put_number_unless_zero(out, number::features, self.features);
        field::put_number(out, number::limit, self.limit);
        field::put_number(out, number::max_body, self.max_body);
        field::put_text(out, number::name, &self.name);
        field::put_digests(out, number::contracts, &self.contracts);
    }

    pub(super) fn validate(&self) -> Result<(), EncodeError> {
        field::check_length(&self.name, MAX_NAME, "name")?;
        field::check_digests(&self.contracts)
    }
}

/// The reason why a worker denies a session.
///
/// The caller connects again. Until it succeeds, the errors of its calls may name the reason.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denial {
    /// The worker does not support the version of the caller.
    Version = 2,
    /// The worker has reached its maximum number of sessions.
    Full = 3,
    /// The connection is not protected.
    NotSealed = 4,
    /// The worker is that of another service.
    OtherService = 5,
}

impl Denial {
    /// Returns what is wrong and how to mend it, for the errors and the log of the caller.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Version => {
                "the service does not support this version of brubeck's protocol; use the same release of brubeck on both sides"
            }
            Self::NotSealed => "the service requires TLS, and this connection is in clear",
            Self::OtherService => {
                "there is a service with another name at this address; check the port and the name after it"
            }
            Self::Full => {
                "the service has reached its limit of callers; raise `Service::max_connections`, or add a worker"
            }
        }
    }

    pub(super) fn from_fields(fields: &Fields) -> Result<Self, ParseError> {
        match fields.reason {
            2 => Ok(Self::Version),
            3 => Ok(Self::Full),
            4 => Ok(Self::NotSealed),
            5 => Ok(Self::OtherService),
            _ => Err(ParseError::Expected {
                at: 0,
                what: "a reason from 2 to 5",
            }),
        }
    }

    pub(super) fn write(self, out: &mut BytesMut) {
        field::put_number(out, number::reason, self as u8);
    }
}
