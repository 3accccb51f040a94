//! TLS for the embedded server.

use super::TlsFiles;
use crate::error::Error;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Creates an acceptor from PEM files.
///
/// # Errors
///
/// Returns an error if a file cannot be read, contains no certificate or no key, or if the key does not match.
pub(super) fn acceptor(files: &TlsFiles) -> crate::Result<TlsAcceptor> {
    let certificates = read_certificates(&files.certificates)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| {
        let path = files.key.display();
        Error::because(format!("cannot read a private key from {path}"), error)
    })?;
    let unusable = |error| {
        let (certificates, key) = (files.certificates.display(), files.key.display());
        Error::because(
            format!("cannot use the certificate {certificates} with the key {key}"),
            error,
        )
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(unusable)?;
    if cfg!(feature = "http2") {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read_certificates(path: &Path) -> crate::Result<Vec<CertificateDer<'static>>> {
    let unreadable = |error| {
        let path = path.display();
        Error::because(format!("cannot read a certificate from {path}"), error)
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(unreadable)?.collect();
    let certificates = certificates.map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(Error::new(format!("{} contains no certificate", path.display())));
    }
    Ok(certificates)
}
