//! The address of a service and the options of its clients.

use super::{Credentials, Dialect, NamedAddress, check_service_name};
use crate::error::Error;
use crate::secret::Secret;
use std::path::{Path, PathBuf};

/// The address of a service, its secret, and the options of a client that calls it.
///
/// ```
/// use brubeck::{Dialect, ServiceAddress};
///
/// // A service that binds its address.
/// let slow = ServiceAddress::new("ipc://run/slow", "my_shared_secret").dialect(Dialect::Seed);
///
/// // A service that connects to two addresses of the client, as the released package `brubeck-service` does.
/// let slow = ServiceAddress::new("ipc://run/slow", "my_shared_secret")
///     .dialect(Dialect::Pypi)
///     .responses_at("ipc://run/slow_response");
/// assert_eq!(slow.address(), "ipc://run/slow");
/// ```
///
/// A `ServiceAddress` is plain data and opens no connection. Applications usually keep it in their state and pass it to
/// [`Services::connect`](crate::Services::connect) or [`Client::connect`](crate::Client::connect).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct ServiceAddress {
    address: String,
    more_addresses: Vec<String>,
    /// The name of the service, if an address has one.
    service: Option<String>,
    /// Another name, in a further address.
    other_service: Option<String>,
    responses: Option<String>,
    /// The working directory when the first relative path was given.
    folder: Option<PathBuf>,
    credentials: Credentials,
    other_credentials: Option<Credentials>,
    dialect: Option<Dialect>,
    clear_text: bool,
    pub(crate) body_limit: Option<usize>,
    pub(crate) concurrency: Option<usize>,
}

impl ServiceAddress {
    /// Creates the address of a service that is called in brubeck's protocol, unless [`dialect`](Self::dialect) is set.
    ///
    /// ```
    /// # use brubeck::ServiceAddress;
    /// let slow = ServiceAddress::new("tcp://10.0.0.6:9000", "my_shared_secret");
    /// ```
    ///
    /// `address` is `ipc://path/of/socket` or `tcp://host:port`, or `tcp://host:port/name` with the [name](ServiceAddress::service_name) of the
    /// service. A relative path refers to the working directory at this time, also for connections that are made later. `credentials` is the secret
    /// of the service, as `brubeck keygen` writes it, with at least 16 characters, or a [`KeyPair`](crate::KeyPair) of the caller; in a dialect it
    /// is the passphrase, which may have any length. Both are checked when a client is created, not here.
    pub fn new(address: impl Into<String>, credentials: impl Into<Credentials>) -> ServiceAddress {
        let NamedAddress { address, service } = NamedAddress::new(address.into());
        ServiceAddress {
            folder: working_folder(&address),
            address,
            more_addresses: Vec::new(),
            service,
            other_service: None,
            responses: None,
            credentials: credentials.into(),
            other_credentials: None,
            dialect: None,
            clear_text: false,
            body_limit: None,
            concurrency: None,
        }
    }

    /// Adds the address of another worker of the same service.
    ///
    /// ```
    /// use brubeck::ServiceAddress;
    ///
    /// let slow = ServiceAddress::new("tcp://10.0.0.6:9000", "my_shared_secret").and("tcp://10.0.0.7:9000");
    /// assert_eq!(slow.addresses().count(), 2);
    /// ```
    ///
    /// Each call goes to the worker that runs the fewest calls, of those that have capacity. A worker counts as busier if it is more than
    /// twice as slow as the fastest one. One that fails more than twice as often as the others, and five calls in a row or half of its
    /// last ones, gets no calls for a second; the pause doubles up to 32 seconds if it still fails then. A host name other than `localhost` stands for every
    /// host that it resolves to, and is resolved again every 5 seconds. If a name has both IPv4 and IPv6 addresses, those of the
    /// family that the resolver lists first are tried first, and the others after 250 ms; the family that works is kept. A client has at most 256 workers at a time: it cannot
    /// be created with more addresses, and ignores further hosts of a name.
    ///
    /// A client that uses a [`dialect`](Self::dialect) cannot be created with more than one address.
    pub fn and(mut self, address: impl Into<String>) -> ServiceAddress {
        let NamedAddress { address, service } = NamedAddress::new(address.into());
        self.folder = self.folder.or_else(|| working_folder(&address));
        self.more_addresses.push(address);
        if self.service.is_none() {
            self.service = service;
        } else if service.is_some() && service != self.service {
            self.other_service = service;
        }
        self
    }

