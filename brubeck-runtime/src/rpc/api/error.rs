//! The errors of a call, and an error type that crosses the wire.

use crate::status::Status;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// The error of a call.
///
/// ```
/// use brubeck::{CallError, Client};
///
/// async fn slow_text(client: Client) -> String {
///     match client.request("/service/slow").await {
///         Ok(response) => response.body.to_string(),
///         Err(CallError::Deadline { .. }) => "too slow".into(),
///         Err(error) => error.to_string(),
///     }
/// }
/// ```
///
/// A web handler that returns the error responds with the status below and without any detail, because the text of the
/// error may name internal addresses.
///
/// | variant | status | may the handler have run? |
/// |---|---|---|
/// | `NoWorkers`, `Busy`, `ShuttingDown` | 503 | no |
/// | `Deadline` | 504 | see [`Phase`] |
/// | `Lost` | 502 | see `may_have_run` |
/// | `Refused` | 502 | no |
/// | `Fault` | the status of the service | yes |
/// | `BadReply` | 502 | yes |
/// | `TooLarge` | 413 | no |
/// | `Cancelled` | 499 | yes |
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CallError<F = Fault> {
    /// No worker of the service is reachable.
    NoWorkers,
    /// All workers of the service are at capacity.
    Busy {
        /// The time to wait before a retry.
        retry_after: Duration,
    },
    /// The deadline passed before the response arrived.
    Deadline {
        /// The state of the call at its deadline.
        phase: Phase,
    },
    /// The connection was lost while the call was in flight.
    Lost {
        /// `false` only if it is proven that the handler did not run.
        may_have_run: bool,
    },
    /// The call was refused by the service, or by the client before it was sent. The text is the reason.
    Refused(Cow<'static, str>),
    /// The service responded with an error status.
    Fault {
        /// The status of the response.
        status: Status,
        /// The body of the response, as the error type of the contract.
        fault: F,
    },
    /// The response could not be decoded. The text is the reason.
    BadReply(Cow<'static, str>),
    /// The request exceeds the body limit of the client or of the service.
    TooLarge,
    /// The caller cancelled the call.
    Cancelled,
    /// This process is shutting down.
    ShuttingDown,
}

/// The state of a call when its deadline passed.
///
/// ```
/// use brubeck::{CallError, Phase};
///
/// /// Returns `true` if the call can be repeated without the risk that its handler runs twice.
/// fn is_safe_to_repeat(error: &CallError) -> bool {
///     matches!(
///         error,
///         CallError::Deadline { phase: Phase::Waiting | Phase::Queued } | CallError::Lost { may_have_run: false }
///     )
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// The call was waiting in the client for a connection or for a worker with capacity. It was not sent.
    Waiting,
    /// The call was sent, but its handler had not started.
    Queued,
    /// The call was sent, and its handler may have run.
    Running,
}

impl<F> CallError<F> {
    /// Returns the status with which a web handler that returns this error responds.
    pub fn status(&self) -> Status {
        match self {
            CallError::NoWorkers | CallError::Busy { .. } | CallError::ShuttingDown => {
                Status::SERVICE_UNAVAILABLE
            }
            CallError::Deadline { .. } => Status::GATEWAY_TIMEOUT,
            CallError::Lost { .. } | CallError::Refused(_) | CallError::BadReply(_) => Status::BAD_GATEWAY,
            CallError::Fault { status, .. } => status.clone(),
            CallError::TooLarge => Status::PAYLOAD_TOO_LARGE,
            CallError::Cancelled => Status::new(499).message("Client Closed Request"),
        }
    }
}

impl<F> fmt::Display for CallError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::NoWorkers => {
                f.write_str("no worker of the service is reachable; check that the service is running")
            }
            CallError::Busy { retry_after } => {
                write!(f, "all workers of the service are at capacity; retry in {retry_after:?}")
            }
            CallError::Deadline { phase } => match phase {
                Phase::Waiting => f.write_str(
                    "the deadline passed while the call waited for a connection or a worker with capacity; it was not sent",
                ),
                Phase::Queued => f.write_str("the deadline passed before the service started the call"),
                Phase::Running => f.write_str("the deadline passed without a response; the call may have run"),
            },
            CallError::Lost { may_have_run: true } => {
                f.write_str("the connection to the service was lost; the call may have run")
            }
            CallError::Lost { may_have_run: false } => {
                f.write_str("the connection to the service was lost; the call did not run")
            }
            CallError::Refused(reason) => write!(f, "the call was refused: {reason}"),
            CallError::Fault { status, .. } => write!(f, "the service responded with status {status}"),
            CallError::BadReply(reason) => {
                write!(f, "the response of the service could not be decoded: {reason}")
            }
            CallError::TooLarge => f.write_str(
                "the request exceeds the body limit; raise `body_limit` of the `ServiceAddress` and of the `Service`",
            ),
            CallError::Cancelled => f.write_str("the caller cancelled the call"),
            CallError::ShuttingDown => f.write_str("this process is shutting down"),
        }
    }
}

impl<F: fmt::Debug> std::error::Error for CallError<F> {}

/// An error with a status code and a message, for handlers that need no error type of their own.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[service_handler(path = "^/half", method = "request")]
/// async fn half(number: Arg<u32>) -> Result<Json<u32>, Fault> {
///     if number.0 % 2 != 0 {
///         return Err(Fault::new(422, "the number is odd"));
///     }
///     Ok(Json(number.0 / 2))
/// }
/// ```
///
/// A `Fault` can be the error type of a contract, because serde serialises it.
///
/// The message is sent to the caller or browser. Therefore `?` converts only a [`CallError`] and a [`Status`] into a
/// `Fault`. The fault of a call has the status of the error and no detail; the detail is logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "schema",
    schemars(description = "An error with a status code and a message.")
)]
pub struct Fault {
    #[serde(rename = "status_code")]
    code: i32,
    #[serde(rename = "status_msg", default)]
    message: Cow<'static, str>,
}

impl Fault {
    /// Creates a fault with a status code and a message. The message is sent to the caller or browser.
    pub fn new(code: i32, message: impl Into<Cow<'static, str>>) -> Fault {
        Fault {
            code,
            message: message.into(),
        }
    }

    /// Returns the code and the message as a status.
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
