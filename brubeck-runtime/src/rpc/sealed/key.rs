//! Keys derived from secrets, and the certificates that carry them.

use crate::error::Error;
use crate::secret::Secret;
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::crypto::ring::sign::any_eddsa_type;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

/// The salt of argon2id. It is part of the protocol: equal secrets give equal keys everywhere.
const SALT: &[u8] = b"brubeck-v3";

/// The parameters of argon2id, which are part of the protocol: 19 MiB of memory, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// The maximum number of secrets whose keys are kept in the process. The oldest is dropped first.
const MAX_KEPT_KEYS: usize = 64;

/// PKCS #8 of an Ed25519 key, up to its seed of 32 bytes (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

/// The certificate of an Ed25519 key up to its public key, without the outer sequence: version 3, serial number 1, issuer and subject
/// `CN=brubeck`, valid from 2020 to 9999.
const CERTIFICATE_PREFIX: &[u8] = b"\xa0\x03\x02\x01\x02\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70\
    \x30\x12\x31\x10\x30\x0e\x06\x03\x55\x04\x03\x0c\x07brubeck\
    \x30\x20\x17\x0d200101000000Z\x18\x0f99991231235959Z\
    \x30\x12\x31\x10\x30\x0e\x06\x03\x55\x04\x03\x0c\x07brubeck";

/// The extensions of the certificate: the alternative name `brubeck`.
const CERTIFICATE_EXTENSIONS: &[u8] =
    b"\xa3\x16\x30\x14\x30\x12\x06\x03\x55\x1d\x11\x04\x0b\x30\x09\x82\x07brubeck";

/// The algorithm of the signature, and the head of its bit string.
const SIGNATURE_PREFIX: &[u8] = b"\x30\x05\x06\x03\x2b\x65\x70\x03\x41\x00";

/// The SHA-256 of the public key (`SubjectPublicKeyInfo`) of a peer.
pub(crate) type Pin = [u8; 32];

/// A private key, its certificate and its pin.
#[derive(Clone, Debug)]
pub(super) struct KeyPair {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) pin: Pin,
}

impl KeyPair {
    /// Creates the key of a seed, with a self-signed certificate. Equal seeds give equal certificates.
    fn from_seed(seed: &[u8; 32]) -> io::Result<KeyPair> {
        let pkcs8 = pkcs8(seed);
        let key = any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8)).map_err(io::Error::other)?;
        let no_key = || io::Error::other("the key cannot sign");
        let public_key = key.public_key().ok_or_else(no_key)?;
        let signed = sequence(&[CERTIFICATE_PREFIX, &public_key, CERTIFICATE_EXTENSIONS]);
        let signer = key
            .choose_scheme(&[SignatureScheme::ED25519])
            .ok_or_else(no_key)?;
        let signature = signer.sign(&signed).map_err(io::Error::other)?;
        let certificate = sequence(&[&signed, SIGNATURE_PREFIX, &signature]);
        let pin = Sha256::digest(&public_key).into();
        let certificates = vec![CertificateDer::from(certificate)];
        Ok(KeyPair {
            certified: Arc::new(CertifiedKey::new(certificates, key)),
            pin,
        })
    }
}

/// Encodes a sequence in DER, of at least 128 and fewer than 65,536 bytes.
fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let length = u16::try_from(contents.len()).unwrap_or(u16::MAX).to_be_bytes();
    // The shortest form of the length is required.
    let head: &[u8] = match length {
        [0, low] => &[0x30, 0x81, low],
        [high, low] => &[0x30, 0x82, high, low],
    };
    [head, &contents].concat()
}

fn pkcs8(seed: &[u8; 32]) -> Vec<u8> {
    [&PKCS8_PREFIX[..], seed].concat()
}

/// Derives the seed of the key of a secret. Takes about 40 ms.
fn derive_seed(secret: &Secret) -> io::Result<[u8; 32]> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(32)).map_err(io::Error::other)?;
    let mut seed = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(secret.expose(), SALT, &mut seed)
        .map_err(io::Error::other)?;
    Ok(seed)
}

fn derive(secret: &Secret) -> io::Result<KeyPair> {
    KeyPair::from_seed(&derive_seed(secret)?)
}

