//! Everything that can go wrong with a call, flat; and a failure as one application tells it to another.

use crate::status::Status;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Why a call ended without the answer it asked for.
///
/// ```
/// use brubeck::{CallError, Client};
///
/// async fn ask(client: Client) -> String {
///     match client.request("/service/slow").await {
///         Ok(answer) => answer.body.to_string(),
///         Err(CallError::Deadline { .. }) => "too slow".into(),
///         Err(error) => error.to_string(),
///     }
/// }
/// ```
///
/// Returned from a web handler it becomes the status in the table, without any detail.
///
/// | variant | status | may the handler have run? |
/// |---|---|---|
/// | `NoWorkers`, `Busy`, `ShuttingDown` | 503 | no |
/// | `Deadline` | 504 | by its phase |
/// | `Lost` | 502 | as it says |
/// | `Refused` | 502 | no |
/// | `Fault` | as the service said | yes |
/// | `BadReply` | 502 | yes |
/// | `TooLarge` | 413 | no |
/// | `Cancelled` | 499 | yes |
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CallError<F = Fault> {
    /// No process of the service is known to be alive.
    NoWorkers,
    /// Every process of the service is full.
    Busy {
        /// When it may be worth asking again.
        retry_after: Duration,
    },
    /// The deadline passed.
    Deadline {
        /// How far the call had come.
        phase: Phase,
    },
    /// The connection broke while the call was on its way.
    Lost {
        /// `false` only where it is proven that the handler did not run.
        may_have_run: bool,
    },
    /// The call was refused, by the service or before it was sent; in words.
    Refused(Cow<'static, str>),
    /// The service answered with a failure.
    Fault {
        /// How it went.
        status: Status,
        /// What it said.
        fault: F,
    },
    /// The service answered something that cannot be read; in words.
    BadReply(Cow<'static, str>),
    /// The request is larger than may be sent.
    TooLarge,
    /// Whoever wanted the answer has gone.
    Cancelled,
    /// This process is shutting down.
    ShuttingDown,
}

/// How far a call had come when its deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// It was not sent: there was no connection to the service.
    Waiting,
    /// It was sent, and the service had not begun with it.
    Queued,
    /// It was sent, and may have been running.
    Running,
}

impl<F> CallError<F> {
    /// The status that the error has for whoever asked this application.
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
            CallError::NoWorkers => f.write_str("no process of the service is known to be alive"),
            CallError::Busy { retry_after } => {
                write!(
                    f,
                    "every process of the service is full; ask again in {retry_after:?}"
                )
            }
            CallError::Deadline {
                phase: Phase::Waiting,
            } => f.write_str(
                "the deadline passed before there was a connection to the service; the call was not sent",
            ),
            CallError::Deadline { phase: Phase::Queued } => {
                f.write_str("the deadline passed before the service had begun with the call")
            }
            CallError::Deadline {
                phase: Phase::Running,
            } => f.write_str("the deadline passed without an answer; the call may have run"),
            CallError::Lost { may_have_run: true } => {
                f.write_str("the connection to the service broke; the call may have run")
            }
            CallError::Lost { may_have_run: false } => {
                f.write_str("the connection to the service broke; the call did not run")
            }
            CallError::Refused(reason) => write!(f, "the call was refused: {reason}"),
            CallError::Fault { status, .. } => write!(f, "the service answered {status}"),
            CallError::BadReply(reason) => write!(f, "the answer of the service cannot be read: {reason}"),
            CallError::TooLarge => f.write_str("the request is larger than may be sent"),
            CallError::Cancelled => f.write_str("whoever wanted the answer has gone"),
            CallError::ShuttingDown => f.write_str("this process is shutting down"),
        }
    }
}

impl<F: fmt::Debug> std::error::Error for CallError<F> {}

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
