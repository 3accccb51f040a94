//! The text of a call error, its sources, and the problem that is made of it.

use super::{CallError, Phase};
use crate::problem::Problem;
use crate::status::Status;
use std::any::Any;
use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

/// Shows the operation, the address of the worker or of the service, the cause and the trace.
impl<F> fmt::Display for CallError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.without_trace().fmt(f)?;
        match self.site().trace_id() {
            Some(trace_id) => write!(f, " (trace {trace_id})"),
            None => Ok(()),
        }
    }
}

/// The text of an error without its trace.
struct Located<'a, F>(&'a CallError<F>);

impl<F> fmt::Display for Located<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.site().write_before(&self.0.what_happened(), f)
    }
}

impl<F> CallError<F> {
    /// Returns the text without the trace, for log lines that have it as a field.
    pub(super) fn without_trace(&self) -> impl fmt::Display {
        Located(self)
    }

    /// Returns the ending, its reason and what to do, without the site.
    fn what_happened(&self) -> String {
        let reason = self.reason();
        let (ending, advice) = match self {
            CallError::NoWorkers(_) => ("no worker of the service is reachable", None),
            CallError::Busy { retry_after, .. } => (
                "there is no capacity for the call",
                Some(Cow::Owned(format!("retry in {retry_after:?}"))),
            ),
            CallError::Deadline { phase: Phase::Waiting, .. } => (
                "the deadline passed while the call waited for a connection or a worker with capacity",
                Some("it did not run; check that the service is running, or add workers".into()),
            ),
            CallError::Deadline { phase: Phase::Queued, .. } => (
                "the deadline passed before the service started the call",
                Some("it did not run; add workers, or raise `Service::concurrency`".into()),
            ),
            CallError::Deadline { phase: Phase::Running, .. } => (
                "the deadline passed without a response",
                Some("the call may have run; if the handler needs longer, raise the timeout of the call".into()),
            ),
            CallError::Lost { may_have_run: true, .. } => (
                "the worker or the connection to it was lost",
                Some("the call may have run; if it may run twice, mark it as `idempotent` for automatic retries".into()),
            ),
            CallError::Lost { may_have_run: false, .. } => (
                "the connection to the worker was lost, or all workers were shutting down",
                Some("the call did not run and may be repeated".into()),
            ),
            CallError::Refused(_) => ("the call was refused", None),
            CallError::Failure { .. } => ("the handler failed", None),
            CallError::Panicked(_) => ("the handler panicked", None),
            CallError::BadReply(_) => ("no usable response", None),
            CallError::TooLarge(_) => ("the request is too large", None),
            CallError::Cancelled(_) => ("the caller cancelled the call", None),
            CallError::ShuttingDown(_) => (
                "this process is shutting down, or the tokio runtime of the call has ended",
                None,
            ),
        };
        let mut text = ending.to_owned();
        if !reason.is_empty() {
            text.extend([": ", reason]);
        }
        if let Some(advice) = advice {
            text.extend(["; ", &*advice]);
        }
        text
    }
}

/// The source is the error that prevented the call or the reading of its response, such as one of `serde_json`, and the [`Problem`] of a
/// failure. The text of a `CallError` includes that of its source.
impl<F: fmt::Debug + 'static> StdError for CallError<F> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            CallError::Failure { error, .. } => {
                let problem = (error as &dyn Any).downcast_ref::<Problem>()?;
                Some(problem)
            }
            _ => self.reason().source(),
        }
    }
}

/// A problem with the [status code](CallError::status), its standard title and the ID of the trace, as the member `trace_id`. The
/// error itself is logged with that ID, because it contains addresses and what a service has responded. In development its text is shown to
/// browsers, too.
impl<F> From<CallError<F>> for Problem {
    fn from(error: CallError<F>) -> Problem {
        let code = error.status().code();
        let trace_id = error.site().trace_id();
        let text = error.without_trace().to_string();
        match &error {
            // The service has decided so, and works.
            CallError::Failure { .. } if code < 500 => {
                tracing::info!(trace_id, status = code, error = text, "call failed");
            }
            _ => tracing::warn!(trace_id, status = code, error = text, "call failed"),
        }
        Problem::from(Status::new(code)).of_call(trace_id, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::api::CallErrorReason;
    use std::time::Duration;

    /// Shows the texts with `-- --nocapture`, to be read as a user reads them.
    #[test]
    fn every_error_says_what_happened_and_what_to_do() {
        let (deadline, lost) = (CallError::deadline, CallError::lost);
        let reason = || CallErrorReason::from("ipc://run/slow: check that the service is running");
        let failure = CallError::failure(
            Status::NOT_FOUND.message("no such film"),
            Problem::new(404, "no such film"),
        );
        let cases: [(CallError, &str); 15] = [
            (
                CallError::NoWorkers(reason()),
                "check that the service is running",
            ),
            (CallError::busy(Duration::from_millis(100)), "retry in 100ms"),
            (deadline(Phase::Waiting), "add workers"),
            (deadline(Phase::Queued), "`Service::concurrency`"),
            (deadline(Phase::Running), "raise the timeout"),
            (lost(true), "`idempotent`"),
            (
                lost(true).because("the worker ended the session"),
                "the worker ended the session",
            ),
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
            (failure, "the handler failed: 404 no such film"),
            (CallError::Cancelled(CallErrorReason::default()), "cancelled"),
            (CallError::shutting_down(), "shutting down"),
        ];
        for (error, part) in cases {
            println!("{error:?}\n    {error}");
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn text_includes_that_of_every_source() {
        let cause = serde_json::from_str::<u8>("\"x\"").unwrap_err();
        let failure = CallError::failure(
            Status::NOT_FOUND.message("no such film"),
            Problem::new(404, "no such film"),
        );
        let cases: [CallError; 2] = [CallError::BadReply(CallErrorReason::of(cause)), failure];
        for error in &cases {
            let source = error.source().expect("a source").to_string();
            assert!(error.to_string().contains(&source), "{error}: {source}");
        }
    }

    #[test]
    fn long_reason_is_cut_between_characters() {
        let error: CallError = CallError::BadReply("é".repeat(100_000).into());
        let text = error.to_string();
        assert!(text.len() < 3000 && text.ends_with("é .."), "{text}");
    }
}