/// The key that brubeck's protocol derives from a secret, for peers in other languages and for other tools.
///
/// ```
/// use brubeck::PeerKey;
///
/// let key = PeerKey::from_secret("TLSd2TQ0DdOZ2JsHyFBq")?;
/// assert!(key.certificate_pem().starts_with("-----BEGIN CERTIFICATE-----\n"));
/// # Ok::<(), brubeck::Error>(())
/// ```
///
/// Rust peers derive it themselves. All peers with the same secret have the same key and the same certificate, which they pin: see
/// [the specification](https://github.com/brubeck-rs/brubeck/blob/main/docs/protocol.md#keys).
#[cfg_attr(docsrs, doc(cfg(feature = "services")))]
pub struct PeerKey {
    certificate: Vec<u8>,
    pkcs8: Vec<u8>,
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
        let seed = derive_seed(&secret).map_err(failed)?;
        let key = KeyPair::from_seed(&seed).map_err(failed)?;
        Ok(PeerKey {
            certificate: key
                .certified
                .cert
                .first()
                .map(|der| der.to_vec())
                .unwrap_or_default(),
            pkcs8: pkcs8(&seed),
        })
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

    /// Returns the private key in PEM (PKCS #8). It is as secret as the secret itself.
    ///
    /// ```
    /// # use brubeck::PeerKey;
    /// let pem = PeerKey::from_secret("TLSd2TQ0DdOZ2JsHyFBq")?.private_key_pem();
    /// # assert!(pem.ends_with("-----END PRIVATE KEY-----\n"));
    /// # Ok::<(), brubeck::Error>(())
    /// ```
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

type Derived = Option<Result<KeyPair, Arc<io::Error>>>;

/// The key of a secret, which a thread of its own derives, once for each secret of the process.
///
/// The derivation takes about 40 ms in release builds, and 0.7 s in debug builds that do not optimize dependencies.
#[derive(Clone, Debug)]
pub(super) struct SecretKey(watch::Receiver<Derived>);

impl SecretKey {
    /// Begins to derive the key, or returns the handle of a derivation that has begun.
    pub(super) fn of(secret: &Secret) -> SecretKey {
        /// The keys by the hash of their secret, the oldest first.
        static KEYS: Mutex<VecDeque<([u8; 32], SecretKey)>> = Mutex::new(VecDeque::new());
        let id: [u8; 32] = Sha256::digest(secret.expose()).into();
        let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, key)) = keys.iter().find(|(known, _)| *known == id) {
            return key.clone();
        }
        let (sender, receiver) = watch::channel(None);
        let secret = secret.clone();
        let derivation = move || {
            sender.send_replace(Some(derive(&secret).map_err(Arc::new)));
        };
        let thread = std::thread::Builder::new().name("brubeck-key".to_owned());
        let key = SecretKey(receiver);
        match thread.spawn(derivation) {
            Ok(_) => keys.push_back((id, key.clone())),
            // The sender is dropped, and `get` returns an error. The next use of the secret tries again.
            Err(error) => tracing::warn!(%error, "cannot start the thread that derives the key of a secret"),
        }
        if keys.len() > MAX_KEPT_KEYS {
            keys.pop_front();
        }
        key
    }

    pub(super) fn is_derived(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits for the key.
    pub(super) async fn get(&self) -> io::Result<KeyPair> {
        let mut receiver = self.0.clone();
        let derived = receiver.wait_for(Option::is_some).await;
        match derived.as_deref() {
            Ok(Some(Ok(key))) => Ok(key.clone()),
            Ok(Some(Err(error))) => Err(io::Error::other(error.clone())),
            Ok(None) | Err(_) => Err(io::Error::other("the key of the secret could not be derived")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_secrets_give_the_key_of_the_specification() {
        let key = derive(&Secret::new("my_shared_secret")).unwrap();
        let again = derive(&Secret::new("my_shared_secret")).unwrap();
        assert_eq!(key.certified.cert, again.certified.cert);
        let pin: String = key.pin.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            pin,
            "36153721245d77fd27a665ca43f7ae61ca18f1ad2453963860cfdc9735bb5f73"
        );
    }

    #[test]
    fn lengths_have_their_shortest_form() {
        assert_eq!(sequence(&[&[0; 200]])[..3], [0x30, 0x81, 200]);
        assert_eq!(sequence(&[&[0; 100], &[0; 200]])[..4], [0x30, 0x82, 1, 44]);
    }
}
