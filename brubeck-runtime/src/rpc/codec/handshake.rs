//! The messages that open a session, and the keys that they agree on.

use super::limits::MAX_NAME;
use super::{ByteStr, field};
use crate::codec::{Cursor, EncodeError, ParseError};
use crate::secret::Secret;
use bytes::{BufMut, Bytes, BytesMut};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// What the caller says first, or the worker says back: who speaks which version, and a number never used before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// From the caller: the newest version it speaks. From the worker: the one to be spoken.
    pub version: u8,
    /// One bit for each feature that the sender has; none is defined yet.
    pub features: u32,
    /// 32 random bytes.
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

/// The caller's first message with a code: it knows the passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// How often it will ping, in milliseconds.
    pub heartbeat_ms: u32,
    /// The largest body it takes, in bytes.
    pub max_body: u32,
    /// Its name, for logs.
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

/// The worker's first message with a code: it knows the passphrase too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The highest call id that may be sent.
    pub limit: u64,
    /// The largest body it takes, in bytes.
    pub max_body: u32,
    /// Its name, for logs.
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

/// Why a worker opens no session. It carries no code, so it is a hint that helps people, and nothing else.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denial {
    /// The passphrase is another one.
    Passphrase = 1,
    /// There is no version that both speak.
    Version = 2,
    /// There are as many sessions as may be.
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

/// The length of a message authentication code, in bytes.
pub const MAC_LENGTH: usize = 32;

/// What goes before the two frames that make the keys of a session.
const LABEL: &[u8] = b"brubeck v2";

/// One key of HMAC-SHA256; not shown by `Debug`.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

impl MacKey {
    /// A key of these bytes, as many as there are.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        match Hmac::new_from_slice(bytes) {
            Ok(hmac) => Self(hmac),
            // HMAC takes keys of every length.
            Err(_) => Self(<Hmac<Sha256> as KeyInit>::new(&Default::default())),
        }
    }

    /// The code of these parts, one behind the other.
    #[must_use]
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; MAC_LENGTH] {
        self.over(parts).finalize().into_bytes().into()
    }

    /// Whether `code` is the code of these parts; takes the same time wherever it differs.
    #[must_use]
    pub fn verify(&self, parts: &[&[u8]], code: &[u8]) -> bool {
        self.over(parts).verify_slice(code).is_ok()
    }

    fn over(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
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

/// The two keys of a session, one for each direction, so that no message can be sent back to where it came from.
#[derive(Clone, Debug)]
pub struct SessionKeys {
    /// Authenticates what the caller sends.
    pub to_worker: MacKey,
    /// Authenticates what the worker sends.
    pub to_caller: MacKey,
}

impl SessionKeys {
    /// The keys of the session that these two frames opened, for those who know the passphrase.
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
