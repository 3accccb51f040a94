//! What stops an application from running.

use std::error::Error as StdError;
use std::fmt;

/// Why an application could not start, or stopped: what, where, and what to do.
///
/// ```
/// #[tokio::main]
/// async fn main() -> brubeck::Result {
///     let port: u16 = "6767".parse().map_err(|error| brubeck::Error::because("the port is no number", error))?;
///     Ok(())
/// }
/// ```
///
/// Its `Debug` text is meant for people, because that is what a `main` that returns it prints.
pub struct Error {
    what: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The result of running an application.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with nothing below it.
    pub fn new(what: impl Into<String>) -> Error {
        Error {
            what: what.into(),
            source: None,
        }
    }

    /// An error and what caused it.
    pub fn because(what: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        Error {
            what: what.into(),
            source: Some(source.into()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, "\n  because: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|error| error as &(dyn StdError + 'static))
    }
}

macro_rules! from {
    ($($source:ty: $what:literal),* $(,)?) => { $(
        impl From<$source> for Error {
            fn from(source: $source) -> Error {
                Error::because($what, source)
            }
        }
    )* };
}

from! {
    std::io::Error: "an input or output failed",
    Box<dyn StdError + Send + Sync>: "the application failed",
}
