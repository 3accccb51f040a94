//! The calling side: a client of one service, and its calls.

use super::{
    CallError, Deadline, Handled, Link, Origin, PendingResponse, ResponseHandlers, ServiceRequest,
    ServiceResponse,
};
use crate::method::Method;
use crate::trace::Trace;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Instrument;

/// How long a call may take where nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client of one service; cloning is cheap.
///
/// ```no_run
/// use brubeck::prelude::*;
///
/// #[get("^/service/sync")]
/// async fn call_sync(services: Services) -> Result<String, CallError> {
///     let slow = services.register("ipc://run/slow", "my_shared_secret")?;
///     let reply = slow.request("/service/slow").argument("RETURN_DATA", "hello").await?;
///     Ok(reply.body["RETURN_DATA"].to_string())
/// }
/// ```
///
/// One from [`Services`](super::Services) belongs to the application: its response handlers run for
/// [`handled`](Call::handled) and [`nowait`](Call::nowait).
#[derive(Clone)]
pub struct Client {
    link: Arc<dyn Link>,
    caller: Option<Arc<CallerContext>>,
}

/// On whose behalf calls are made.
pub(crate) struct CallerContext {
    pub(crate) handlers: Arc<dyn ResponseHandlers>,
    pub(crate) origin: Option<Origin>,
    pub(crate) deadline: Deadline,
    pub(crate) hops: u8,
    pub(crate) trace: Trace,
}

impl Client {
    /// A client over this link, that belongs to no application.
    pub fn over(link: Arc<dyn Link>) -> Client {
        Client { link, caller: None }
    }

    pub(crate) fn with_caller(self, caller: Arc<CallerContext>) -> Client {
        Client {
            caller: Some(caller),
            ..self
        }
    }

    /// The address of the service.
    pub fn address(&self) -> &str {
        self.link.address()
    }

    /// Sends calls to the process at this address, too, from now on. One that is known already changes nothing.
    ///
    /// ```no_run
    /// # fn example(slow: brubeck::Client) -> brubeck::Result {
    /// slow.add_worker("tcp://10.0.0.7:9000")?;
    /// assert!(slow.remove_worker("tcp://10.0.0.6:9000")?);
    /// # Ok(()) }
    /// ```
    ///
    /// All clients of the service in this application share its processes.
    ///
    /// # Errors
    ///
    /// The address is none, it would be the 257th, or the service is spoken to in a dialect of the original.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn add_worker(&self, address: &str) -> crate::Result<()> {
        self.link.add_worker(address)
    }

    /// Sends the process at this address no more calls; those that are on their way finish. Returns whether the
    /// address was known.
    ///
    /// # Errors
    ///
    /// The service is spoken to in a dialect of the original.
    pub fn remove_worker(&self, address: &str) -> crate::Result<bool> {
        self.link.remove_worker(address)
    }

    /// The addresses that calls are sent to.
    pub fn workers(&self) -> Vec<String> {
        self.link.workers()
    }

    /// A call of this path, to be awaited or sent with [`nowait`](Call::nowait).
    pub fn request(&self, path: impl Into<String>) -> Call {
        self.send(ServiceRequest::new(path))
    }

    /// A call that sends this request.
    pub fn send(&self, request: impl Into<ServiceRequest>) -> Call {
        Call {
            client: self.clone(),
            request: request.into(),
            timeout: TIMEOUT,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.address())
    }
}

/// One call, not sent yet.
///
/// ```
/// # use brubeck::{CallError, Client};
/// # use std::time::Duration;
/// # async fn example(slow: Client) -> Result<(), CallError> {
/// // wait for the answer
/// let reply = slow.request("/service/slow").argument("text", "hi").timeout(Duration::from_secs(2)).await?;
/// // also for what the response handler of this application makes of it
/// let (reply, handled) = slow.request("/service/slow").argument("text", "hi").handled().await?;
/// // or do not wait: the response handler runs when the answer comes
/// slow.request("/service/slow").argument("text", "hi").nowait();
/// # Ok(()) }
/// ```
///
/// A call that is waited for ends by its deadline (10 seconds unless set), in an answer or a
/// [`CallError`]. Dropping the future gives it up. An answer whose status is a failure is still an
/// answer: look at its `status`.
#[must_use = "a call does nothing until it is awaited or sent with `nowait`"]
#[derive(Clone, Debug)]
pub struct Call {
    client: Client,
    request: ServiceRequest,
    timeout: Duration,
}

