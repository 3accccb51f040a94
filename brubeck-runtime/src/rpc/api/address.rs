//! Where a service is, and how it is spoken to.

use super::Dialect;
use crate::secret::Secret;

/// The address of a service, its passphrase, and the dialect it speaks.
///
/// ```
/// use brubeck::{Dialect, ServiceAddress};
///
/// // a service that binds its address
/// let slow = ServiceAddress::new("ipc://run/slow", "my_shared_secret").dialect(Dialect::Seed);
///
/// // one that connects to two addresses of ours, as the released package `brubeck-service` does
/// let slow = ServiceAddress::new("ipc://run/slow", "my_shared_secret")
///     .dialect(Dialect::Pypi)
///     .responses_at("ipc://run/slow_response");
/// assert_eq!(slow.address(), "ipc://run/slow");
/// ```
///
/// It is plain data, made to be kept in the state of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct ServiceAddress {
    address: String,
    more: Vec<String>,
    responses: Option<String>,
    passphrase: Secret,
    dialect: Option<Dialect>,
    clear_text: bool,
    pub(crate) body_limit: Option<usize>,
    pub(crate) concurrency: Option<usize>,
}

impl ServiceAddress {
    /// A service at `ipc://path/of/socket` or `tcp://host:port` that speaks brubeck's own protocol.
    pub fn new(address: impl Into<String>, passphrase: impl Into<String>) -> ServiceAddress {
        ServiceAddress {
            address: address.into(),
            more: Vec::new(),
            responses: None,
            passphrase: Secret::new(passphrase.into()),
            dialect: None,
            clear_text: false,
            body_limit: None,
            concurrency: None,
        }
    }

    /// The service runs at this address, too: calls go to a process that has room, the least loaded one first.
    ///
    /// ```
    /// use brubeck::ServiceAddress;
    ///
    /// let slow = ServiceAddress::new("tcp://10.0.0.6:9000", "my_shared_secret").and("tcp://10.0.0.7:9000");
    /// assert_eq!(slow.addresses().count(), 2);
    /// ```
    ///
    /// A host name stands for every host that it resolves to, and is looked up again every five seconds; of the
    /// addresses it has in IPv4 and in IPv6 one kind is used. At most 256 processes are known at a time.
    pub fn and(mut self, address: impl Into<String>) -> ServiceAddress {
        self.more.push(address.into());
        self
    }

    /// It speaks this dialect of Brubeck Services instead.
    pub fn dialect(self, dialect: Dialect) -> ServiceAddress {
        ServiceAddress {
            dialect: Some(dialect),
            ..self
        }
    }

    /// Where services send their answers: in [`Dialect::Pypi`] and [`Dialect::Pypi01x`] it is the client that binds,
    /// this address and the other one, and any number of services connect to both.
    pub fn responses_at(self, address: impl Into<String>) -> ServiceAddress {
        ServiceAddress {
            responses: Some(address.into()),
            ..self
        }
    }

    /// In a dialect, sends the passphrase in clear to other machines: whoever can read the network can then call the service.
    pub fn allow_clear_text(self) -> ServiceAddress {
        ServiceAddress {
            clear_text: true,
            ..self
        }
    }

    /// The largest body that is sent and taken, in bytes, instead of 8 MiB. The service says its own limit with
    /// [`Service::body_limit`](crate::Service::body_limit). In brubeck's own protocol only.
    ///
    /// ```
    /// use brubeck::ServiceAddress;
    ///
    /// let films = ServiceAddress::new("tcp://10.0.0.6:9000", "my_shared_secret").body_limit(64 << 20);
    /// ```
    pub fn body_limit(self, bytes: usize) -> ServiceAddress {
        ServiceAddress {
            body_limit: Some(bytes),
            ..self
        }
    }

    /// How many calls may be on their way to one process, and as many again wait for one with room, instead of 1,024;
    /// more are refused as [`Busy`](crate::CallError::Busy). In brubeck's own protocol only.
    pub fn concurrency(self, calls: usize) -> ServiceAddress {
        ServiceAddress {
            concurrency: Some(calls),
            ..self
        }
    }

    /// Where requests go; the first address where there are several.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// All addresses of the service.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.address)
            .chain(&self.more)
            .map(String::as_str)
    }

    pub(crate) fn responses(&self) -> Option<&str> {
        self.responses.as_deref()
    }

    pub(crate) fn passphrase(&self) -> &Secret {
        &self.passphrase
    }

    /// `None`: brubeck's own protocol.
    pub(crate) fn selected_dialect(&self) -> Option<Dialect> {
        self.dialect
    }

    pub(crate) fn allows_clear_text(&self) -> bool {
        self.clear_text
    }

    /// In what another description of the service at the same address differs; `None` where it does not.
    pub(crate) fn conflict(&self, other: &ServiceAddress) -> Option<String> {
        if self.passphrase != other.passphrase {
            Some("another passphrase".into())
        } else if self.dialect != other.dialect {
            Some("another dialect".into())
        } else if self.more != other.more {
            Some("other addresses beside it".into())
        } else if self.responses != other.responses {
            Some("another address for its answers".into())
        } else if (self.body_limit, self.concurrency) != (other.body_limit, other.concurrency) {
            Some("other limits".into())
        } else {
            None
        }
    }
}
