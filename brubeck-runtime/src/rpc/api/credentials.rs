//! The credentials of services and callers: a shared secret, or a key pair of their own.

use crate::secret::Secret;
use std::borrow::Cow;
use std::path::PathBuf;

/// The credentials of a service or a caller: a secret that both have, or a [`KeyPair`] of its own.
///
/// [`Service::bind`](crate::Service::bind) and [`ServiceAddress::new`](crate::ServiceAddress::new) take either one:
///
/// ```
/// use brubeck::{Credentials, KeyPair, ServiceAddress};
///
/// let shared = ServiceAddress::new("tcp://10.0.0.6:9000", "TLSd2TQ0DdOZ2JsHyFBq");
/// let own = ServiceAddress::new("tcp://10.0.0.6:9000", KeyPair::file("caller.pem").accept_authority("ca.pem"));
///
/// // To decide at run time:
/// let credentials: Credentials = match std::env::var("BRUBECK_SECRET") {
///     Ok(secret) => secret.into(),
///     Err(_) => KeyPair::file("caller.pem").accept_authority("ca.pem").into(),
/// };
/// let either = ServiceAddress::new("tcp://10.0.0.6:9000", credentials);
/// ```
///
/// They are checked when an application starts or a client is created. `Debug` shows neither secrets nor keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials(pub(crate) CredentialKind);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CredentialKind {
    Secret(Secret),
    KeyPair(KeyPair),
}

impl Credentials {
    /// Returns the secret. Returns `None` if it is a key pair.
    pub(crate) fn secret(&self) -> Option<&Secret> {
        match &self.0 {
            CredentialKind::Secret(secret) => Some(secret),
            CredentialKind::KeyPair(_) => None,
        }
    }
}

impl From<KeyPair> for Credentials {
    fn from(key_pair: KeyPair) -> Credentials {
        Credentials(CredentialKind::KeyPair(key_pair))
    }
}

macro_rules! from_text {
    ($($text:ty),*) => { $(
        /// A shared secret.
        impl From<$text> for Credentials {
            fn from(secret: $text) -> Credentials {
                Credentials(CredentialKind::Secret(Secret::new(String::from(secret))))
            }
        }
    )* };
}

from_text!(&str, String, &String, Box<str>, Cow<'_, str>);

/// A key pair of a service or a caller, and the keys that it accepts from the other side, instead of a shared secret.
///
/// ```
/// use brubeck::{KeyPair, Service, ServiceAddress};
///
/// const CALLER: &str = "36153721245d77fd27a665ca43f7ae61ca18f1ad2453963860cfdc9735bb5f73";
/// const SERVICE: &str = "6kDnLsCVJvGwiLIBVZCHNTpI1/6nNz2rCCPmxAzSzAg=";
///
/// let service = Service::bind("tcp://0.0.0.0:9000", KeyPair::file("service.pem").accept(CALLER));
/// let address = ServiceAddress::new("tcp://10.0.0.6:9000", KeyPair::file("caller.pem").accept(SERVICE));
/// ```
///
/// With key pairs, each side proves that it has its own key, and no secret is shared. `brubeck keygen --key-pair service.pem`
/// creates a key pair and prints its *pin*, with which the other side accepts it: the SHA-256 of its public key. Keys are Ed25519
/// or ECDSA with P-256.
///
/// # Changing a key
///
/// Both sides may accept several pins, so a key is changed without downtime in three steps: the other side accepts the pins of
/// both keys; this side uses the new one; the other side removes the old pin. If not all peers can accept the new key at the same
/// time, this side may have both keys for a while: see [`Service::also_accept`](crate::Service::also_accept) and
/// [`ServiceAddress::also_accept`](crate::ServiceAddress::also_accept).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct KeyPair {
    pub(crate) source: KeySource,
    pub(crate) pins: Vec<String>,
    pub(crate) authorities: Vec<PathBuf>,
    pub(crate) server_name: Option<String>,
}

/// The place of a private key and its certificates, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeySource {
    File(PathBuf),
    Text(Secret),
}

impl KeyPair {
    /// Reads the key pair from a PEM file, as `brubeck keygen --key-pair` writes it.
    ///
    /// ```
    /// use brubeck::KeyPair;
    ///
    /// let key = KeyPair::file("/etc/app/service.pem").accept_authority("/etc/app/ca.pem");
    /// ```
    ///
    /// The file has a private key (PKCS #8), and may have the certificate of the key, followed by those of intermediate
    /// authorities. If there is no certificate, one is made; the other side must accept the pin of the key then.
    ///
    /// The file is read when the application starts or the client is created, which fails if that is not possible.
    pub fn file(path: impl Into<PathBuf>) -> KeyPair {
        KeyPair::new(KeySource::File(path.into()))
    }

    /// Takes the key pair from a text in PEM, for example from an environment variable.
    ///
    /// ```
    /// use brubeck::{KeyPair, PeerKey};
    ///
    /// let pem = PeerKey::generate()?.private_key_pem();
    /// let key = KeyPair::pem(pem).accept_authority("/etc/app/ca.pem");
    /// # Ok::<(), brubeck::Error>(())
    /// ```
    pub fn pem(text: impl Into<String>) -> KeyPair {
        KeyPair::new(KeySource::Text(Secret::new(text.into())))
    }

    fn new(source: KeySource) -> KeyPair {
        KeyPair {
            source,
            pins: Vec::new(),
            authorities: Vec::new(),
            server_name: None,
        }
    }

    /// Accepts the key with this pin from the other side. May be called several times.
    ///
    /// ```
    /// use brubeck::KeyPair;
    ///
    /// let key = KeyPair::file("service.pem")
    ///     .accept("36153721245d77fd27a665ca43f7ae61ca18f1ad2453963860cfdc9735bb5f73")
    ///     .accept("sha256//6kDnLsCVJvGwiLIBVZCHNTpI1/6nNz2rCCPmxAzSzAg=");
    /// ```
    ///
    /// A pin is the SHA-256 of the `SubjectPublicKeyInfo` of a key, in hexadecimal digits or in base64, also with `sha256//` in
    /// front, as curl writes it. The rest of the certificate, such as its period of validity, is not checked.
    pub fn accept(mut self, pin: impl Into<String>) -> KeyPair {
        self.pins.push(pin.into());
        self
    }

    /// Accepts all keys with a certificate of these authorities, in a PEM file. May be called several times.
    ///
    /// ```
    /// use brubeck::KeyPair;
    ///
    /// let key = KeyPair::file("caller.pem").accept_authority("ca.pem").server_name("slow.internal");
    /// ```
    ///
    /// A certificate must be valid at the time of the handshake. A caller also checks that it is one for the
    /// [name](KeyPair::server_name) of the service. A service accepts any name: list the keys that it
    /// [serves](crate::Service::serve_key) if the authority also signs those of others.
    pub fn accept_authority(mut self, path: impl Into<PathBuf>) -> KeyPair {
        self.authorities.push(path.into());
        self
    }

    /// Sets the name that the certificate of a service must have if an [authority](KeyPair::accept_authority) has signed it: a host
    /// name or an IP address, among its alternative names.
    ///
    /// ```
    /// use brubeck::KeyPair;
    ///
    /// let key = KeyPair::file("caller.pem").accept_authority("ca.pem").server_name("slow.internal");
    /// ```
    ///
    /// The default is the host in the first address of the service, and `brubeck` if that is an `ipc` address. Services ignore it.
    pub fn server_name(mut self, name: impl Into<String>) -> KeyPair {
        self.server_name = Some(name.into());
        self
    }
}