impl Call {
    /// Another method than `request`.
    pub fn method(mut self, method: Method) -> Call {
        self.request = self.request.with_method(method);
        self
    }

    /// Adds a named argument, or replaces it.
    pub fn argument(mut self, name: impl Into<String>, value: impl Serialize) -> Call {
        self.request = self.request.argument(name, value);
        self
    }

    /// Adds a header, or replaces it.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Call {
        self.request = self.request.header(name, value);
        self
    }

    /// Sets the body, which becomes JSON; see [`ServiceRequest::body`].
    pub fn body(mut self, value: impl Serialize) -> Call {
        self.request = self.request.body(value);
        self
    }

    /// How long it may take in all, from now on.
    pub fn timeout(mut self, timeout: Duration) -> Call {
        self.timeout = timeout;
        self
    }

    /// The request as it would go out.
    pub fn into_request(self) -> ServiceRequest {
        self.request
    }

    /// Waits for the answer and for what the response handler of this application makes of it.
    pub fn handled(self) -> HandledCall {
        HandledCall { call: self }
    }

    /// Says that it does no harm to do it twice; see [`ServiceRequest::idempotent`].
    pub fn idempotent(mut self) -> Call {
        self.request = self.request.idempotent();
        self
    }

    /// Sends the request and does not wait for its answer: the response handler of this application runs
    /// when it comes. What is returned may be awaited, to know that a process of the service has taken the
    /// call, or dropped; a call that fails is logged in any case.
    ///
    /// Without a response handler for its path it is not sent: the application does not start where the text of a handler
    /// shows that ([`App::start`](crate::App::start)), and an error is logged otherwise.
    ///
    /// # Errors
    ///
    /// When awaited: why no process took the call. [`Refused`](CallError::Refused) where no response handler
    /// is listed for the path, because nobody would ever see the answer.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn nowait(self) -> Nowait {
        let (tell, taken) = oneshot::channel();
        let handlers = match self.response_handlers() {
            Ok(handlers) => handlers,
            Err(error) => {
                let (address, path) = (self.client.address(), self.request.path());
                tracing::error!(address, path, %error, "a call with `nowait` was not sent");
                // It is there for as long as `taken` is.
                let _ = tell.send(Err(error));
                return Nowait { taken };
            }
        };
        tokio::spawn(async move {
            let (address, path) = (self.client.address().to_owned(), self.request.path().to_owned());
            let failed = |error: &CallError| {
                tracing::warn!(%address, path, %error, "a call that nobody waits for failed");
            };
            let placed = match self.post().await {
                Ok(placed) => placed,
                Err(error) => {
                    failed(&error);
                    let _ = tell.send(Err(error));
                    return;
                }
            };
            // Nobody listens where the caller has dropped what `nowait` returned.
            let _ = tell.send(Ok(()));
            match placed.await {
                Ok(answer) => {
                    // A handler that refuses has said so in the log.
                    let _ = handlers.respond(answer.into_message(&path)).await;
                }
                Err(error) => failed(&error),
            }
        });
        Nowait { taken }
    }

    /// Those who take the answer of a call that nobody waits for.
    fn response_handlers(&self) -> Result<Arc<dyn ResponseHandlers>, CallError> {
        let refused = |reason: String| Err(CallError::Refused(reason.into()));
        let path = self.request.path();
        let Some(CallerContext { handlers, .. }) = self.client.caller.as_deref() else {
            return refused(format!(
                "this client belongs to no application, so nobody would take the answer of {path}; take the client as a \
                 handler argument, or await the call"
            ));
        };
        if !handlers.handles(path) {
            return refused(format!(
                "no response handler is listed for {path}, so nobody would take the answer; list a function with \
                 `#[response_handler(..)]` in `routes!`, or await the call"
            ));
        }
        Ok(handlers.clone())
    }

    async fn post(self) -> Result<PendingResponse, CallError> {
        let (link, request, origin, deadline) = self.ready()?;
        let span = span(&*link, &request);
        let placed = link
            .post(request, origin, deadline)
            .instrument(span.clone())
            .await;
        #[cfg(feature = "metrics")]
        let placed = match placed {
            Ok(placed) => {
                let answer = super::metrics::call(link.address().to_owned(), placed);
                Ok(Box::pin(answer) as PendingResponse)
            }
            Err(error) => {
                let failed = std::future::ready(Err(error.clone()));
                let _ = super::metrics::call(link.address().to_owned(), failed).await;
                Err(error)
            }
        };
        Ok(Box::pin(placed?.instrument(span)))
    }

    /// Sends the request and brings what answers it.
    pub(crate) fn carry(self) -> PendingResponse {
        match self.ready() {
            Ok((link, request, origin, deadline)) => {
                let span = span(&*link, &request);
                let answer = link.call(request, origin, deadline);
                #[cfg(feature = "metrics")]
                let answer = Box::pin(super::metrics::call(link.address().to_owned(), answer));
                match span.is_disabled() {
                    true => answer,
                    false => Box::pin(answer.instrument(span)),
                }
            }
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    /// What the link needs; the deadline is never later than that of the message on whose behalf it is made.
    fn ready(self) -> Result<Departure, CallError> {
        if let Some(mistake) = self.request.mistake() {
            return Err(CallError::Refused(mistake.to_owned().into()));
        }
        let now = Instant::now();
        // A deadline beyond what the clock can tell is no deadline that anybody will see.
        let own = now
            .checked_add(self.timeout)
            .unwrap_or(now + Duration::from_secs(3600));
        let (origin, deadline, request) = match self.client.caller.as_deref() {
            Some(caller) => (
                caller.origin.clone(),
                caller.deadline.or_sooner(own),
                self.request.with_trace(caller.hops, caller.trace.child()),
            ),
            None => (None, own, self.request.with_trace(0, Trace::new_root())),
        };
        Ok((self.client.link, request, origin, deadline))
    }
}

/// What happens on behalf of a call, for whoever collects traces.
fn span(link: &dyn Link, request: &ServiceRequest) -> tracing::Span {
    tracing::info_span!(
        "call",
        service = link.address(),
        path = request.path(),
        traceparent = request.trace().map(tracing::field::debug),
    )
}

/// A request with the link it takes, the message on whose behalf it is made, and its deadline.
type Departure = (Arc<dyn Link>, ServiceRequest, Option<Origin>, Instant);

/// A call that was sent without waiting for its answer; awaited, it says whether a process has taken it.
///
/// ```
/// # use brubeck::{CallError, Client};
/// # async fn example(slow: Client) -> Result<(), CallError> {
/// slow.request("/service/slow").argument("text", "hi").nowait().await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Nowait {
    taken: oneshot::Receiver<Result<(), CallError>>,
}

