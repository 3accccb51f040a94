//! A passphrase that does not show.

use std::fmt;

use bytes::Bytes;
use subtle::ConstantTimeEq;

/// A passphrase: compared in constant time, never shown by `Debug`.
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
    /// A secret of these bytes.
    #[must_use]
    pub fn new(secret: impl Into<Bytes>) -> Self {
        Self(secret.into())
    }

    /// Whether `other` is the same; takes the same time wherever the bytes differ. Lengths are not hidden.
    #[must_use]
    pub fn matches(&self, other: &[u8]) -> bool {
        self.0.ct_eq(other).into()
    }

    /// The bytes, to be written to a socket and nowhere else.
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