    /// Adds a second secret or key pair to that of [`new`](Self::new).
    ///
    /// ```
    /// use brubeck::ServiceAddress;
    ///
    /// let (secret, previous) = ("TLSd2TQ0DdOZ2JsHyFBq", "jzwCWVtNJKy9G3Ml0oXe");
    /// let slow = ServiceAddress::new("tcp://10.0.0.6:9000", secret).also_accept(previous);
    /// ```
    ///
    /// Use it to change the secret or the key without downtime: see [`Service::also_accept`](crate::Service::also_accept). The client
    /// accepts what either one accepts. It presents the key of the first one, and that of the second one after it was refused. Dialects
    /// ignore the second one.
    pub fn also_accept(self, credentials: impl Into<Credentials>) -> ServiceAddress {
        ServiceAddress {
            other_credentials: Some(credentials.into()),
            ..self
        }
    }

    /// Calls the service in a dialect of the Python original instead of brubeck's protocol.
    ///
    /// ```
    /// use brubeck::{Dialect, ServiceAddress};
    ///
    /// let slow = ServiceAddress::new("ipc://run/slow", "my_shared_secret").dialect(Dialect::Seed);
    /// ```
    #[cfg(feature = "legacy")]
    #[cfg_attr(docsrs, doc(cfg(feature = "legacy")))]
    pub fn dialect(self, dialect: Dialect) -> ServiceAddress {
        ServiceAddress {
            dialect: Some(dialect),
            ..self
        }
    }

    /// Sets the address that the client binds for responses.
    ///
    /// ```
    /// use brubeck::{Dialect, ServiceAddress};
    ///
    /// let slow = ServiceAddress::new("ipc://run/slow", "my_shared_secret")
    ///     .dialect(Dialect::Pypi)
    ///     .responses_at("ipc://run/slow_response");
    /// ```
    ///
    /// Required by [`Dialect::Pypi`] and [`Dialect::Pypi01x`]. In these dialects the client binds both addresses, one for
    /// requests and one for responses, and any number of workers connect to both. In brubeck's protocol and in the other
    /// dialects responses arrive over the connection of the request, and a client cannot be created with this option.
    pub fn responses_at(self, address: impl Into<String>) -> ServiceAddress {
        let NamedAddress { address, .. } = NamedAddress::new(address.into());
        ServiceAddress {
            folder: self.folder.or_else(|| working_folder(&address)),
            responses: Some(address),
            ..self
        }
    }

    /// Allows a client to send the passphrase unencrypted to other machines.
    ///
    /// ```
    /// use brubeck::{Dialect, ServiceAddress};
    ///
    /// let slow = ServiceAddress::new("tcp://10.0.0.6:9000", "my_shared_secret").dialect(Dialect::Seed).allow_clear_text();
    /// ```
    ///
    /// The dialects of the Python original put the passphrase into every request, so anyone who can read the network can
    /// call the service. Without this option, a client in a dialect can only be created for `ipc` and loopback addresses.
    /// Brubeck's protocol never sends the secret and ignores this option.
    pub fn allow_clear_text(self) -> ServiceAddress {
        ServiceAddress {
            clear_text: true,
            ..self
        }
    }

    /// Sets the largest request or response body, in bytes, with the bytes that are sent as parts of it. The default is 8 MiB. A client
    /// cannot be created with 0.
    ///
    /// ```
    /// use brubeck::ServiceAddress;
    ///
    /// let films = ServiceAddress::new("tcp://10.0.0.6:9000", "my_shared_secret").body_limit(64 << 20);
    /// ```
    ///
    /// A call with a larger request fails with [`TooLarge`](crate::CallError::TooLarge), one with a larger response with
    /// [`BadReply`](crate::CallError::BadReply).
    ///
    /// The limit of the service is set separately, with [`Service::body_limit`](crate::Service::body_limit). Only brubeck's
    /// protocol uses this option.
    pub fn body_limit(self, bytes: usize) -> ServiceAddress {
        ServiceAddress {
            body_limit: Some(bytes),
            ..self
        }
    }

    /// Sets how many calls of this client may be in flight to one worker. The default is 1,024.
    ///
    /// ```
    /// # use brubeck::ServiceAddress;
    /// let slow = ServiceAddress::new("ipc://run/slow", "my_shared_secret").concurrency(100);
    /// ```
    ///
    /// A worker may allow fewer. If no worker has capacity, the same number of calls may wait in the client, for all
    /// workers together; further calls fail with [`Busy`](crate::CallError::Busy). A client cannot be created with 0.
    /// Only brubeck's protocol uses this option.
    pub fn concurrency(self, calls: usize) -> ServiceAddress {
        ServiceAddress {
            concurrency: Some(calls),
            ..self
        }
    }

