//! A failure as one application tells it to another.

use super::CallError;
use crate::status::Status;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// A failure with a status code and a message, for handlers that need no error type of their own.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[service_handler(path = "^/half", method = "request")]
/// async fn half(number: Arg<u32>) -> Result<Json<u32>, Fault> {
///     match number.0 % 2 {
///         0 => Ok(Json(number.0 / 2)),
///         _ => Err(Fault::new(422, "the number is odd")),
///     }
/// }
/// ```
///
/// It is serialisable, so a contract can name it: it crosses the wire as it is. No error turns into a
/// `Fault` by `?` except a failed call, and that one says nothing but its status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "schema",
    schemars(description = "A failure: its status code and a message.")
)]
pub struct Fault {
    #[serde(rename = "status_code")]
    code: i32,
    #[serde(rename = "status_msg", default)]
    message: Cow<'static, str>,
}

impl Fault {
    /// A fault with this status code and message. The message goes to whoever asked.
    pub fn new(code: i32, message: impl Into<Cow<'static, str>>) -> Fault {
        Fault {
            code,
            message: message.into(),
        }
    }

    /// The code and message as a status.
    pub fn status(&self) -> Status {
        Status::new(self.code).message(self.message.clone())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status().fmt(f)
    }
}

impl std::error::Error for Fault {}

impl From<Status> for Fault {
    fn from(status: Status) -> Fault {
        Fault::new(status.code(), status.text().to_owned())
    }
}

impl<F> From<CallError<F>> for Fault {
    fn from(error: CallError<F>) -> Fault {
        tracing::warn!(%error, "a call failed");
        Status::new(error.status().code()).into()
    }
}
