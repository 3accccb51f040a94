//! A passphrase that is never printed.

use std::fmt;

use bytes::Bytes;
use subtle::ConstantTimeEq;

/// A passphrase. It is compared in constant time, and its `Debug` output does not contain it.
///
/// ```
/// use brubeck_runtime::wire::service::Secret;
///
/// let secret = Secret::new("my_shared_secret");
/// assert!(secret.matches(b"my_shared_secret"));
/// assert!(!secret.matches(b"my_shared_secreT"));
/// assert_eq!(format!("{secret:?}"), "Secret(..)");
/// ```
#[derive(Clone, Default)]
pub struct Secret(Bytes);

impl Secret {
    /// Creates a secret.
    #[must_use]
    pub fn new(secret: impl Into<Bytes>) -> Self {
        Self(secret.into())
    }

    /// Returns `true` if the secret equals `other`. The time depends on the lengths only, not on the contents.
    #[must_use]
    pub fn matches(&self, other: &[u8]) -> bool {
        self.0.ct_eq(other).into()
    }

    /// Returns an error if the secret is empty. `what` completes "cannot".
    pub(crate) fn check(&self, what: impl fmt::Display) -> crate::Result<()> {
        if !self.0.is_empty() {
            return Ok(());
        }
        Err(crate::Error::new(format!(
            "cannot {what}: the passphrase is empty, so anyone could call the service; use a long random one, the same on both sides"
        )))
    }

    /// Returns the bytes. Do not log them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
