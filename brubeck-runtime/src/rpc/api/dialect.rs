//! The dialects of the Python original, as a service address names them.

/// A way of writing requests and responses that some release of the original speaks.
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
    /// `brubeck-service` 0.0.9: the sender and eight envelope fields, ten in a response.
    Pypi,
    /// `brubeck-service` 0.1.1 to 0.1.4: as [`Pypi`](Self::Pypi) with `handle_response` before the path.
    Pypi01x,
}

impl Dialect {
    /// Whether the sender is written into the request, instead of being the ROUTER's identity frame.
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
