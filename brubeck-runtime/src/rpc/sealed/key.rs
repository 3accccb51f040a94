//! Keys derived from secrets, and the certificates that carry them.

use super::verifier::pin_of;
use crate::key_pin::KeyPin;
use crate::secret::Secret;
use argon2::{Algorithm, Argon2, Params, Version};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tokio_rustls::rustls::crypto::ring::sign::any_eddsa_type;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SigningKey};
use tokio_rustls::rustls::{self, SignatureScheme};

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

/// The certificate of a key up to the algorithm of its signature, without the outer sequence: version 3, serial number 1.
const CERTIFICATE_VERSION: &[u8] = b"\xa0\x03\x02\x01\x02\x02\x01\x01";

/// What follows, up to the public key: issuer and subject `CN=brubeck`, valid from 2020 to 9999.
const CERTIFICATE_NAMES: &[u8] = b"\x30\x12\x31\x10\x30\x0e\x06\x03\x55\x04\x03\x0c\x07brubeck\
    \x30\x20\x17\x0d200101000000Z\x18\x0f99991231235959Z\
    \x30\x12\x31\x10\x30\x0e\x06\x03\x55\x04\x03\x0c\x07brubeck";

/// The extensions of the certificate: the alternative name `brubeck`.
const CERTIFICATE_EXTENSIONS: &[u8] =
    b"\xa3\x16\x30\x14\x30\x12\x06\x03\x55\x1d\x11\x04\x0b\x30\x09\x82\x07brubeck";

/// The kinds of keys, with the identifiers of their signatures in certificates.
const SIGNATURES: [(SignatureScheme, &[u8]); 2] = [
    (SignatureScheme::ED25519, b"\x30\x05\x06\x03\x2b\x65\x70"),
    (
        SignatureScheme::ECDSA_NISTP256_SHA256,
        b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
    ),
];

/// A private key of this side, its certificates, and its pin.
#[derive(Clone, Debug)]
pub(super) struct OwnKey {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) pin: KeyPin,
}

impl OwnKey {
    /// Creates the key of a seed, with a self-signed certificate. Equal seeds give equal certificates.
    pub(super) fn from_seed(seed: &[u8; 32]) -> io::Result<OwnKey> {
        let pkcs8 = pkcs8(seed);
        let key = any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8)).map_err(io::Error::other)?;
        OwnKey::self_signed(key)
    }

    /// Creates a self-signed certificate for a key.
    pub(super) fn self_signed(key: Arc<dyn SigningKey>) -> io::Result<OwnKey> {
        let no_key = || io::Error::other("the key cannot sign");
        let public_key = key.public_key().ok_or_else(no_key)?;
        let (signer, algorithm) = SIGNATURES
            .iter()
            .find_map(|(scheme, algorithm)| Some((key.choose_scheme(&[*scheme])?, *algorithm)))
            .ok_or_else(no_key)?;
        let signed = sequence(&[
            CERTIFICATE_VERSION,
            algorithm,
            CERTIFICATE_NAMES,
            &public_key,
            CERTIFICATE_EXTENSIONS,
        ]);
        let signature = signer.sign(&signed).map_err(io::Error::other)?;
        // A bit string without unused bits. A signature has at most 72 bytes.
        let length = u8::try_from(signature.len() + 1).map_err(io::Error::other)?;
        let certificate = sequence(&[&signed, algorithm, &[0x03, length, 0x00], &signature]);
        OwnKey::with_certificates(key.clone(), vec![CertificateDer::from(certificate)])
            .map_err(io::Error::other)
    }

    /// Creates a key with its certificates, of which the first is that of the key.
    ///
    /// # Errors
    /// Returns an error if it is that of another key, or malformed.
    pub(super) fn with_certificates(
        key: Arc<dyn SigningKey>,
        certificates: Vec<CertificateDer<'static>>,
    ) -> Result<OwnKey, rustls::Error> {
        let certified = CertifiedKey::new(certificates, key);
        certified.keys_match()?;
        let pin = pin_of(certified.end_entity_cert()?)?;
        Ok(OwnKey {
            certified: Arc::new(certified),
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

pub(super) fn pkcs8(seed: &[u8; 32]) -> Vec<u8> {
    [&PKCS8_PREFIX[..], seed].concat()
}

/// Derives the seed of the key of a secret. Takes about 40 ms.
pub(super) fn derive_seed(secret: &Secret) -> io::Result<[u8; 32]> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(32)).map_err(io::Error::other)?;
    let mut seed = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(secret.expose(), SALT, &mut seed)
        .map_err(io::Error::other)?;
    Ok(seed)
}

fn derive(secret: &Secret) -> io::Result<OwnKey> {
    OwnKey::from_seed(&derive_seed(secret)?)
}

type Derived = Option<Result<OwnKey, Arc<io::Error>>>;

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
    pub(super) async fn get(&self) -> io::Result<OwnKey> {
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
        assert_eq!(
            key.pin.to_string(),
            "36153721245d77fd27a665ca43f7ae61ca18f1ad2453963860cfdc9735bb5f73"
        );
    }

    #[test]
    fn lengths_have_their_shortest_form() {
        assert_eq!(sequence(&[&[0; 200]])[..3], [0x30, 0x81, 200]);
        assert_eq!(sequence(&[&[0; 100], &[0; 200]])[..4], [0x30, 0x82, 1, 44]);
    }
}
