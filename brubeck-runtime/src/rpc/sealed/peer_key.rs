//! The keys of peers as files: for peers in other languages, for key pairs, and for other tools.

use super::key::{OwnKey, derive_seed, pkcs8};
use super::key_file::PemKey;
use crate::error::Error;
use crate::key_pin::KeyPin;
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::fmt;

/// A key of brubeck's protocol with its certificate: one that is derived from a secret, or the key of a [key pair](crate::KeyPair).
///
/// ```
/// use brubeck::PeerKey;
///
/// let derived = PeerKey::from_secret("TLSd2TQ0DdOZ2JsHyFBq")?;
/// assert!(derived.certificate_pem().starts_with("-----BEGIN CERTIFICATE-----\n"));
///
/// let new = PeerKey::generate()?;
/// let again = PeerKey::from_pem(&new.private_key_pem())?;
/// assert_eq!(again.pin(), new.pin());
/// # Ok::<(), brubeck::Error>(())
/// ```
///
/// Rust peers derive the key of a secret themselves. All peers with the same secret have the same key and the same certificate, which they
/// pin: see [the specification](https://github.com/brubeck-rs/brubeck/blob/main/docs/protocol.md#keys).
#[cfg_attr(docsrs, doc(cfg(feature = "services")))]
pub struct PeerKey {
    certificate: Vec<u8>,
    pkcs8: Vec<u8>,
    pin: KeyPin,
}

impl PeerKey {
    /// Derives the key of a secret. Blocks the thread for about 40 ms, and in debug builds for most of a second.
    ///
    /// ```
    /// # use brubeck::PeerKey;
    /// let error = PeerKey::from_secret("too short").unwrap_err();
    /// assert!(error.to_string().contains("needs at least 16"));
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if the secret has fewer than 16 characters, or if there is not enough memory.
    pub fn from_secret(secret: &str) -> crate::Result<PeerKey> {
        let secret = Secret::new(secret.to_owned());
        super::check_secret(&secret, "derive a key")?;
        let failed = |error| Error::because("cannot derive a key", error);
        PeerKey::from_seed(&derive_seed(&secret).map_err(failed)?)
    }

    /// Creates a new Ed25519 key from random bytes of the operating system.
    ///
    /// ```
    /// # use brubeck::PeerKey;
    /// assert_ne!(PeerKey::generate()?.pin(), PeerKey::generate()?.pin());
    /// # Ok::<(), brubeck::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if the operating system provides no random bytes.
    pub fn generate() -> crate::Result<PeerKey> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| Error::because("cannot create a key", error))?;
        PeerKey::from_seed(&seed)
    }

    /// Reads a private key from a text in PEM, with its certificate if there is one.
    ///
    /// ```
    /// # use brubeck::PeerKey;
    /// let error = PeerKey::from_pem("no key").unwrap_err();
    /// assert!(error.to_string().contains("there is no private key in it"));
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if there is no private key (PKCS #8, Ed25519 or ECDSA with P-256), or if the first certificate is that of
    /// another key.
    pub fn from_pem(pem: &str) -> crate::Result<PeerKey> {
        let failed = |error| Error::because("cannot read a key", error);
        let PemKey { key, pkcs8 } = PemKey::read(pem.as_bytes()).map_err(failed)?;
        Ok(PeerKey::new(&key, pkcs8))
    }

    /// Returns the pin of the key in a text in PEM: that of its private key, or else that of its first certificate, or of its public
    /// key.
    ///
    /// ```
    /// use brubeck::PeerKey;
    ///
    /// let key = PeerKey::generate()?;
    /// assert_eq!(PeerKey::pin_of(&key.certificate_pem())?, key.pin());
    /// # Ok::<(), brubeck::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if the text has neither a certificate nor a key, or if it is malformed.
    pub fn pin_of(pem: &str) -> crate::Result<KeyPin> {
        super::key_file::pin_of_pem(pem.as_bytes())
            .map_err(|error| Error::because("cannot read the pin of a key", error))
    }

    fn from_seed(seed: &[u8; 32]) -> crate::Result<PeerKey> {
        let key = OwnKey::from_seed(seed).map_err(|error| Error::because("cannot create a key", error))?;
        Ok(PeerKey::new(&key, pkcs8(seed)))
    }

    fn new(key: &OwnKey, pkcs8: Vec<u8>) -> PeerKey {
        let certificate = key.certified.cert.first();
        PeerKey {
            certificate: certificate.map(|der| der.to_vec()).unwrap_or_default(),
            pkcs8,
            pin: key.pin,
        }
    }

    /// Returns the pin of the key, with which a peer [accepts](crate::KeyPair::accept) it.
    ///
    /// ```
    /// # use brubeck::PeerKey;
    /// let key = PeerKey::from_secret("my_shared_secret")?;
    /// assert_eq!(
    ///     key.pin().to_string(),
    ///     "36153721245d77fd27a665ca43f7ae61ca18f1ad2453963860cfdc9735bb5f73"
    /// );
    /// # Ok::<(), brubeck::Error>(())
    /// ```
    #[must_use]
    pub fn pin(&self) -> KeyPin {
        self.pin
    }

    /// Returns the certificate, which both sides pin, in PEM.
    ///
    /// ```
    /// # use brubeck::PeerKey;
    /// let pem = PeerKey::from_secret("TLSd2TQ0DdOZ2JsHyFBq")?.certificate_pem();
    /// # assert!(pem.ends_with("-----END CERTIFICATE-----\n"));
    /// # Ok::<(), brubeck::Error>(())
    /// ```
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    /// Returns the private key in PEM (PKCS #8), without its [certificate](PeerKey::certificate_pem).
    ///
    /// ```
    /// # use brubeck::PeerKey;
    /// let key = PeerKey::generate()?;
    /// let same_key = PeerKey::from_pem(&key.private_key_pem())?;
    /// assert_eq!(same_key.pin(), key.pin());
    /// # Ok::<(), brubeck::Error>(())
    /// ```
    ///
    /// Any process that has it can act as this peer: keep it as secret as the secret from which it was derived.
    /// [`PeerKey::from_pem`] and [`KeyPair::pem`](crate::KeyPair::pem) read it.
    #[must_use]
    pub fn private_key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.pkcs8)
    }
}

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerKey(..)")
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let mut pem = format!("-----BEGIN {label}-----\n");
    // 48 bytes are a line of 64 characters.
    for line in der.chunks(48) {
        pem += &BASE64.encode(line);
        pem += "\n";
    }
    pem + &format!("-----END {label}-----\n")
}
