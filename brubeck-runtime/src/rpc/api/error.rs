//! The errors of a call.

use super::{CallErrorReason, CallSite};
use crate::problem::Problem;
use crate::status::Status;
use std::borrow::Cow;
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
/// Its text has the operation, the address of the worker or the service, the cause and the trace, as does its [`site`](CallError::site). Two
/// errors are equal if the calls have ended in the same way, wherever they went.
///
/// # In a web handler
///
/// A web handler that returns the error, or uses `?` with it in a function that returns a [`Problem`], responds with the status below, its
/// standard title and the ID of the trace. The text is for the log: it names addresses and operations. In
/// [development](crate::App::development) the response shows it, too.
///
/// | ending | variant | status for a browser | may the handler have run? | level in the log |
/// |---|---|---|---|---|
/// | the handler returned the error of the contract | `Failure` | the code of the error | yes | `INFO`, from 500 on `WARN` |
/// | the handler panicked | `Panicked` | 502 | yes | `WARN` |
/// | the service has no such operation, or cannot read an argument | `Refused` | 502 | no | `WARN` |
/// | the request is not valid, or has arguments that cannot be sent | `Refused` | 502 | no | `WARN` |
/// | the request exceeds a body limit | `TooLarge` | 413 | no | `WARN` |
/// | the response cannot be read, exceeds a body limit, or there is none | `BadReply` | 502 | yes | `WARN` |
/// | no worker is reachable, also because of a wrong secret | `NoWorkers` | 503 | no | `WARN` |
/// | no worker has capacity | `Busy` | 503 | no | `WARN` |
/// | the deadline has passed | `Deadline` | 504 | see [`Phase`] | `WARN` |
/// | the connection or the worker was lost, or all workers are draining | `Lost` | 502 | see `may_have_run` | `WARN` |
/// | the caller cancelled the call | `Cancelled` | 499 | yes | `WARN` |
/// | this process is shutting down | `ShuttingDown` | 503 | yes | `WARN` |
///
/// The error is logged when it becomes a [`Problem`], with the message `call failed` and the ID of the trace as the field `trace_id`. The
/// error of a [`nowait`](crate::Call::nowait) call is logged unless awaiting the [`Nowait`](crate::Nowait) has returned it or its
/// response handler takes it. An application that handles an error otherwise logs it as it likes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CallError<F = Problem> {
    /// No worker of the service is reachable. The reason names the service, and the cause if it is known.
    NoWorkers(CallErrorReason),
    /// The service is overloaded: no worker has capacity, and the call must not wait for one, because it could not meet its
    /// deadline or because a limit for waiting calls is reached.
    #[non_exhaustive]
    Busy {
        /// An estimate of the time after which a retry may succeed, from 10 milliseconds to 5 seconds.
        retry_after: Duration,
        /// The limit that was reached, if it is one of this client.
        reason: CallErrorReason,
    },
    /// The deadline passed before the response arrived.
    #[non_exhaustive]
    Deadline {
        /// The state of the call at its deadline.
        phase: Phase,
        /// The place of the call.
        reason: CallErrorReason,
    },
    /// The worker or the connection to it was lost while the call was in flight, or all workers that were tried were shutting
    /// down.
    #[non_exhaustive]
    Lost {
        /// `false` only if it is proven that the handler did not run.
        may_have_run: bool,
        /// The reason for which the connection was given up, if it is known.
        reason: CallErrorReason,
    },
    /// The call was refused by the service, or by the client before it was sent. The reason has the [status](CallErrorReason::status) of the
    /// service.
    Refused(CallErrorReason),
    /// The handler of the service has failed: it returned the error of the contract. Only calls of a contract fail with it; other calls
    /// return the response.
    #[non_exhaustive]
    Failure {
        /// The status of the response. It is that of a [`Problem`], and 400 for other error types.
        status: Status,
        /// The error that the handler returned.
        error: F,
        /// The error as text.
        reason: CallErrorReason,
    },
    /// The handler panicked. The log of the service has the reason. Only calls of a contract fail with it; other calls return a response with
    /// status 500.
    Panicked(CallErrorReason),
    /// There is no usable response: the handler failed, or its response exceeds a body limit or could not be decoded. If a field could not be
    /// read, the reason has its path in the JSON.
    BadReply(CallErrorReason),
    /// The request exceeds the body limit of the client or of the service. The reason names the limit and how to raise it.
    TooLarge(CallErrorReason),
    /// The caller cancelled the call. brubeck itself never returns this error: a call is cancelled by dropping its future, which then has
    /// no result.
    Cancelled(CallErrorReason),
    /// This process is shutting down, or the tokio runtime in which the call was made has ended.
    ShuttingDown(CallErrorReason),
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
///         CallError::Deadline { phase: Phase::Waiting | Phase::Queued, .. } | CallError::Lost { may_have_run: false, .. }
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
    /// Creates a [`Busy`](CallError::Busy), for tests.
    ///
    /// ```
    /// use brubeck::CallError;
    /// use std::time::Duration;
    ///
    /// let error: CallError = CallError::busy(Duration::from_secs(1));
    /// assert_eq!(error.status().code(), 503);
    /// ```
    pub fn busy(retry_after: Duration) -> CallError<F> {
        let reason = CallErrorReason::default();
        CallError::Busy { retry_after, reason }
    }

    /// Creates a [`Deadline`](CallError::Deadline), for tests.
    ///
    /// ```
    /// use brubeck::{CallError, Phase};
    ///
    /// let error: CallError = CallError::deadline(Phase::Waiting);
    /// assert!(!error.may_have_run());
    /// ```
    pub fn deadline(phase: Phase) -> CallError<F> {
        let reason = CallErrorReason::default();
        CallError::Deadline { phase, reason }
    }

    /// Creates a [`Lost`](CallError::Lost), for tests.
    ///
    /// ```
    /// use brubeck::CallError;
    ///
    /// let error: CallError = CallError::lost(true);
    /// assert!(error.may_have_run());
    /// ```
    pub fn lost(may_have_run: bool) -> CallError<F> {
        let reason = CallErrorReason::default();
        CallError::Lost { may_have_run, reason }
    }

    /// Creates a [`Failure`](CallError::Failure), for tests.
    ///
    /// ```
    /// use brubeck::{CallError, Problem, Status};
    ///
    /// let error = CallError::failure(Status::NOT_FOUND, Problem::new(404, "no such film"));
    /// assert_eq!(error.status().code(), 404);
    /// ```
    pub fn failure(status: Status, error: F) -> CallError<F> {
        let reason = status.to_string().into();
        CallError::Failure {
            status,
            error,
            reason,
        }
    }

    pub(crate) fn shutting_down() -> CallError<F> {
        CallError::ShuttingDown(CallErrorReason::default())
    }

    /// Returns the reason, whose text may be empty.
    ///
    /// ```
    /// use brubeck::CallError;
    ///
    /// let error: CallError = CallError::Refused("it is Sunday".into());
    /// assert_eq!(&**error.reason(), "it is Sunday");
    /// ```
    pub fn reason(&self) -> &CallErrorReason {
        match self {
            CallError::Busy { reason, .. }
            | CallError::Deadline { reason, .. }
            | CallError::Lost { reason, .. }
            | CallError::Failure { reason, .. }
            | CallError::NoWorkers(reason)
            | CallError::Refused(reason)
            | CallError::Panicked(reason)
            | CallError::BadReply(reason)
            | CallError::TooLarge(reason)
            | CallError::Cancelled(reason)
            | CallError::ShuttingDown(reason) => reason,
        }
    }

    fn reason_mut(&mut self) -> &mut CallErrorReason {
        match self {
            CallError::Busy { reason, .. }
            | CallError::Deadline { reason, .. }
            | CallError::Lost { reason, .. }
            | CallError::Failure { reason, .. }
            | CallError::NoWorkers(reason)
            | CallError::Refused(reason)
            | CallError::Panicked(reason)
            | CallError::BadReply(reason)
            | CallError::TooLarge(reason)
            | CallError::Cancelled(reason)
            | CallError::ShuttingDown(reason) => reason,
        }
    }

    /// Returns the place of the call.
    ///
    /// ```
    /// use brubeck::{CallError, Phase};
    ///
    /// let error: CallError = CallError::deadline(Phase::Running);
    /// assert_eq!(error.site().address(), None); // no call has returned it
    /// ```
    pub fn site(&self) -> &CallSite {
        &self.reason().site
    }

    /// Adds the parts of the place that are not known yet.
    pub(crate) fn at(mut self, site: CallSite) -> CallError<F> {
        self.reason_mut().site.merge(site);
        self
    }

    /// Replaces the text of the reason.
    pub(crate) fn because(mut self, text: impl Into<Cow<'static, str>>) -> CallError<F> {
        let reason = self.reason_mut();
        *reason = std::mem::take(reason).with_text(text);
        self
    }

    /// Returns `false` if it is proven that the handler of the call has not run and will not run.
    ///
    /// ```
    /// use brubeck::{CallError, Phase};
    ///
    /// let error: CallError = CallError::deadline(Phase::Queued);
    /// assert!(!error.may_have_run());
    /// ```
    pub fn may_have_run(&self) -> bool {
        match self {
            CallError::NoWorkers(_)
            | CallError::Busy { .. }
            | CallError::Refused(_)
            | CallError::TooLarge(_) => false,
            CallError::Deadline { phase, .. } => *phase == Phase::Running,
            CallError::Lost { may_have_run, .. } => *may_have_run,
            CallError::Failure { .. }
            | CallError::Panicked(_)
            | CallError::BadReply(_)
            | CallError::Cancelled(_)
            | CallError::ShuttingDown(_) => true,
        }
    }

    /// Returns the status with which a web handler that returns this error responds. The table of [`CallError`] lists them.
    ///
    /// ```
    /// use brubeck::{CallError, Phase};
    ///
    /// let error: CallError = CallError::deadline(Phase::Running);
    /// assert_eq!(error.status().code(), 504);
    /// ```
    pub fn status(&self) -> Status {
        match self {
            CallError::NoWorkers(_) | CallError::Busy { .. } | CallError::ShuttingDown(_) => {
                Status::SERVICE_UNAVAILABLE
            }
            CallError::Deadline { .. } => Status::GATEWAY_TIMEOUT,
            CallError::Lost { .. }
            | CallError::Refused(_)
            | CallError::Panicked(_)
            | CallError::BadReply(_) => Status::BAD_GATEWAY,
            CallError::Failure { status, .. } => status.clone(),
            CallError::TooLarge(_) => Status::PAYLOAD_TOO_LARGE,
            CallError::Cancelled(_) => Status::new(499).message("Client Closed Request"),
        }
    }

    /// Converts an error that cannot be a failure of the contract. A link knows no contract, so one from it is no usable response.
    pub(super) fn of_contract<E>(self) -> CallError<E> {
        match self {
            CallError::NoWorkers(reason) => CallError::NoWorkers(reason),
            CallError::Busy { retry_after, reason } => CallError::Busy { retry_after, reason },
            CallError::Deadline { phase, reason } => CallError::Deadline { phase, reason },
            CallError::Lost { may_have_run, reason } => CallError::Lost { may_have_run, reason },
            CallError::Refused(reason) => CallError::Refused(reason),
            CallError::Panicked(reason) => CallError::Panicked(reason),
            CallError::Failure { reason, .. } | CallError::BadReply(reason) => CallError::BadReply(reason),
            CallError::TooLarge(reason) => CallError::TooLarge(reason),
            CallError::Cancelled(reason) => CallError::Cancelled(reason),
            CallError::ShuttingDown(reason) => CallError::ShuttingDown(reason),
        }
    }
}

/// Compares the ending, and the reason if the variant has nothing else.
impl<F: PartialEq> PartialEq for CallError<F> {
    fn eq(&self, other: &CallError<F>) -> bool {
        use CallError::*;
        match (self, other) {
            (Busy { retry_after: a, .. }, Busy { retry_after: b, .. }) => a == b,
            (Deadline { phase: a, .. }, Deadline { phase: b, .. }) => a == b,
            (Lost { may_have_run: a, .. }, Lost { may_have_run: b, .. }) => a == b,
            (
                Failure {
                    status: a, error: e, ..
                },
                Failure {
                    status: b, error: f, ..
                },
            ) => a == b && e == f,
            (NoWorkers(a), NoWorkers(b))
            | (Refused(a), Refused(b))
            | (Panicked(a), Panicked(b))
            | (BadReply(a), BadReply(b))
            | (TooLarge(a), TooLarge(b))
            | (Cancelled(a), Cancelled(b))
            | (ShuttingDown(a), ShuttingDown(b)) => a == b,
            _ => false,
        }
    }
}
