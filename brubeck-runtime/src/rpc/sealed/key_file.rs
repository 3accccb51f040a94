//! Keys and certificates in PEM, as users configure them.

use super::key::OwnKey;
use super::verifier::{pin_of, pin_of_public_key};
use crate::key_pin::KeyPin;
use crate::rpc::api::KeySource;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::crypto::ring::sign::{any_ecdsa_type, any_eddsa_type};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject, SectionKind};
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer,
};
use tokio_rustls::rustls::sign::SigningKey;

/// The maximum size of a file with keys or certificates, in bytes.
const MAX_FILE: u64 = 1 << 20;

type Failure = Box<dyn Error + Send + Sync>;

/// Reads a private key and its certificates. The error names the file.
pub(super) fn read_key(source: &KeySource) -> Result<OwnKey, Failure> {
    match source {
        KeySource::Text(pem) => PemKey::read(pem.expose())
            .map(|read| read.key)
            .map_err(|error| format!("cannot use the key of `KeyPair::pem`: {error}").into()),
        KeySource::File(path) => read_file(path)
            .and_then(|pem| PemKey::read(&pem))
            .map(|read| read.key)
            .map_err(|error| format!("cannot use the key in {}: {error}", path.display()).into()),
    }
}

/// Reads the certificates of authorities, at least one. The error names the file.
pub(super) fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    read_file(path)
        .and_then(|pem| {
            let certificates = certificates(&pem)?;
            if certificates.is_empty() {
                return Err("there is no certificate in it".into());
            }
            Ok(certificates)
        })
        .map_err(|error| format!("cannot use the authorities in {}: {error}", path.display()).into())
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let length = std::fs::metadata(path)?.len();
    if length > MAX_FILE {
        return Err(format!("the file has {length} bytes, and may have {MAX_FILE}").into());
    }
    Ok(std::fs::read(path)?)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Failure> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("a certificate is not valid PEM: {error}").into())
}

/// A private key in PEM, with its certificates.
pub(super) struct PemKey {
    pub(super) key: OwnKey,
    /// The encoding of the private key.
    pub(super) pkcs8: Vec<u8>,
}

impl PemKey {
    pub(super) fn read(pem: &[u8]) -> Result<PemKey, Failure> {
        let pkcs8 = match PrivateKeyDer::from_pem_slice(pem) {
            Ok(PrivateKeyDer::Pkcs8(key)) => key,
            Ok(PrivateKeyDer::Pkcs1(_)) => return Err(wrong_type("it is an RSA key")),
            Ok(_) => {
                return Err(wrong_type(
                    "it is not in PKCS #8; convert it with `openssl pkcs8 -topk8 -nocrypt`",
                ));
            }
            Err(_) if has_encrypted_key(pem) => {
                return Err("the private key in it is encrypted; decrypt it with `openssl pkcs8`".into());
            }
            Err(error) => return Err(no_key(error)),
        };
        let signing_key = signing_key(&pkcs8)?;
        let certificates = certificates(pem)?;
        let key = if certificates.is_empty() {
            OwnKey::self_signed(signing_key)?
        } else {
            OwnKey::with_certificates(signing_key, certificates)
                .map_err(|error| format!("its first certificate is not that of its private key: {error}"))?
        };
        Ok(PemKey {
            key,
            pkcs8: pkcs8.secret_pkcs8_der().to_vec(),
        })
    }
}

fn no_key(error: pem::Error) -> Failure {
    match error {
        pem::Error::NoItemsFound => {
            "there is no private key in it; create one with `brubeck keygen --key-pair FILE`".into()
        }
        error => format!("it is not valid PEM: {error}").into(),
    }
}

fn has_encrypted_key(pem: &[u8]) -> bool {
    const LABEL: &[u8] = b"BEGIN ENCRYPTED PRIVATE KEY";
    pem.windows(LABEL.len()).any(|window| window == LABEL)
}

fn wrong_type(what: &str) -> Failure {
    format!(
        "{what}; keys are Ed25519 or ECDSA with P-256, in PKCS #8, as `brubeck keygen --key-pair` writes them"
    )
    .into()
}

fn signing_key(pkcs8: &PrivatePkcs8KeyDer<'static>) -> Result<Arc<dyn SigningKey>, Failure> {
    if let Ok(key) = any_eddsa_type(pkcs8) {
        return Ok(key);
    }
    any_ecdsa_type(&PrivateKeyDer::Pkcs8(pkcs8.clone_key()))
        .ok()
        .filter(|key| {
            key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256])
                .is_some()
        })
        .ok_or_else(|| wrong_type("the key has another type"))
}

/// Returns the pin of the private key in a text in PEM, or else that of its first certificate or public key.
pub(super) fn pin_of_pem(pem: &[u8]) -> Result<KeyPin, Failure> {
    if PrivateKeyDer::from_pem_slice(pem).is_ok() {
        return Ok(PemKey::read(pem)?.key.pin);
    }
    if let Some(certificate) = certificates(pem)?.first() {
        return Ok(pin_of(certificate)?);
    }
    match <(SectionKind, Vec<u8>)>::from_pem_slice(pem) {
        Ok((SectionKind::PublicKey, key)) => Ok(pin_of_public_key(&SubjectPublicKeyInfoDer::from(key))),
        _ => Err("there is neither a private key nor a certificate nor a public key in it".into()),
    }
}
