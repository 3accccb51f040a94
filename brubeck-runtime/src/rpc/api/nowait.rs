//! Calls that are not awaited: their responses go to the response handlers of the application.

use super::sending::PreparedCall;
use super::{
    Call, CallEnd, CallError, CallId, CallSite, CallTarget, CallerContext, ResponseBody, ResponseHandlers,
    ServiceResponse,
};
use futures_util::future::BoxFuture;
use std::fmt;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

impl Call {
    /// Sends the call without waiting for its response.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// #[response_handler("/service/slow")]
    /// async fn on_slow(response: ServiceResponse) {
    ///     tracing::info!("the service is back: {}", response.status);
    /// }
    ///
    /// #[post("/start")]
    /// async fn start(services: Services) -> Result<Status, CallError> {
    ///     let slow = services.register("ipc://run/slow", "my_shared_secret")?;
    ///     slow.request("/service/slow").argument("text", "hi").nowait();
    ///     Ok(Status::new(202))
    /// }
    /// # const ROUTES: Routes<()> = routes![on_slow, start];
    /// ```
    ///
    /// The response handler of this application runs when the response arrives. The returned [`Nowait`] may be dropped,
    /// or awaited to learn whether a worker has accepted the call. If the call fails before that, awaiting returns the
    /// error. Any other error, also that of a dropped `Nowait`, goes to the response handler if it takes a
    /// [`CallResult`](crate::CallResult), and is logged otherwise.
    ///
    /// Stopping the application waits for the response and for the response handler, within the time of [`App::drain`](crate::App::drain).
    /// After that the call is given up, which is logged, and ends with [`ShuttingDown`](CallError::ShuttingDown).
    ///
    /// If no response handler is listed for the path, or if the client belongs to no application, the call is not sent, and
    /// an error is logged unless the `Nowait` is awaited. The application does not even start if it can be seen in the code of a handler that no response
    /// handler is listed for a call; see [`App::start`](crate::App::start).
    ///
    /// # Errors
    ///
    /// Awaiting the returned value returns [`Refused`](CallError::Refused) if the call was not sent for one of these
    /// reasons or because this was called outside of a tokio runtime, and any other error with which the call ended before a worker
    /// accepted it.
    pub fn nowait(self) -> Nowait {
        let (notify_accepted, accepted) = oneshot::channel();
        let (id, site) = (self.id.unwrap_or_else(CallId::new), self.site());
        if let Err(error) = self.start_detached(id, notify_accepted) {
            return Nowait::not_sent(id, site, error);
        }
        Nowait { accepted, id, site }
    }

    /// Starts a call whose response goes to the response handler. Returns an error if the application has no such handler.
    fn start_detached(self, id: CallId, accepted: Accepted) -> Result<(), CallError> {
        let runtime = Handle::try_current().map_err(|_| {
            CallError::Refused(
                "there is no tokio runtime on this thread to wait for the response; make the call in an async function that \
                 tokio runs, or inside of `Runtime::enter`"
                    .into(),
            )
        })?;
        let (handlers, target) = (self.response_handlers()?, CallTarget::of(&self.request));
        let (origin, prepared) = self.prepare();
        let job = JobEnd {
            end: CallEnd::new(id, origin.site()),
            target,
            handlers,
            runtime: runtime.clone(),
        };
        // Counted before the call starts, and until its response handler has returned or its error is with the caller.
        let counted = job.handlers.detached_calls().count();
        runtime.spawn(async move {
            let _counted = counted;
            match prepared {
                Ok(call) => run(call, job, accepted).await,
                Err(error) => drop(accepted.send(Err(Undelivered::new(error, job)))),
            }
        });
        Ok(())
    }

    /// Returns the response handlers of the application. Returns an error if there is no application, or if none of its
    /// response handlers handles the path of this call.
    pub(super) fn response_handlers(&self) -> Result<Arc<dyn ResponseHandlers>, CallError> {
        let refused = |reason: String| Err(CallError::Refused(reason.into()));
        let target = CallTarget::of(&self.request);
        let path = &target.path;
        let Some(CallerContext { handlers, .. }) = self.client.caller.as_deref() else {
            return refused(format!(
                "the client belongs to no application, so the response of {path} would be lost; take the client as a \
                 handler argument, or await the call"
            ));
        };
        if !handlers.handles(&target) {
            return refused(format!(
                "no response handler is listed for {path}, so the response would be lost; list a function with \
                 `#[response_handler(..)]` in `routes!`, or await the call"
            ));
        }
        Ok(handlers.clone())
    }
}

/// Notified when a worker has accepted the call, or when it has ended before.
type Accepted = oneshot::Sender<Result<(), Undelivered>>;

/// Runs a call to its end: notifies `accepted`, then passes the result to the response handler.
async fn run(call: PreparedCall, job: JobEnd, accepted: Accepted) {
    let calls = job.handlers.detached_calls().clone();
    match calls.unless_given_up(call.send_until_accepted()).await {
        Ok(response) => {
            // Fails if the caller has dropped the `Nowait`, which is allowed.
            let _ = accepted.send(Ok(()));
            let result = calls.unless_given_up(response).await;
            job.deliver(result).await;
        }
        // The caller gets the error if it has kept the `Nowait`.
        Err(error) => drop(accepted.send(Err(Undelivered::new(error, job)))),
    }
}

