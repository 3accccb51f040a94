//! What signs cookies: HMAC-SHA256 under a secret of the application, and under those it had before.

use crate::error::{Error, Result};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The secret that signs cookies, and those before it that are still believed.
///
/// ```
/// use brubeck::CookieSecret;
///
/// let secret = CookieSecret::new("yJ4vvWHmsFZ0zYkZ0vE4ySXVbGxZsvk9pTPvDnyYx7k=")
///     .previously("DmCu6Y4wGzfDsJFTTp4YjWc4mSXm0c1nYcJZPo0wYfE=");
/// assert_eq!(format!("{secret:?}"), "CookieSecret(..)");
/// ```
///
/// At least 32 bytes of text, as `openssl rand -base64 32` makes them. To change it, set the new one and keep
/// the old one as [`previously`](CookieSecret::previously) until its cookies are too old; up to four are held.
#[derive(Clone)]
pub struct CookieSecret(Vec<Vec<u8>>);

impl CookieSecret {
    /// A secret that signs and verifies.
    pub fn new(secret: impl AsRef<[u8]>) -> CookieSecret {
        CookieSecret(vec![secret.as_ref().to_vec()])
    }

    /// A secret of earlier, that only verifies.
    pub fn previously(mut self, secret: impl AsRef<[u8]>) -> CookieSecret {
        self.0.push(secret.as_ref().to_vec());
        self
    }

    /// # Errors
    ///
    /// A secret of less than 32 bytes, more than four of them.
    pub(crate) fn keys(&self) -> Result<SigningKeys> {
        if self.0.len() > 4 {
            return Err(Error::new("more than four cookie secrets: drop the oldest"));
        }
        if let Some(short) = self.0.iter().find(|secret| secret.len() < 32) {
            let length = short.len();
            return Err(Error::new(format!(
                "a cookie secret of {length} bytes can be guessed: make one of 32 with `openssl rand -base64 32`"
            )));
        }
        let keys: Option<Arc<[SigningKey]>> = self.0.iter().map(|secret| SigningKey::new(secret)).collect();
        keys.map(SigningKeys)
            .ok_or_else(|| Error::new("a cookie secret cannot be used as a key"))
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

/// The keys of an application; the first one signs.
#[derive(Clone)]
pub(crate) struct SigningKeys(Arc<[SigningKey]>);

struct SigningKey {
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

    /// Lengths go first, so that no two names and texts are signed alike.
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
    /// `v1.<key>.<issued>.<value>.<mac>`: safe in a cookie, readable by anybody, changed by nobody.
    pub(crate) fn sign(&self, name: &str, value: &[u8], now: SystemTime) -> String {
        let Some(key) = self.0.first() else {
            return String::new();
        };
        let text = format!("v1.{}.{}.{}", key.id, seconds(now), BASE64.encode(value));
        let mac = BASE64.encode(key.mac(name, &text).finalize().into_bytes());
        format!("{text}.{mac}")
    }

    /// The value and how old it is; `None` for what was not signed here, for this name, or is too old.
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
        // Every byte of the text is signed, so nothing of it can be written in another way.
        key.mac(name, text).verify_slice(&BASE64.decode(mac).ok()?).ok()?;
        let issued: u64 = issued.parse().ok()?;
        // Clocks of several machines differ a little.
        let age = Duration::from_secs(seconds(now).saturating_sub(issued));
        let from_future = issued > seconds(now).saturating_add(300);
        (age <= max_age && !from_future).then_some(())?;
        Some((BASE64.decode(value).ok()?, age))
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKeys(..)")
    }
}

fn seconds(time: SystemTime) -> u64 {
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
    fn what_was_signed_is_believed_until_it_is_too_old() {
        let keys = keys(&["a"]);
        let signed = keys.sign("user", b"7", at(1_000_000));
        let verify = |name: &str, seconds| keys.verify(name, &signed, DAY, at(seconds));
        assert_eq!(
            verify("user", 1_000_010).unwrap(),
            (b"7".to_vec(), Duration::from_secs(10))
        );
        assert_eq!(verify("user", 1_086_400).unwrap().1, DAY);
        assert!(verify("user", 1_086_401).is_none());
        assert!(verify("user", 999_800).is_some(), "a clock that is a little slow");
        assert!(verify("user", 900_000).is_none(), "issued in the future");
        assert!(verify("admin", 1_000_010).is_none(), "another name");
    }

    #[test]
    fn secrets_can_be_changed() {
        let signed = keys(&["a"]).sign("user", b"7", at(1000));
        assert!(keys(&["b", "a"]).verify("user", &signed, DAY, at(1000)).is_some());
        assert!(keys(&["b"]).verify("user", &signed, DAY, at(1000)).is_none());
        let new = keys(&["b", "a"]).sign("user", b"7", at(1000));
        assert!(keys(&["a"]).verify("user", &new, DAY, at(1000)).is_none());
    }

    #[test]
    fn a_secret_that_can_be_guessed_is_refused() {
        let error = CookieSecret::new("hunter2").keys().unwrap_err();
        assert!(
            error.to_string().contains("7 bytes") && !error.to_string().contains("hunter2"),
            "{error}"
        );
        assert!(CookieSecret(vec![vec![0; 32]; 5]).keys().is_err());
    }

    proptest! {
        #[test]
        fn any_value_comes_back(name in ".*", value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let keys = keys(&["a"]);
            let signed = keys.sign(&name, &value, at(5));
            prop_assert_eq!(keys.verify(&name, &signed, DAY, at(5)).map(|v| v.0), Some(value));
        }
    }
}