impl IntoFuture for Nowait {
    type Output = Result<(), CallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.taken.await.unwrap_or(Err(CallError::ShuttingDown)) })
    }
}

impl IntoFuture for Call {
    type Output = Result<ServiceResponse, CallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let answer = self.carry();
        Box::pin(async move { Ok(answer.await?.read()?) })
    }
}

/// A call that is waited for together with its response handler.
#[must_use = "a call does nothing until it is awaited"]
#[derive(Debug)]
pub struct HandledCall {
    call: Call,
}

impl HandledCall {
    /// The answer, and what the response handler returned (`None`: the client belongs to no application).
    pub(crate) async fn carry(self) -> Result<(ServiceResponse<Bytes>, Option<Handled>), CallError> {
        let handlers = self
            .call
            .client
            .caller
            .as_ref()
            .map(|caller| caller.handlers.clone());
        let path = self.call.request.path().to_owned();
        let answer = self.call.carry().await?;
        let handled = match handlers {
            Some(handlers) => handlers.respond(answer.clone().into_message(&path)).await,
            None => None,
        };
        Ok((answer, handled))
    }
}

impl IntoFuture for HandledCall {
    type Output = Result<(ServiceResponse, Handled), CallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (answer, handled) = self.carry().await?;
            Ok((answer.read()?, handled.unwrap_or(Handled::NONE)))
        })
    }
}