/// The response handler of a call.
struct JobEnd {
    end: CallEnd,
    target: CallTarget,
    handlers: Arc<dyn ResponseHandlers>,
    runtime: Handle,
}

impl JobEnd {
    async fn deliver(self, result: Result<ServiceResponse<ResponseBody>, CallError>) {
        let JobEnd {
            end,
            target,
            handlers,
            ..
        } = self;
        let message = match result {
            Ok(response) => response.into_message(&target, end),
            Err(error) => {
                let error = error.at(end.site.clone());
                let takes_errors = handlers.takes_errors(&target);
                let is_given_up =
                    matches!(error, CallError::ShuttingDown(_)) && handlers.detached_calls().are_given_up();
                if is_given_up || !takes_errors {
                    log(&error);
                }
                if !takes_errors {
                    return;
                }
                end.into_error_message(&target, error)
            }
        };
        // `None` needs no log line here, because the failure of a handler is already logged.
        let calls = handlers.detached_calls().clone();
        let _ = calls.unless_ended(handlers.respond(message)).await;
    }
}

/// The error of a call that no worker has accepted. It goes to the response handler if it is dropped before the caller has taken it.
struct Undelivered {
    error: Option<CallError>,
    /// `None` if the call was not sent.
    job: Option<JobEnd>,
}

impl Undelivered {
    fn new(error: CallError, job: JobEnd) -> Undelivered {
        Undelivered {
            error: Some(error.at(job.end.site.clone())),
            job: Some(job),
        }
    }

    fn take(mut self) -> Option<CallError> {
        self.error.take()
    }
}

impl Drop for Undelivered {
    fn drop(&mut self) {
        let Some(error) = self.error.take() else { return };
        match self.job.take() {
            Some(job) => {
                let runtime = job.runtime.clone();
                let counted = job.handlers.detached_calls().count();
                runtime.spawn(async move {
                    job.deliver(Err(error)).await;
                    drop(counted);
                });
            }
            None => log(&error),
        }
    }
}

fn log(error: &CallError) {
    let trace_id = error.site().trace_id();
    let text = error.without_trace().to_string();
    match error {
        CallError::Refused(_) => tracing::error!(trace_id, error = text, "`nowait` call failed"),
        _ => tracing::warn!(trace_id, error = text, "`nowait` call failed"),
    }
}

/// A call that was sent with [`Call::nowait`] or [`TypedCall::nowait`](super::TypedCall::nowait).
///
/// ```
/// # use brubeck::{CallError, Client};
/// # async fn example(slow: Client) -> Result<(), CallError> {
/// // Does not wait at all.
/// slow.request("/service/slow").argument("text", "hi").nowait();
/// // Waits until a worker has accepted the call, but not for its response.
/// slow.request("/service/slow").argument("text", "hi").nowait().await?;
/// # Ok(()) }
/// ```
///
/// If a `Nowait` is dropped, the call continues. The dialects of the Python original do not acknowledge requests: there a call counts as
/// accepted at once, even before it is sent.
///
/// # Errors
///
/// Awaiting a `Nowait` returns the [`CallError`] with which the call ended before a worker accepted it:
/// [`Refused`](CallError::Refused) if it was not sent, because it is invalid, no response handler is listed for its path, the client
/// belongs to no application, or there is no tokio runtime, and if the service refused it; [`TooLarge`](CallError::TooLarge) if it exceeds
/// a limit; [`NoWorkers`](CallError::NoWorkers), [`Busy`](CallError::Busy) or [`Deadline`](CallError::Deadline) if no worker could take
/// it; [`Lost`](CallError::Lost) if the connection was lost before a worker acknowledged it; and
/// [`ShuttingDown`](CallError::ShuttingDown) if the runtime ended or the drain limit of the application has passed. An error after that goes to the response handler if it
/// takes errors, and is logged otherwise.
pub struct Nowait {
    accepted: oneshot::Receiver<Result<(), Undelivered>>,
    id: CallId,
    site: CallSite,
}

impl Nowait {
    fn not_sent(id: CallId, site: CallSite, error: CallError) -> Nowait {
        let (notify, accepted) = oneshot::channel();
        // Cannot fail: `accepted` is still alive.
        let _ = notify.send(Err(Undelivered {
            error: Some(error.at(site.clone())),
            job: None,
        }));
        Nowait { accepted, id, site }
    }
}

impl fmt::Debug for Nowait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Nowait").field(&self.id).finish()
    }
}

impl IntoFuture for Nowait {
    type Output = Result<CallId, CallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let error = match self.accepted.await {
                Ok(Ok(())) => return Ok(self.id),
                Ok(Err(undelivered)) => undelivered.take(),
                Err(_) => None,
            };
            Err(error.unwrap_or_else(|| CallError::shutting_down().at(self.site)))
        })
    }
}
