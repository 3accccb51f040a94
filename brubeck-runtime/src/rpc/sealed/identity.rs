//! The keys of one side, and those that it accepts.

use super::key::{OwnKey, SecretKey};
use super::{SERVER_NAME, check_secret, key_file};
use crate::error::Error;
use crate::key_pin::KeyPin;
use crate::rpc::api::{CredentialKind, Credentials, KeyPair};
use brubeck_zmtp::Endpoint;
use std::fmt::Display;
use std::io;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};

/// The credentials of one side, read and checked. The keys of secrets may not be derived yet.
pub(super) struct Identity {
    own: Vec<OwnKeySource>,
    /// The pins that key pairs accept.
    pins: Vec<KeyPin>,
    pub(super) authorities: Vec<CertificateDer<'static>>,
    /// The name of the service, which a caller checks if an authority has signed its certificate.
    pub(super) server_name: ServerName<'static>,
    pub(super) has_key_pair: bool,
}

enum OwnKeySource {
    Secret(SecretKey),
    KeyPair(OwnKey),
}

/// The keys of an [`Identity`].
pub(super) struct ResolvedKeys {
    pub(super) own: Vec<OwnKey>,
    /// All pins that are accepted.
    pub(super) pins: Vec<KeyPin>,
    /// The pins that may be shown to strangers. Those of secrets may not: they would let a recording be tested with guesses.
    pub(super) public_pins: Vec<KeyPin>,
}

impl Identity {
    /// Reads the credentials, and begins to derive the keys of secrets. `what` completes "cannot".
    pub(super) fn load(
        address: &str,
        credentials: &[&Credentials],
        what: &impl Display,
    ) -> crate::Result<Identity> {
        let mut identity = Identity {
            own: Vec::new(),
            pins: Vec::new(),
            authorities: Vec::new(),
            server_name: ServerName::try_from(SERVER_NAME).map_err(|error| failed(what, error))?,
            has_key_pair: false,
        };
        let mut name = None;
        for credentials in credentials {
            match &credentials.0 {
                CredentialKind::Secret(secret) => {
                    check_secret(secret, what)?;
                    identity.own.push(OwnKeySource::Secret(SecretKey::of(secret)));
                }
                CredentialKind::KeyPair(key_pair) => {
                    identity.add(key_pair, what)?;
                    name = name.or(key_pair.server_name.as_deref());
                }
            }
        }
        let accepts_secret = |source: &OwnKeySource| matches!(source, OwnKeySource::Secret(_));
        if identity.pins.is_empty()
            && identity.authorities.is_empty()
            && !identity.own.iter().any(accepts_secret)
        {
            return Err(Error::new(format!(
                "cannot {what}: the key pair accepts no key of the other side; add the pin of one with `KeyPair::accept`, as \
                 `brubeck keygen --pin FILE` shows it, or an authority with `KeyPair::accept_authority`"
            )));
        }
        if !identity.authorities.is_empty() {
            identity.server_name = server_name(address, name, what)?;
        }
        Ok(identity)
    }

    fn add(&mut self, key_pair: &KeyPair, what: &impl Display) -> crate::Result<()> {
        let key = key_file::read_key(&key_pair.source).map_err(|error| failed(what, error))?;
        self.own.push(OwnKeySource::KeyPair(key));
        for pin in &key_pair.pins {
            let pin = pin
                .parse()
                .map_err(|error| failed(what, format!("the pin `{pin}` is not valid: {error}")))?;
            self.pins.push(pin);
        }
        for path in &key_pair.authorities {
            let authorities = key_file::read_authorities(path).map_err(|error| failed(what, error))?;
            self.authorities.extend(authorities);
        }
        self.has_key_pair = true;
        Ok(())
    }

    /// Returns whether all keys are derived.
    pub(super) fn is_ready(&self) -> bool {
        self.own.iter().all(|source| match source {
            OwnKeySource::Secret(key) => key.is_derived(),
            OwnKeySource::KeyPair(_) => true,
        })
    }

    /// Waits until all keys are derived.
    pub(super) async fn resolve(&self) -> io::Result<ResolvedKeys> {
        let mut keys = ResolvedKeys {
            own: Vec::new(),
            pins: self.pins.clone(),
            public_pins: self.pins.clone(),
        };
        for source in &self.own {
            match source {
                OwnKeySource::Secret(key) => {
                    let key = key.get().await?;
                    keys.pins.push(key.pin);
                    keys.own.push(key);
                }
                OwnKeySource::KeyPair(key) => keys.own.push(key.clone()),
            }
        }
        Ok(keys)
    }
}

/// Returns the name that the certificate of a service must have: the configured one, or the host of its address.
fn server_name(
    address: &str,
    configured: Option<&str>,
    what: &impl Display,
) -> crate::Result<ServerName<'static>> {
    let name = match (configured, address.parse()) {
        (Some(name), _) => name.to_owned(),
        (None, Ok(Endpoint::Tcp { host, .. })) => host.trim_matches(['[', ']']).to_owned(),
        (None, _) => SERVER_NAME.to_owned(),
    };
    ServerName::try_from(name.clone()).map_err(|_| {
        failed(
            what,
            format!("`{name}` is neither a host name nor an IP address; set `KeyPair::server_name`"),
        )
    })
}

fn failed(what: &impl Display, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::because(format!("cannot {what}"), cause)
}
