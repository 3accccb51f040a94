//! Calls that nobody waits for: their responses go to the response handlers of the application.

use super::call_site::CallOrigin;
use super::sending::PreparedCall;
use super::{Call, CallError, CallSite, CallTarget, CallerContext, ResponseHandlers};
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
    /// or awaited to learn whether a worker has accepted the call. A call that fails is logged, unless awaiting the `Nowait` has returned the
    /// error. Stopping the application does not wait for the response.
    ///
    /// If no response handler is listed for the path, or if the client belongs to no application, the call is not sent and
    /// an error is logged. The application does not even start if it can be seen in the code of a handler that no response
    /// handler is listed for a call; see [`App::start`](crate::App::start).
    ///
    /// # Errors
    ///
    /// Awaiting the returned value returns [`Refused`](CallError::Refused) if the call was not sent for one of these
    /// reasons or because this was called outside of a tokio runtime, and any other error with which the call ended before a worker
    /// accepted it.
    pub fn nowait(self) -> Nowait {
        let (notify_accepted, accepted) = oneshot::channel();
        let runtime = Handle::try_current().map_err(|_| {
            CallError::Refused(
                "there is no tokio runtime on this thread to wait for the response; make the call in an async function that \
                 tokio runs, or inside of `Runtime::enter`"
                    .into(),
            )
        });
        let (target, site) = (CallTarget::of(&self.request), self.site());
        let started = runtime.and_then(|runtime| {
            let handlers = self.response_handlers()?;
            let (origin, prepared) = self.prepare();
            let call = DetachedCall {
                call: prepared?,
                origin,
                target,
                handlers,
            };
            runtime.spawn(call.run(notify_accepted));
            Ok(())
        });
        Nowait {
            acceptance: match started {
                Ok(()) => Acceptance::Pending(accepted),
                Err(error) => Acceptance::NotSent(Some(error.at(site.clone()))),
            },
            site,
        }
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

/// A call whose response goes to a response handler.
struct DetachedCall {
    call: PreparedCall,
    origin: CallOrigin,
    target: CallTarget,
    handlers: Arc<dyn ResponseHandlers>,
}

impl DetachedCall {
    /// Runs the call to its end: notifies `accepted`, then passes the response to the response handler.
    async fn run(self, accepted: oneshot::Sender<Result<(), CallError>>) {
        let response = match self.call.send_until_accepted().await {
            Ok(response) => {
                // Fails if the caller has dropped the `Nowait`, which is allowed.
                let _ = accepted.send(Ok(()));
                response
            }
            Err(error) => {
                // The caller gets the error if it has kept the `Nowait`.
                if let Err(Err(error)) = accepted.send(Err(error.at(self.origin.site()))) {
                    log(&error);
                }
                return;
            }
        };
        match response.await {
            Ok(response) => {
                // `None` needs no log line here, because the failure of a handler is already logged.
                let _ = self.handlers.respond(response.into_message(&self.target)).await;
            }
            Err(error) => log(&error.at(self.origin.site())),
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
/// [`ShuttingDown`](CallError::ShuttingDown) if the runtime ended. An error after that is logged.
pub struct Nowait {
    acceptance: Acceptance,
    site: CallSite,
}

enum Acceptance {
    /// The error is `None` after it has been returned.
    NotSent(Option<CallError>),
    Pending(oneshot::Receiver<Result<(), CallError>>),
}

impl fmt::Debug for Nowait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Nowait").field(&self.site).finish()
    }
}

impl IntoFuture for Nowait {
    type Output = Result<(), CallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move {
            match &mut self.acceptance {
                Acceptance::NotSent(error) => error.take().map_or(Ok(()), Err),
                Acceptance::Pending(accepted) => accepted
                    .await
                    .unwrap_or_else(|_| Err(CallError::shutting_down().at(self.site.clone()))),
            }
        })
    }
}

/// Logs the error that the caller has not asked for.
impl Drop for Nowait {
    fn drop(&mut self) {
        let error = match &mut self.acceptance {
            Acceptance::NotSent(error) => error.take(),
            Acceptance::Pending(accepted) => {
                accepted.close();
                accepted.try_recv().ok().and_then(Result::err)
            }
        };
        if let Some(error) = error {
            log(&error);
        }
    }
}
