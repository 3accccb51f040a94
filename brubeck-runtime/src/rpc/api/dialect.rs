//! The dialects of the Python original.

/// A wire format of the Python original, Brubeck Services.
///
/// The releases of Brubeck Services encode requests and responses in different ways. Pass the dialect of a service to
/// [`ServiceAddress::dialect`](crate::ServiceAddress::dialect).
///
/// ```
/// use brubeck_runtime::Dialect;
///
/// assert_eq!(Dialect::Branch.to_string(), "branch");
/// assert!(Dialect::Pypi.has_sender_in_request());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// The first publication: six envelope fields, the method in `headers["METHOD"]`, no arguments.
    Seed,
    /// The `brubeck-service` branch: nine envelope fields.
    Branch,
    /// `brubeck-service` 0.0.9: the sender and eight envelope fields; ten fields in a response.
    Pypi,
    /// `brubeck-service` 0.1.1 to 0.1.4: as [`Pypi`](Self::Pypi), with `handle_response` before the path.
    Pypi01x,
}

impl Dialect {
    /// Returns `true` if a request contains its sender.
    ///
    /// In the other dialects the identity frame of the ROUTER socket is the sender.
    #[must_use]
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
