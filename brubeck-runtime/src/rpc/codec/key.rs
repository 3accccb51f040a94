//! The keys of a session.

use std::fmt;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::secret::Secret;

/// The length of a message authentication code, in bytes.
pub const MAC: usize = 32;

/// What goes before the two frames that make the keys of a session.
const LABEL: &[u8] = b"brubeck v2";

/// One key of HMAC-SHA256; not shown by `Debug`.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
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
    pub fn code(&self, parts: &[&[u8]]) -> [u8; MAC] {
        self.over(parts).finalize().into_bytes().into()
    }

    /// Whether `code` is the code of these parts; takes the same time wherever it differs.
    #[must_use]
    pub fn verifies(&self, parts: &[&[u8]], code: &[u8]) -> bool {
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

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The two keys of a session, one for each direction, so that no message can be sent back to where it came from.
#[derive(Clone, Debug)]
pub struct SessionKeys {
    /// Authenticates what the caller sends.
    pub to_worker: Key,
    /// Authenticates what the worker sends.
    pub to_caller: Key,
}

impl SessionKeys {
    /// The keys of the session that these two frames opened, for those who know the passphrase.
    #[must_use]
    pub fn derive(passphrase: &Secret, hello: &Bytes, challenge: &Bytes) -> Self {
        let root = Key::new(passphrase.expose()).code(&[LABEL, hello, challenge]);
        let root = Key::new(&root);
        Self {
            to_worker: Key::new(&root.code(&[b"to worker"])),
            to_caller: Key::new(&root.code(&[b"to caller"])),
        }
    }
}
