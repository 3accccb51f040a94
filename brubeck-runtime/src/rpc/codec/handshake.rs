//! The messages of the handshake, and the keys that are derived from them.

use super::ByteStr;
use super::field::{self, Fields, number};
use super::limits::MAX_NAME;
use crate::codec::{EncodeError, ParseError};
use crate::secret::Secret;
use bytes::{Bytes, BytesMut};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// The content of `hello` and `challenge`: the version, the features, and a nonce for the keys of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// From the caller: the highest version that it supports. From the worker: the version of the session.
    pub version: u8,
    /// One bit for each feature that the sender supports. No features are defined yet.
    pub features: u32,
    /// Random bytes.
    pub nonce: [u8; 32],
}

impl Hello {
    pub(super) fn from_fields(fields: &Fields) -> Result<Self, ParseError> {
        fields.require(&[number::version, number::nonce], "a version and a nonce")?;
        Ok(Self {
            version: fields.version,
            features: fields.features,
            nonce: fields.nonce,
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        field::put_number(out, number::version, self.version);
        field::put_number_unless_zero(out, number::features, self.features);
        field::put_bytes(out, number::nonce, &self.nonce);
    }
}

/// The content of `proof`, the first sealed message of the caller. Its code proves that the caller knows the passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The interval between two pings, in milliseconds. The worker clamps it to the range from 10 ms to 60 s.
    pub heartbeat_ms: u32,
    /// The largest body that the caller accepts, with its parts, in bytes. The worker sends an error instead of a larger reply.
    pub max_body: u64,
    /// The name of the sender, for diagnostics. At most 64 bytes.
    pub name: ByteStr,
}

impl Proof {
    pub(super) fn from_fields(fields: &Fields) -> Result<Self, ParseError> {
        fields.require(
            &[number::heartbeat_interval, number::max_body],
            "a heartbeat interval and the largest body",
        )?;
        Ok(Self {
            heartbeat_ms: fields.heartbeat_interval,
            max_body: fields.max_body,
            name: fields.name.clone(),
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        field::put_number(out, number::heartbeat_interval, self.heartbeat_ms);
        field::put_number(out, number::max_body, self.max_body);
        field::put_text(out, number::name, &self.name);
    }

    pub(super) fn validate(&self) -> Result<(), EncodeError> {
        field::check_length(&self.name, MAX_NAME, "name")
    }
}

/// The content of `welcome`, the first sealed message of the worker. Its code proves that the worker knows the passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The highest request id that the caller may send.
    pub limit: u64,
    /// The largest body that the worker accepts, with its parts, in bytes. It refuses larger requests with `TooLarge`.
    pub max_body: u64,
    /// The name of the sender, for diagnostics. At most 64 bytes.
    pub name: ByteStr,
}

impl Welcome {
    pub(super) fn from_fields(fields: &Fields) -> Result<Self, ParseError> {
        fields.require(&[number::limit, number::max_body], "a limit and the largest body")?;
        Ok(Self {
            limit: fields.limit,
            max_body: fields.max_body,
            name: fields.name.clone(),
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        field::put_number(out, number::limit, self.limit);
        field::put_number(out, number::max_body, self.max_body);
        field::put_text(out, number::name, &self.name);
    }

    pub(super) fn validate(&self) -> Result<(), EncodeError> {
        field::check_length(&self.name, MAX_NAME, "name")
    }
}

/// The reason why a worker denies a session.
///
/// A denial is not authenticated, so the caller connects again. Until it succeeds, the errors of its calls may name the reason.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denial {
    /// The proof is not valid, usually because the passphrases differ.
    Passphrase = 1,
    /// The worker does not support the version of the caller.
    Version = 2,
    /// The worker has reached its maximum number of sessions.
    Full = 3,
}

impl Denial {
    /// Returns what is wrong and how to mend it, for the errors and the log of the caller.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Passphrase => {
                "the service has a different passphrase; configure the same one on both sides"
            }
            Self::Version => {
                "the service does not support this version of brubeck's protocol; use the same release of brubeck on both sides"
            }
            Self::Full => {
                "the service has reached its limit of callers; raise `Service::max_connections`, or add a worker"
            }
        }
    }

    pub(super) fn from_fields(fields: &Fields) -> Result<Self, ParseError> {
        match fields.reason {
            1 => Ok(Self::Passphrase),
            2 => Ok(Self::Version),
            3 => Ok(Self::Full),
            _ => Err(ParseError::Expected {
                at: 0,
                what: "a reason from 1 to 3",
            }),
        }
    }

    pub(super) fn write(self, out: &mut BytesMut) {
        field::put_number(out, number::reason, self as u8);
    }
}

/// The length of an authentication code, in bytes.
pub const MAC_LENGTH: usize = 32;

/// The prefix of the data from which session keys are derived. It binds the keys to this protocol and version.
const LABEL: &[u8] = b"brubeck v3";

/// A key for HMAC-SHA256. `Debug` does not show it.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

impl MacKey {
    /// Creates a key from any number of bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        match Hmac::new_from_slice(bytes) {
            Ok(hmac) => Self(hmac),
            // Unreachable: HMAC accepts keys of any length.
            Err(_) => Self(<Hmac<Sha256> as KeyInit>::new(&Default::default())),
        }
    }

    /// Computes the authentication code of the concatenated parts.
    #[must_use]
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; MAC_LENGTH] {
        self.hmac_of(parts).finalize().into_bytes().into()
    }

    /// Returns whether `code` is the authentication code of the concatenated parts. Compares in constant time.
    #[must_use]
    pub fn verify(&self, parts: &[&[u8]], code: &[u8]) -> bool {
        self.hmac_of(parts).verify_slice(code).is_ok()
    }

    fn hmac_of(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut hmac = self.0.clone();
        for part in parts {
            hmac.update(part);
        }
        hmac
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}

/// The two keys of a session. Each direction has its own, so that a message cannot be reflected to its sender.
#[derive(Clone, Debug)]
pub struct SessionKeys {
    /// Authenticates messages of the caller.
    pub to_worker: MacKey,
    /// Authenticates messages of the worker.
    pub to_caller: MacKey,
}

impl SessionKeys {
    /// Derives the keys of a session from the passphrase and the head frames of `hello` and `challenge`.
    #[must_use]
    pub fn derive(passphrase: &Secret, hello: &Bytes, challenge: &Bytes) -> Self {
        let root = MacKey::new(passphrase.expose()).mac(&[LABEL, hello, challenge]);
        let root = MacKey::new(&root);
        Self {
            to_worker: MacKey::new(&root.mac(&[b"to worker"])),
            to_caller: MacKey::new(&root.mac(&[b"to caller"])),
        }
    }
}
