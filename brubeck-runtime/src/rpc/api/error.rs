//! The errors of a call.

use crate::problem::Problem;
use crate::status::Status;
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
/// A web handler that returns the error responds with the status code below and its standard message. The error is only
/// logged, because its text may name internal addresses.
///
/// | variant | status | may the handler have run? |
/// |---|---|---|
/// | `NoWorkers`, `Busy` | 503 | no |
/// | `ShuttingDown` | 503 | yes |
/// | `Deadline` | 504 | see [`Phase`] |
/// | `Lost` | 502 | see `may_have_run` |
/// | `Refused` | 502 | no |
/// | `Failure` | the code of the service | yes |
/// | `Panicked`, `BadReply` | 502 | yes |
/// | `TooLarge` | 413 | no |
/// | `Cancelled` | 499 | yes |
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CallError<F = Problem> {
    /// No worker of the service is reachable. The text names the service, and the reason if it is known.
    NoWorkers(Cow<'static, str>),
    /// The service is overloaded: no worker has capacity, and the call must not wait for one, because it could not meet its
    /// deadline or because a limit for waiting calls is reached.
    Busy {
        /// An estimate of the time after which a retry may succeed, from 10 milliseconds to 5 seconds.
        retry_after: Duration,
    },
    /// The deadline passed before the response arrived.
    Deadline {
        /// The state of the call at its deadline.
        phase: Phase,
    },
    /// The worker or the connection to it was lost while the call was in flight, or all workers that were tried were shutting
    /// down.
    Lost {
        /// `false` only if it is proven that the handler did not run.
        may_have_run: bool,
    },
    /// The call was refused by the service, or by the client before it was sent. The text is the reason.
    Refused(Cow<'static, str>),
    /// The handler of the service has failed: it returned the error of the contract. Only calls of a contract fail with it; other calls
    /// return the response.
    Failure {
        /// The status of the response. It is that of a [`Problem`], and 400 for other error types.
        status: Status,
        /// The error that the handler returned.
        error: F,
    },
    /// The handler panicked. The text names the operation; the log of the service has the reason. Only calls of a contract fail with it;
    /// other calls return a response with status 500.
    Panicked(Cow<'static, str>),
    /// There is no usable response: the handler failed, or its response exceeds a body limit or could not be decoded. The text
    /// is the reason.
    BadReply(Cow<'static, str>),
    /// The request exceeds the body limit of the client or of the service. The text names the limit and how to raise it.
    TooLarge(Cow<'static, str>),
    /// The caller cancelled the call. brubeck itself never returns this error: a call is cancelled by dropping its future, which then has
    /// no result.
    Cancelled,
    /// This process is shutting down, or the tokio runtime in which the call was made has ended.
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
    /// The call was waiting in the client for a connection or for a worker with capacity. It had not been sent, or every
    /// worker that it was sent to had declined it.
    Waiting,
    /// The call was sent, but the worker reported that its handler had not started.
    Queued,
    /// The call was sent, and its handler may have run.
    Running,
}

impl<F> CallError<F> {
    /// Returns the status with which a web handler that returns this error responds. The table of [`CallError`] lists them.
    ///
    /// ```
    /// use brubeck::{CallError, Phase};
    ///
    /// let error: CallError = CallError::Deadline { phase: Phase::Running };
    /// assert_eq!(error.status().code(), 504);
    /// ```
    pub fn status(&self) -> Status {
        match self {
            CallError::NoWorkers(_) | CallError::Busy { .. } | CallError::ShuttingDown => {
                Status::SERVICE_UNAVAILABLE
            }
            CallError::Deadline { .. } => Status::GATEWAY_TIMEOUT,
            CallError::Lost { .. }
            | CallError::Refused(_)
            | CallError::Panicked(_)
            | CallError::BadReply(_) => Status::BAD_GATEWAY,
            CallError::Failure { status, .. } => status.clone(),
            CallError::TooLarge(_) => Status::PAYLOAD_TOO_LARGE,
            CallError::Cancelled => Status::new(499).message("Client Closed Request"),
        }
    }
}

impl<F> fmt::Display for CallError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::NoWorkers(reason) => write!(f, "no worker of the service is reachable: {reason}"),
            CallError::Busy { retry_after } => {
                write!(f, "the service has no capacity for the call; retry in {retry_after:?}")
            }
            CallError::Deadline { phase } => match phase {
                Phase::Waiting => f.write_str(
                    "the deadline passed while the call waited for a connection or a worker with capacity; it did not run; check that \
                     the service is running, or add workers",
                ),
                Phase::Queued => f.write_str(
                    "the deadline passed before the service started the call; it did not run; add workers, or raise \
                     `Service::concurrency`",
                ),
                Phase::Running => f.write_str(
                    "the deadline passed without a response; the call may have run; if the handler needs longer, raise the timeout of \
                     the call",
                ),
            },
            CallError::Lost { may_have_run: true } => {
                f.write_str(
                    "the worker or the connection to it was lost; the call may have run; if it may run twice, mark it as `idempotent` \
                     for automatic retries",
                )
            }
            CallError::Lost { may_have_run: false } => {
                f.write_str(
                    "the connection to the worker was lost, or all workers were shutting down; the call did not run and may be repeated",
                )
            }
            CallError::Refused(reason) => write!(f, "the call was refused: {reason}"),
            CallError::Failure { status, .. } => write!(f, "the service responded with status {status}"),
            CallError::Panicked(reason) => write!(f, "the handler panicked: {reason}"),
            CallError::BadReply(reason) => {
                write!(f, "no usable response: {reason}")
            }
            CallError::TooLarge(reason) => write!(f, "the request is too large: {reason}"),
            CallError::Cancelled => f.write_str("the caller cancelled the call"),
            CallError::ShuttingDown => f.write_str("this process is shutting down, or the tokio runtime of the call has ended"),
        }
    }
}

impl<F: fmt::Debug> std::error::Error for CallError<F> {}

/// A problem that tells clients the [status code](CallError::status) only. The error itself is logged, because it may contain addresses
/// and what a service has responded.
impl<F> From<CallError<F>> for Problem {
    fn from(error: CallError<F>) -> Problem {
        tracing::warn!(%error, "a call failed");
        Status::new(error.status().code()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows the texts with `-- --nocapture`, to be read as a user reads them.
    #[test]
    fn every_error_says_what_happened_and_what_to_do() {
        let deadline = |phase| CallError::Deadline { phase };
        let lost = |may_have_run| CallError::Lost { may_have_run };
        let reason = || Cow::Borrowed("ipc://run/slow: check that the service is running");
        let cases: [(CallError, &str); 14] = [
            (
                CallError::NoWorkers(reason()),
                "check that the service is running",
            ),
            (
                CallError::Busy {
                    retry_after: Duration::from_millis(100),
                },
                "retry in 100ms",
            ),
            (deadline(Phase::Waiting), "add workers"),
            (deadline(Phase::Queued), "`Service::concurrency`"),
            (deadline(Phase::Running), "raise the timeout"),
            (lost(true), "`idempotent`"),
            (lost(false), "may be repeated"),
            (CallError::Refused(reason()), "refused: ipc://run/slow"),
            (
                CallError::Panicked(reason()),
                "the handler panicked: ipc://run/slow",
            ),
            (
                CallError::BadReply(reason()),
                "no usable response: ipc://run/slow",
            ),
            (CallError::TooLarge(reason()), "too large: ipc://run/slow"),
            (
                CallError::Failure {
                    status: Status::NOT_FOUND.message("no such film"),
                    error: Problem::new(404, "no such film"),
                },
                "404 no such film",
            ),
            (CallError::Cancelled, "cancelled"),
            (CallError::ShuttingDown, "shutting down"),
        ];
        for (error, part) in cases {
            println!("{error:?}\n    {error}");
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
