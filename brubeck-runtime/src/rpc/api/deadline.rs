//! The deadline and the cancellation of a running handler.

use crate::message::Message;
use crate::scope::RequestScope;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The instant by which a handler must have responded, as a handler argument. An `async` handler is stopped then.
///
/// ```
/// use brubeck::Deadline;
/// use brubeck::prelude::*;
///
/// #[service_handler(path = "^/search", method = "request")]
/// async fn search(text: Arg<String>, deadline: Deadline) -> String {
///     match deadline.remaining() {
///         Some(remaining) => format!("{} within {remaining:?}", text.0),
///         None => format!("{} without a deadline", text.0),
///     }
/// }
/// ```
///
/// Callers of a service send the remaining time as a duration, so the clocks of caller and service need not agree.
/// Handlers of web requests have the timeout of their [route](crate::Limits::timeout) or of the
/// [application](crate::App::timeout). Calls that a handler makes inherit its deadline.
///
/// The deadline ends with the handler of a call, and with the response to a web request. A task that goes on after that has no
/// deadline, and the calls that it makes then have their own timeouts only.
///
/// A stream or WebSocket that a web handler leaves running has no deadline. Neither has a call of a Python client, because
/// the dialects do not transmit one, nor a response handler.
///
/// Two timeouts are enforced but not visible here. One is the timeout of a web handler with an [`Upload`](crate::Upload): it
/// starts when the body has been read. The other is the timeout that [`Limits`](crate::Limits::timeout) set for a service
/// handler.
#[derive(Clone, Debug)]
pub struct Deadline(Option<Limit>);

#[derive(Clone, Debug)]
struct Limit {
    at: Instant,
    request: RequestState,
}

/// The request or the call that has set a deadline, which ends with it.
#[derive(Clone, Debug)]
enum RequestState {
    Web(Arc<RequestScope>),
    Call(Cancellation),
}

impl RequestState {
    fn has_ended(&self) -> bool {
        match self {
            RequestState::Web(scope) => scope.is_finished(),
            RequestState::Call(handler) => handler.is_cancelled(),
        }
    }
}

impl Deadline {
    /// No deadline, for a test that calls a handler as a function.
    ///
    /// ```
    /// use brubeck::Deadline;
    ///
    /// assert_eq!(Deadline::NONE.remaining(), None);
    /// ```
    ///
    /// As an argument, a handler without a deadline gets a value that is equal to it in effect.
    pub const NONE: Deadline = Deadline(None);

    /// Returns the deadline of a handler. It is the deadline of `scope` if there is one, and that of `message` otherwise.
    ///
    /// The timeout of the scope starts now unless it has started before. `handler` returns the signal that the handler has ended.
    pub(crate) fn for_handler(
        scope: Option<&Arc<RequestScope>>,
        message: &Message,
        handler: impl FnOnce() -> Cancellation,
    ) -> Deadline {
        let from_scope = scope.and_then(|scope| {
            Some(Limit {
                at: scope.deadline()?,
                request: RequestState::Web(scope.clone()),
            })
        });
        let from_message = || {
            Some(Limit {
                at: message.deadline()?,
                request: RequestState::Call(handler()),
            })
        };
        Deadline(from_scope.or_else(from_message))
    }

    /// Returns the remaining time, or `None` if there is no deadline: see the example of [`Deadline`].
    ///
    /// The result is zero once the deadline has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.instant()
            .map(|at| at.saturating_duration_since(Instant::now()))
    }

    fn instant(&self) -> Option<Instant> {
        let limit = self.0.as_ref()?;
        (!limit.request.has_ended()).then_some(limit.at)
    }

    /// Returns the earlier of this deadline and `other`.
    pub(crate) fn or_sooner(&self, other: Instant) -> Instant {
        self.instant().map_or(other, |at| at.min(other))
    }
}

/// Reports whether the response of a handler is still needed, as a handler argument.
///
/// ```
/// use brubeck::Cancellation;
/// use brubeck::prelude::*;
///
/// #[service_handler(path = "^/primes", blocking, concurrency = 2)]
/// fn primes(below: Arg<u64>, cancellation: Cancellation) -> Json<Vec<u64>> {
///     let is_prime = |n: &u64| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0);
///     let candidates = (2..below.0).take_while(|_| !cancellation.is_cancelled());
///     Json(candidates.filter(is_prime).collect())
/// }
///
/// #[service_handler(path = "^/report")]
/// async fn report(cancellation: Cancellation) -> &'static str {
///     tokio::spawn(async move {
///         tokio::select! {
///             () = cancellation.cancelled() => {}
///             () = std::future::pending() => {} // work that is only useful until the response is sent
///         }
///     });
///     "the report"
/// }
/// ```
///
/// A `Cancellation` is for work that cannot be stopped from outside: the work of a `blocking` handler, and work that a handler
/// moves to another task or thread. An `async` handler itself is dropped at its next `.await` when its deadline passes, or
/// when its caller cancels the call or disconnects.
#[derive(Clone, Debug)]
pub struct Cancellation(pub(crate) watch::Receiver<()>);

impl Cancellation {
    /// Returns `true` if the handler has been stopped or has finished: see the example of [`Cancellation`].
    ///
    /// This is cheap enough to be called in an inner loop.
    pub fn is_cancelled(&self) -> bool {
        self.0.has_changed().is_err()
    }

    /// Waits until the handler is stopped or finishes. Completes at once if it has finished already.
    ///
    /// ```
    /// use brubeck::Cancellation;
    /// use brubeck::prelude::*;
    ///
    /// # async fn build_report() -> String { String::new() }
    /// #[service_handler(path = "^/report")]
    /// async fn report(cancellation: Cancellation) -> Result<String, Status> {
    ///     let work = tokio::spawn(async move {
    ///         tokio::select! {
    ///             report = build_report() => Some(report),
    ///             () = cancellation.cancelled() => None, // the caller does not need the report any more
    ///         }
    ///     });
    ///     work.await.ok().flatten().ok_or(Status::INTERNAL_SERVER_ERROR)
    /// }
    /// ```
    ///
    /// A handler is stopped when its deadline passes, and when its caller cancels the call or disconnects. This method is cancel safe.
    pub async fn cancelled(&self) {
        // Nothing is ever sent. The context of the handler holds the sender, and `changed` fails when it is dropped.
        while self.0.clone().changed().await.is_ok() {}
    }
}