    /// Returns the name of the service: the path of an address such as `tcp://10.0.0.6:9000/thumbs`.
    ///
    /// ```
    /// # use brubeck::ServiceAddress;
    /// let thumbs = ServiceAddress::new("tcp://10.0.0.6:9000/thumbs", "my_shared_secret");
    /// assert_eq!(thumbs.service_name(), Some("thumbs"));
    /// assert_eq!(thumbs.address(), "tcp://10.0.0.6:9000");
    /// ```
    ///
    /// A service that was bound with another name refuses this client, so that a wrong port is noticed; one without a name accepts
    /// it. A name has at most 64 letters, digits, `_`, `-` and `.`. The dialects of the Python original ignore it.
    pub fn service_name(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// Returns the address that was passed to [`new`](ServiceAddress::new), without the name of the service.
    ///
    /// ```
    /// # use brubeck::ServiceAddress;
    /// let slow = ServiceAddress::new("ipc://run/slow", "my_shared_secret");
    /// assert_eq!(slow.address(), "ipc://run/slow");
    /// ```
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns all addresses of the service: that of [`new`](ServiceAddress::new), then the others in the order in which
    /// they were added.
    ///
    /// ```
    /// # use brubeck::ServiceAddress;
    /// let slow = ServiceAddress::new("tcp://10.0.0.6:9000", "my_shared_secret").and("tcp://10.0.0.7:9000");
    /// assert!(slow.addresses().eq(["tcp://10.0.0.6:9000", "tcp://10.0.0.7:9000"]));
    /// ```
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.address)
            .chain(&self.more_addresses)
            .map(String::as_str)
    }

    /// Returns the folder that relative paths refer to. `None` if no path is relative.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    pub(crate) fn responses(&self) -> Option<&str> {
        self.responses.as_deref()
    }

    /// Returns the credentials, and the second ones.
    pub(crate) fn credentials(&self) -> Vec<&Credentials> {
        let others = &self.other_credentials;
        std::iter::once(&self.credentials).chain(others).collect()
    }

    /// Returns the passphrase of a dialect.
    ///
    /// # Errors
    /// Returns an error if it is a key pair.
    pub(crate) fn passphrase(&self) -> crate::Result<&Secret> {
        self.credentials.secret().ok_or_else(|| {
            Error::new(format!(
                "cannot call the service at {}: a dialect needs a passphrase, and not a key pair",
                self.address
            ))
        })
    }

    /// Returns the dialect, or `None` for brubeck's protocol.
    pub(crate) fn selected_dialect(&self) -> Option<Dialect> {
        self.dialect
    }

    pub(crate) fn allows_clear_text(&self) -> bool {
        self.clear_text
    }

    /// Returns an error if an option makes no sense.
    pub(crate) fn check(&self) -> crate::Result<()> {
        let call = || format!("call the service at {}", self.address);
        if let Some(name) = &self.service {
            check_service_name(name, &call())?;
            if let Some(other) = &self.other_service {
                return Err(Error::new(format!(
                    "cannot {}: its addresses have the names `{name}` and `{other}`; a client calls one service",
                    call()
                )));
            }
        }
        let zero = |setting, effect| Err(Error::zero_setting(call(), setting, effect));
        if self.concurrency == Some(0) {
            return zero("ServiceAddress::concurrency", "no call could be sent");
        }
        if self.body_limit == Some(0) {
            return zero("ServiceAddress::body_limit", "no response could be received");
        }
        Ok(())
    }

    /// Describes the first option in which `other`, a service at the same address, differs from this one. Returns `None` if
    /// a client of one can serve as a client of the other.
    ///
    /// `allow_clear_text` is not compared: it matters only when a client is created.
    pub(crate) fn conflict(&self, other: &ServiceAddress) -> Option<&'static str> {
        if self.credentials() != other.credentials() {
            let both_secret =
                [self, other].map(|service| service.credentials.secret().is_some()) == [true; 2];
            Some(if both_secret {
                "another secret"
            } else {
                "other credentials"
            })
        } else if self.folder != other.folder {
            Some("another working directory")
        } else if self.service != other.service {
            Some("another name")
        } else if self.dialect != other.dialect {
            Some("another dialect")
        } else if self.more_addresses != other.more_addresses {
            Some("other additional addresses")
        } else if self.responses != other.responses {
            Some("another address for responses")
        } else if (self.body_limit, self.concurrency) != (other.body_limit, other.concurrency) {
            Some("other limits")
        } else {
            None
        }
    }
}

/// Returns the working directory if the address is a relative path.
pub(crate) fn working_folder(address: &str) -> Option<PathBuf> {
    let path = address.strip_prefix("ipc://")?;
    match path.starts_with('/') {
        true => None,
        false => std::env::current_dir().ok(),
    }
}
