//! The error of starting or running an application, and of creating or changing clients.

use std::error::Error as StdError;
use std::fmt;

/// The error of an application that could not start or did not stop cleanly, or of a client that could not be created or
/// whose workers could not be changed.
///
/// ```
/// #[tokio::main]
/// async fn main() -> brubeck::Result {
///     let port: u16 = "6767".parse().map_err(|error| brubeck::Error::because("the port is not a number", error))?;
///     Ok(())
/// }
/// ```
///
/// If `main` returns an `Error`, the program prints its `Debug` output: the message, then each cause on a line of its own.
/// `Display` shows the message and the direct cause on one line.
pub struct Error {
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A `Result` whose error is [`Error`] by default, for `main` and for functions that configure an application.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

impl Error {
    /// Creates an error without a cause.
    pub fn new(message: impl Into<String>) -> Error {
        Error {
            message: message.into(),
            source: None,
        }
    }

    /// Creates an error with a cause.
    pub fn because(message: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        Error {
            message: message.into(),
            source: Some(source.into()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            match error.downcast_ref::<Error>() {
                // Its `Display` would repeat the causes that follow.
                Some(error) => write!(f, "\n  because: {}", error.message)?,
                None => write!(f, "\n  because: {error}")?,
            }
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
    std::io::Error: "I/O failed",
    Box<dyn StdError + Send + Sync>: "the application failed",
}
