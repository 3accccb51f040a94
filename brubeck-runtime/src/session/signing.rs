//! The signatures of cookies: HMAC-SHA256, with key rotation.

use crate::error::{Error, Result};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The minimum length of a secret.
const MIN_SECRET_BYTES: usize = 32;
/// The limit for the number of secrets of an application, the current one included.
const MAX_SECRETS: usize = 4;
/// The tolerance for signatures from servers whose clock is ahead.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);

/// The secret that signs cookies, and previous secrets that can still verify them.
///
/// ```
/// use brubeck::CookieSecret;
///
/// let secret = CookieSecret::new("yJ4vvWHmsFZ0zYkZ0vE4ySXVbGxZsvk9pTPvDnyYx7k=")
///     .previously("DmCu6Y4wGzfDsJFTTp4YjWc4mSXm0c1nYcJZPo0wYfE=");
/// assert_eq!(format!("{secret:?}"), "CookieSecret(..)");
/// ```
///
/// Pass it to [`App::cookie_secret`](crate::App::cookie_secret), which also takes a text. [`Session`](crate::Session) and
/// [`SignedCookies`](crate::SignedCookies) need it. The signature is HMAC-SHA256 ([RFC 2104](https://www.rfc-editor.org/rfc/rfc2104)).
///
/// A secret must have at least 32 bytes; generate one with `openssl rand -base64 32`. It is used as it is, without decoding it. The `Debug`
/// output does not contain it.
///
/// To rotate the secret, set the new one, and keep the old one with [`previously`](CookieSecret::previously) until the cookies that
/// it signed have expired. At most four secrets can be set, the current one included. Starting the application fails if one of these limits
/// is violated.
#[derive(Clone)]
pub struct CookieSecret(Vec<Vec<u8>>);

impl CookieSecret {
    /// Creates a secret of at least 32 random bytes, which signs and verifies cookies.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// use brubeck::CookieSecret;
    ///
    /// # fn example(routes: Routes<()>) -> Result<App<()>, std::env::VarError> {
    /// let secret = CookieSecret::new(std::env::var("COOKIE_SECRET")?);
    /// # Ok(
    /// App::new(routes, ()).cookie_secret(secret)
    /// # ) }
    /// ```
    ///
    /// The length is checked when the application starts, which fails with a shorter secret.
    pub fn new(secret: impl AsRef<[u8]>) -> CookieSecret {
        CookieSecret(vec![secret.as_ref().to_vec()])
    }

    /// Adds a previous secret, which only verifies cookies.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// use brubeck::CookieSecret;
    ///
    /// # fn example(routes: Routes<()>, new: &str, old: &str) -> App<()> {
    /// App::new(routes, ()).cookie_secret(CookieSecret::new(new).previously(old))
    /// # }
    /// ```
    ///
    /// This rotates the secret without a logout: new cookies are signed with the new secret, and those of the old one stay valid. Remove the old
    /// secret once they have expired, which is after 14 days unless you [read them for longer](crate::SignedCookies::get_within). To end all of
    /// them at once, such as after a leak, do not add the old secret.
    ///
    /// At most four secrets can be set, the current one included, and each must have at least 32 bytes. Otherwise the application does not start.
    pub fn previously(mut self, secret: impl AsRef<[u8]>) -> CookieSecret {
        self.0.push(secret.as_ref().to_vec());
        self
    }

    /// Derives the signing keys.
    ///
    /// # Errors
    ///
    /// Returns an error if a secret is shorter than 32 bytes, or there are more than four.
    pub(crate) fn keys(&self) -> Result<SigningKeys> {
        if self.0.len() > MAX_SECRETS {
            return Err(Error::new(format!(
                "more than {MAX_SECRETS} cookie secrets: remove the oldest"
            )));
        }
        if let Some(short) = self.0.iter().find(|secret| secret.len() < MIN_SECRET_BYTES) {
            let length = short.len();
            return Err(Error::new(format!(
                "the cookie secret has {length} bytes, but at least {MIN_SECRET_BYTES} are required: generate one with \
                 `openssl rand -base64 32`"
            )));
        }
        let keys: Option<Arc<[SigningKey]>> = self.0.iter().map(|secret| SigningKey::new(secret)).collect();
        keys.map(SigningKeys)
            .ok_or_else(|| Error::new("the cookie secret is not a valid HMAC key"))
    }
}

impl<T: AsRef<[u8]>> From<T> for CookieSecret {
    fn from(secret: T) -> CookieSecret {
        CookieSecret::new(secret)
    }
}

impl fmt::Debug for CookieSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieSecret(..)")
    }
}

/// The signing keys of an application. The first one signs, all of them verify.
#[derive(Clone)]
pub(crate) struct SigningKeys(Arc<[SigningKey]>);

struct SigningKey {
    /// Derived from the secret. Part of a signed value, to find the key that verifies it.
    id: String,
    mac: Hmac<Sha256>,
}

