//! The messages of the handshake, and the keys that are derived from them.

use super::limits::MAX_NAME;
use super::{ByteStr, field};
use crate::codec::{Cursor, EncodeError, ParseError};
use crate::secret::Secret;
use bytes::{BufMut, Bytes, BytesMut};
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
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        Ok(Self {
            version: field::u8(cursor)?,
            features: field::u32(cursor)?,
            nonce: field::bytes32(cursor)?,
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        out.put_u8(self.version);
        out.put_u32(self.features);
        out.put_slice(&self.nonce);
    }
}

/// The content of `proof`, the first sealed message of the caller. Its code proves that the caller knows the passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The interval between two pings, in milliseconds. The worker clamps it to the range from 10 ms to 60 s.
    pub heartbeat_ms: u32,
    /// The largest body that the caller accepts, in bytes. The worker sends an error instead of a larger reply.
    pub max_body: u32,
    /// The name of the sender, for diagnostics. At most 64 bytes.
    pub name: ByteStr,
}

impl Proof {
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        Ok(Self {
            heartbeat_ms: field::u32(cursor)?,
            max_body: field::u32(cursor)?,
            name: name(cursor)?,
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        out.put_u32(self.heartbeat_ms);
        out.put_u32(self.max_body);
        field::put_short_text(out, &self.name);
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
    /// The largest body that the worker accepts, in bytes. It refuses larger requests with `TooLarge`.
    pub max_body: u32,
    /// The name of the sender, for diagnostics. At most 64 bytes.
    pub name: ByteStr,
}

impl Welcome {
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        Ok(Self {
            limit: field::u64(cursor)?,
            max_body: field::u32(cursor)?,
            name: name(cursor)?,
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        out.put_u64(self.limit);
        out.put_u32(self.max_body);
        field::put_short_text(out, &self.name);
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
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let at = cursor.position();
        match field::u8(cursor)? {
            1 => Ok(Self::Passphrase),
            2 => Ok(Self::Version),
            3 => Ok(Self::Full),
            _ => Err(ParseError::Expected {
                at,
                what: "a reason from 1 to 3",
            }),
        }
    }
}

fn name(cursor: &mut Cursor<'_>) -> Result<ByteStr, ParseError> {
    field::short_text(cursor, MAX_NAME, "a name of at most 64 bytes in UTF-8")
}

/// The length of an authentication code, in bytes.
pub const MAC_LENGTH: usize = 32;

/// The prefix of the data from which session keys are derived. It binds the keys to this protocol and version.
const LABEL: &[u8] = b"brubeck v2";

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
