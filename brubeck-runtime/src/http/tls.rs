//! TLS for the embedded server.

use super::Tls;
use crate::error::Error;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// # Errors
///
/// A file that is not there, holds no certificate or no key, or a key of another certificate.
pub(super) fn acceptor(files: &Tls) -> crate::Result<TlsAcceptor> {
    let certificates = certificates(&files.certificates)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| {
        Error::because(
            format!("no private key can be read from {}", files.key.display()),
            error,
        )
    })?;
    let unusable = |error| {
        let (certificates, key) = (files.certificates.display(), files.key.display());
        Error::because(
            format!("the certificate {certificates} and the key {key} cannot be used"),
            error,
        )
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(unusable)?;
    config.alpn_protocols = match cfg!(feature = "http2") {
        true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        false => vec![b"http/1.1".to_vec()],
    };
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> crate::Result<Vec<CertificateDer<'static>>> {
    let unreadable = |error| {
        Error::because(
            format!("no certificate can be read from {}", path.display()),
            error,
        )
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(unreadable)?.collect();
    let certificates = certificates.map_err(unreadable)?;
    match certificates.is_empty() {
        true => Err(Error::new(format!("{} holds no certificate", path.display()))),
        false => Ok(certificates),
    }
}
