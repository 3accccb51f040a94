//! The dialects of the Python original.

/// A wire format of the Python original, Brubeck Services.
///
/// ```
/// use brubeck::{Dialect, ServiceAddress};
///
/// // A service that the newest state of the branch `brubeck-service` runs.
/// let slow = ServiceAddress::new("ipc://run/slow", "my_shared_secret").dialect(Dialect::Branch);
///
/// // A service that a release of the package `brubeck-service` runs. It connects to two addresses of its caller.
/// let slow = ServiceAddress::new("ipc://run/slow", "my_shared_secret")
///     .dialect(Dialect::Pypi01x)
///     .responses_at("ipc://run/slow_response");
/// assert_eq!(Dialect::Pypi01x.to_string(), "pypi01x");
/// ```
///
/// Its releases encode requests and responses in different ways. A caller names the dialect of its service with
/// [`ServiceAddress::dialect`](crate::ServiceAddress::dialect); without one, it uses brubeck's own protocol. A
/// [`Service`](crate::Service) accepts callers of [`Seed`](Dialect::Seed) and [`Branch`](Dialect::Branch), and a
/// [`LegacyService`](crate::LegacyService) those of the other two; they detect the dialect of each request and respond in it. The dialects
/// have neither deadlines nor cancellation nor retries, and send the passphrase with each request in clear text.
///
/// Source: the [repository](https://github.com/sethmurphy/brubeck) of the original, with its branch `brubeck-service`, and its
/// [releases](https://pypi.org/project/brubeck-service/) as a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// The first publication, of September 2012.
    ///
    /// A message has six fields before its body. The method is in `headers["METHOD"]`, and named arguments are members of the body.
    /// The caller connects to the service.
    Seed,
    /// The newest state of the branch `brubeck-service`.
    ///
    /// A message has nine fields before its body. The caller connects to the service.
    Branch,
    /// The package `brubeck-service` 0.0.9.
    ///
    /// A request has its sender and eight further fields before its body, and a response has ten. The service connects to two
    /// addresses of its caller, so the caller needs [`responses_at`](crate::ServiceAddress::responses_at).
    Pypi,
    /// The package `brubeck-service` 0.1.1 to 0.1.4.
    ///
    /// As [`Pypi`](Self::Pypi), with the field `handle_response` before the path.
    Pypi01x,
}

impl Dialect {
    /// Returns `true` if a request contains its sender.
    ///
    /// In the other dialects the identity frame of the ROUTER socket is the sender.
    #[must_use]
    #[doc(hidden)]
    pub const fn has_sender_in_request(self) -> bool {
        matches!(self, Self::Pypi | Self::Pypi01x)
    }
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Seed => "seed",
            Self::Branch => "branch",
            Self::Pypi => "pypi",
            Self::Pypi01x => "pypi01x",
        })
    }
}
