//! The error of starting or running an application, and of creating or changing clients.

use std::error::Error as StdError;
use std::fmt;

/// The error of starting or stopping an application, or of creating or changing a client.
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
///
/// ```no_run
/// use brubeck::prelude::*;
///
/// #[tokio::main]
/// async fn main() -> brubeck::Result {
///     App::new(routes![], ()).serve(Http::bind("127.0.0.1:6767")).await
/// }
/// ```
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

impl Error {
    /// Creates an error without a cause.
    ///
    /// ```
    /// let error = brubeck::Error::new("the port is missing");
    /// assert_eq!(error.to_string(), "the port is missing");
    /// ```
    pub fn new(message: impl Into<String>) -> Error {
        Error {
            message: message.into(),
            source: None,
        }
    }

    /// Creates the error of a setting that is 0 where that makes no sense. `effect` completes "so".
    pub(crate) fn zero_setting(what: impl fmt::Display, setting: &str, effect: &str) -> Error {
        Error::new(format!(
            "cannot {what}: `{setting}` is 0, so {effect}; set a positive value, or remove the setting to use its default"
        ))
    }

    /// Creates an error with a cause.
    ///
    /// ```
    /// let cause = "x".parse::<u16>().unwrap_err();
    /// let error = brubeck::Error::because("the port is not valid", cause);
    /// assert!(error.to_string().starts_with("the port is not valid"));
    /// ```
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
        let mut printed = self.message.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = match error.downcast_ref::<Error>() {
                // Its `Display` would repeat the causes that follow.
                Some(error) => error.message.clone(),
                None => error.to_string(),
            };
            // The `Display` of most errors includes their cause.
            if !text.is_empty() && !printed.contains(&text) {
                write!(f, "\n  because: {text}")?;
                printed = text;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "services")]
    #[test]
    fn debug_lists_each_cause_once() {
        let io = || std::io::Error::other("the disk is full");
        let nested = Error::because("cannot start", Error::because("cannot write the file", io()));
        let expected = "cannot start\n  because: cannot write the file\n  because: the disk is full";
        assert_eq!(format!("{nested:?}"), expected);
        // The text of most errors includes their cause.
        let bind = brubeck_zmtp::TransportError::from(io());
        let error = Error::because("cannot serve at ipc://run/slow", bind);
        let expected = "cannot serve at ipc://run/slow\n  because: cannot open a socket: the disk is full";
        assert_eq!(format!("{error:?}"), expected);
    }
}
