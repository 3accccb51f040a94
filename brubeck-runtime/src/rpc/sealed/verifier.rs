//! The verifier of peers: it accepts the certificates of pinned keys, and those that an authority has signed.

use crate::key_pin::KeyPin;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, RootCertStore,
    SignatureScheme,
};

/// The maximum number of accepted keys that a caller sends to a service, so that the first message stays small.
const MAX_HINTS: usize = 8;

/// A distinguished name of a common name with 64 characters, up to the name, without the outer sequence.
const NAME_PREFIX: &[u8] = b"\x31\x49\x30\x47\x06\x03\x55\x04\x03\x0c\x40";

/// Returns the pin of the key in a certificate.
pub(super) fn pin_of(certificate: &CertificateDer<'_>) -> Result<KeyPin, Error> {
    let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
    Ok(pin_of_public_key(&key))
}

pub(super) fn pin_of_public_key(key: &SubjectPublicKeyInfoDer<'_>) -> KeyPin {
    KeyPin::new(Sha256::digest(key).into())
}

/// Returns the name that stands for a key in the list of accepted authorities.
pub(super) fn hint_of(pin: &KeyPin) -> DistinguishedName {
    DistinguishedName::in_sequence(&[NAME_PREFIX, pin.to_string().as_bytes()].concat())
}

/// Accepts peers that prove that they have one of the pinned keys, or a key with a certificate of an authority.
///
/// Names and periods of validity of pinned keys are not checked: a key is valid for as long as it is pinned.
#[derive(Debug)]
pub(super) struct PeerVerifier {
    pins: Vec<KeyPin>,
    hints: Vec<DistinguishedName>,
    authorities: Option<Authorities>,
    provider: Arc<CryptoProvider>,
}

/// The verifiers of certificates that an authority has signed.
#[derive(Debug)]
struct Authorities {
    of_services: Arc<WebPkiServerVerifier>,
    of_callers: Arc<dyn ClientCertVerifier>,
}

impl PeerVerifier {
    /// Creates a verifier. The `public_pins` are sent to services, unless authorities are accepted or there are too many.
    ///
    /// # Errors
    /// Returns an error if the certificate of an authority is malformed.
    pub(super) fn new(
        pins: Vec<KeyPin>,
        public_pins: &[KeyPin],
        authorities: &[CertificateDer<'static>],
        provider: Arc<CryptoProvider>,
    ) -> Result<PeerVerifier, Error> {
        let has_hints = authorities.is_empty() && public_pins.len() <= MAX_HINTS;
        let hints = public_pins.iter().filter(|_| has_hints).map(hint_of).collect();
        Ok(PeerVerifier {
            pins,
            hints,
            authorities: Authorities::new(authorities, &provider)?,
            provider,
        })
    }

    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> Result<bool, Error> {
        let pin = pin_of(certificate)?;
        let is_pinned = self.pins.contains(&pin);
        if !is_pinned && self.authorities.is_none() {
            tracing::debug!(%pin, "the key of a peer is not accepted");
        }
        Ok(is_pinned)
    }

    fn verify_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }
}

impl Authorities {
    fn new(
        certificates: &[CertificateDer<'static>],
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Authorities>, Error> {
        if certificates.is_empty() {
            return Ok(None);
        }
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate.clone())?;
        }
        let roots = Arc::new(roots);
        let failed = |error| Error::General(format!("the authorities cannot be used: {error}"));
        Ok(Some(Authorities {
            of_services: WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone())
                .build()
                .map_err(failed)?,
            of_callers: WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
                .build()
                .map_err(failed)?,
        }))
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.authorities {
            _ if self.is_pinned(certificate)? => Ok(ServerCertVerified::assertion()),
            Some(authorities) => {
                authorities
                    .of_services
                    .verify_server_cert(certificate, intermediates, name, ocsp, now)
            }
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        (!self.hints.is_empty()).then_some(&self.hints)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl ClientCertVerifier for PeerVerifier {
    /// A service does not send callers the keys that it accepts, because strangers would get them, too.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match &self.authorities {
            _ if self.is_pinned(certificate)? => Ok(ClientCertVerified::assertion()),
            Some(authorities) => authorities
                .of_callers
                .verify_client_cert(certificate, intermediates, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