impl SigningKey {
    fn new(secret: &[u8]) -> Option<SigningKey> {
        let mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
        let id = mac
            .clone()
            .chain_update(b"brubeck cookie key")
            .finalize()
            .into_bytes();
        Some(SigningKey {
            id: BASE64.encode(id.get(..6)?),
            mac,
        })
    }

    /// Computes the MAC of a cookie. The length of the name comes first, so that no two pairs of name and text have the same
    /// input.
    fn mac(&self, name: &str, text: &str) -> Hmac<Sha256> {
        let length = u64::try_from(name.len()).unwrap_or(u64::MAX).to_be_bytes();
        self.mac
            .clone()
            .chain_update(b"brubeck cookie v1")
            .chain_update(length)
            .chain_update(name)
            .chain_update(text)
    }
}

impl SigningKeys {
    /// Signs a value. The result is `v1.<key id>.<time of signing>.<value>.<mac>`, with value and MAC in base64.
    pub(crate) fn sign(&self, name: &str, value: &[u8], now: SystemTime) -> String {
        // A `CookieSecret` has at least one secret, so there is a key. An empty text is not a valid signed value.
        let Some(key) = self.0.first() else {
            return String::new();
        };
        let text = format!("v1.{}.{}.{}", key.id, unix_seconds(now), BASE64.encode(value));
        let mac = BASE64.encode(key.mac(name, &text).finalize().into_bytes());
        format!("{text}.{mac}")
    }

    /// Returns the value and its age. Returns `None` if the signature is not valid for this name, is older than `max_age`, or is more than
    /// [`MAX_CLOCK_SKEW`] in the future.
    pub(crate) fn verify(
        &self,
        name: &str,
        signed: &str,
        max_age: Duration,
        now: SystemTime,
    ) -> Option<(Vec<u8>, Duration)> {
        let (text, mac) = signed.rsplit_once('.')?;
        let mut parts = text.strip_prefix("v1.")?.split('.');
        let (id, issued, value) = (parts.next()?, parts.next()?, parts.next()?);
        let key = self.0.iter().find(|key| key.id == id)?;
        // The MAC covers the encoded text, so there is only one valid encoding of a signed value.
        // `verify_slice` compares in constant time.
        key.mac(name, text).verify_slice(&BASE64.decode(mac).ok()?).ok()?;
        let issued: u64 = issued.parse().ok()?;
        let now = unix_seconds(now);
        let age = Duration::from_secs(now.saturating_sub(issued));
        // The clocks of several servers can differ a little, so a time in the near future is accepted.
        let from_future = issued > now.saturating_add(MAX_CLOCK_SKEW.as_secs());
        (age <= max_age && !from_future).then_some(())?;
        Some((BASE64.decode(value).ok()?, age))
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKeys(..)")
    }
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn keys(secrets: &[&str]) -> SigningKeys {
        CookieSecret(
            secrets
                .iter()
                .map(|secret| secret.repeat(32).into_bytes())
                .collect(),
        )
        .keys()
        .unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn verifies_signature_until_it_expires() {
        let keys = keys(&["a"]);
        let signed = keys.sign("user", b"7", at(1_000_000));
        let verify = |name: &str, seconds| keys.verify(name, &signed, DAY, at(seconds));
        assert_eq!(
            verify("user", 1_000_010).unwrap(),
            (b"7".to_vec(), Duration::from_secs(10))
        );
        assert_eq!(verify("user", 1_086_400).unwrap().1, DAY);
        assert!(verify("user", 1_086_401).is_none());
        assert!(verify("user", 999_800).is_some(), "within the clock skew");
        assert!(verify("user", 900_000).is_none(), "signed in the future");
        assert!(verify("admin", 1_000_010).is_none(), "another name");
    }

    #[test]
    fn previous_secret_verifies_but_does_not_sign() {
        let signed = keys(&["a"]).sign("user", b"7", at(1000));
        assert!(keys(&["b", "a"]).verify("user", &signed, DAY, at(1000)).is_some());
        assert!(keys(&["b"]).verify("user", &signed, DAY, at(1000)).is_none());
        let new = keys(&["b", "a"]).sign("user", b"7", at(1000));
        assert!(keys(&["a"]).verify("user", &new, DAY, at(1000)).is_none());
    }

    #[test]
    fn rejects_short_secrets_and_too_many() {
        let error = CookieSecret::new("hunter2").keys().unwrap_err();
        assert!(
            error.to_string().contains("7 bytes") && !error.to_string().contains("hunter2"),
            "{error}"
        );
        assert!(CookieSecret(vec![vec![0; 32]; 5]).keys().is_err());
    }

    proptest! {
        #[test]
        fn verify_returns_signed_value(name in ".*", value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let keys = keys(&["a"]);
            let signed = keys.sign(&name, &value, at(5));
            prop_assert_eq!(keys.verify(&name, &signed, DAY, at(5)).map(|v| v.0), Some(value));
        }
    }
}
