//! A client of one service, and the calls that it makes.

use super::{
    CallError, CallTarget, Deadline, Handled, Link, Origin, PendingResponse, ResponseBody, ResponseHandlers,
    ServiceRequest, ServiceResponse,
};
use crate::method::Method;
use crate::trace::Trace;
use futures_util::future::BoxFuture;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{Instrument, Span};

/// The timeout of a call that sets none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of one service. Clones are cheap and share its connections.
///
/// ```no_run
/// use brubeck::prelude::*;
///
/// #[get("^/service/sync")]
/// async fn call_sync(services: Services) -> Result<String, CallError> {
///     let slow = services.register("ipc://run/slow", "my_shared_secret")?;
///     let response = slow.request("/service/slow").argument("RETURN_DATA", "hello").await?;
///     Ok(response.body["RETURN_DATA"].to_string())
/// }
/// ```
///
/// A client from [`Services`](super::Services) belongs to the application: the response handlers of the application run
/// for its [`handled`](Call::handled) and [`nowait`](Call::nowait) calls. Its calls inherit the deadline and the trace of
/// the message that the handler processes. If a call is made after the response to that message was sent, it inherits the
/// deadline of a service call, but not that of a web request.
///
/// A client from [`Client::connect`] belongs to no application: its `nowait` calls are refused, and no response handler runs
/// for its `handled` calls.
#[derive(Clone)]
pub struct Client {
    link: Arc<dyn Link>,
    caller: Option<Arc<CallerContext>>,
}

/// The values that the calls of a handler inherit from the message that it processes, and the response handlers of its
/// application.
pub(crate) struct CallerContext {
    pub(crate) handlers: Arc<dyn ResponseHandlers>,
    pub(crate) origin: Option<Origin>,
    pub(crate) deadline: Deadline,
    /// The hop count of the calls. It is one more than the hop count of the message if the message is a call in brubeck's
    /// protocol, and 0 otherwise.
    pub(crate) hops: u8,
    pub(crate) trace: Trace,
}

impl Client {
    #[doc(hidden)]
    pub fn over(link: Arc<dyn Link>) -> Client {
        Client { link, caller: None }
    }

    pub(crate) fn with_caller(self, caller: Arc<CallerContext>) -> Client {
        Client {
            caller: Some(caller),
            ..self
        }
    }

    /// Returns the address of the service.
    ///
    /// ```
    /// # fn example(slow: brubeck::Client) {
    /// println!("calls go to {}", slow.address()); // tcp://10.0.0.6:9000
    /// # }
    /// ```
    pub fn address(&self) -> &str {
        self.link.address()
    }

    /// Adds a worker of the service, or a host name that stands for several, and connects in the background.
    ///
    /// ```no_run
    /// # fn example(slow: brubeck::Client) -> brubeck::Result {
    /// slow.add_worker("tcp://10.0.0.7:9000")?;
    /// assert!(slow.remove_worker("tcp://10.0.0.6:9000")?);
    /// # Ok(()) }
    /// ```
    ///
    /// Adding an address that is already known has no effect. Clones of this client share its workers, as do all clients of
    /// the service from the [`Services`](super::Services) of one application.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`](crate::Error) if `address` is not a valid endpoint, if the client already has 256 workers, or if the service is
    /// called in a dialect of the Python original. Outside of a tokio runtime, also returns an error if the client is not connected
    /// in any runtime.
    pub fn add_worker(&self, address: &str) -> crate::Result<()> {
        self.link.add_worker(address)
    }

    /// Removes a worker, or all hosts of a host name. They get no further calls; calls in flight finish.
    ///
    /// ```
    /// # fn example(slow: brubeck::Client) -> brubeck::Result {
    /// if !slow.remove_worker("tcp://10.0.0.7:9000")? {
    ///     println!("it was removed before");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// Returns `false` if `address` was not added as it is written here. A single host of a host name cannot be removed.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`](crate::Error) if the service is called in a dialect of the Python original.
    pub fn remove_worker(&self, address: &str) -> crate::Result<bool> {
        self.link.remove_worker(address)
    }

    /// Returns the addresses of the workers in alphabetical order, whether they are connected or not. A host name is listed
    /// as it was added, without its hosts.
    ///
    /// ```
    /// # fn example(slow: brubeck::Client) {
    /// for address in slow.workers() {
    ///     println!("{address}");
    /// }
    /// # }
    /// ```
    pub fn workers(&self) -> Vec<String> {
        self.link.workers()
    }

    /// Creates a call of `path` with the method [`Method::Request`], which is not sent yet.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// async fn echo(slow: Client) -> Result<String, CallError> {
    ///     let response = slow.request("/service/slow").argument("text", "hello").await?;
    ///     Ok(response.body.to_string())
    /// }
    /// ```
    ///
    /// Set its arguments, body, headers and timeout with the methods of [`Call`]. Then await it, or send it with
    /// [`nowait`](Call::nowait). The call fails with [`Refused`](CallError::Refused) if `path` does not start with `/`. The client of a
    /// contract has typed methods instead.
    pub fn request(&self, path: impl Into<String>) -> Call {
        self.send(ServiceRequest::new(path))
    }

    /// Creates a call with this request. It is not sent before the call is awaited or [`nowait`](Call::nowait) is called.
    ///
    /// ```
    /// use brubeck::{CallError, Client, ServiceRequest};
    ///
    /// async fn echo(slow: Client) -> Result<(), CallError> {
    ///     let request = ServiceRequest::new("/service/slow").argument("text", "hello");
    ///     let response = slow.send(request).await?;
    ///     println!("{}", response.status);
    ///     Ok(())
    /// }
    /// ```
    pub fn send(&self, request: impl Into<ServiceRequest>) -> Call {
        Call {
            client: self.clone(),
            request: request.into(),
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.address())
    }
}

/// A call of a service that has not been sent yet.
///
/// ```
/// # use brubeck::{CallError, Client};
/// # use std::time::Duration;
/// # async fn example(slow: Client) -> Result<(), CallError> {
/// // Wait for the response.
/// let response = slow.request("/service/slow").argument("text", "hi").timeout(Duration::from_secs(2)).await?;
/// // Wait for the response and for the output of its response handler.
/// let (response, handled) = slow.request("/service/slow").argument("text", "hi").handled().await?;
/// // Do not wait: the response handler runs when the response arrives.
/// slow.request("/service/slow").argument("text", "hi").nowait();
/// # Ok(()) }
/// ```
///
/// A call that is awaited ends by its deadline with a response or a [`CallError`]. The timeout is 10 seconds unless
/// [`timeout`](Call::timeout) sets another one. Dropping the future cancels the call. The service then stops the handler if it
/// is `async`, and notifies a `blocking` one; the dialects of the Python original can do neither.
///
/// A response whose status is an error is still a response: check [`status`](ServiceResponse::status).
#[must_use = "a call does nothing until it is awaited or sent with `nowait`"]
#[derive(Clone, Debug)]
pub struct Call {
    client: Client,
    request: ServiceRequest,
    timeout: Duration,
}

impl Call {
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Sets the method. The default is [`Method::Request`].
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::Method;
    /// # async fn example(slow: Client) -> Result<(), CallError> {
    /// let response = slow.request("/service/slow").method(Method::Get).await?;
    /// # Ok(()) }
    /// ```
    pub fn method(mut self, method: Method) -> Call {
        self.request = self.request.with_method(method);
        self
    }

    /// Sets a named argument, replacing an argument of the same name.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # async fn example(slow: Client) -> Result<(), CallError> {
    /// let response = slow.request("/service/slow").argument("text", "hello").argument("width", 200).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// The value is sent as JSON. The handler reads it with an [`Arg`](crate::Arg) of this name. A call with a value that cannot be
    /// serialized fails with [`Refused`](CallError::Refused), and so does a call with arguments and a [`body`](Call::body) that is not a
    /// JSON object: see [`ServiceRequest::body`].
    pub fn argument(mut self, name: impl Into<String>, value: impl Serialize) -> Call {
        self.request = self.request.argument(name, value);
        self
    }

    /// Sets a header, replacing a header of the same name.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # async fn example(slow: Client) -> Result<(), CallError> {
    /// let response = slow.request("/service/slow").header("x-tenant", "blue").await?;
    /// # Ok(()) }
    /// ```
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Call {
        self.request = self.request.header(name, value);
        self
    }

    /// Sets the body, which is sent as JSON; see [`ServiceRequest::body`].
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # async fn example(slow: Client) -> Result<(), CallError> {
    /// let response = slow.request("/service/slow").body(vec![1, 2, 3]).await?; // sends [1,2,3]
    /// # Ok(()) }
    /// ```
    pub fn body(mut self, value: impl Serialize) -> Call {
        self.request = self.request.body(value);
        self
    }

    /// Sets the timeout of the whole call, including the wait for a worker and retries. The default is 10 seconds.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use std::time::Duration;
    /// # async fn example(slow: Client) {
    /// match slow.request("/service/slow").timeout(Duration::from_secs(2)).await {
    ///     Err(CallError::Deadline { phase }) => println!("no response in two seconds: {phase:?}"),
    ///     other => println!("{other:?}"),
    /// }
    /// # }
    /// ```
    ///
    /// A call that has no response by then fails with [`CallError::Deadline`], whose [`Phase`](crate::Phase) says whether the handler may have run.
    ///
    /// The timeout starts when the call is awaited or sent with [`nowait`](Call::nowait). A call that a handler makes also
    /// ends at the [`Deadline`](super::Deadline) of the handler, if that is earlier. A timeout that is too long for an
    /// `Instant`, such as `Duration::MAX`, becomes one hour.
    pub fn timeout(mut self, timeout: Duration) -> Call {
        self.timeout = timeout;
        self
    }

    /// Returns the request without sending it.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # async fn example(slow: Client) -> Result<(), CallError> {
    /// let request = slow.request("/service/slow").argument("text", "hello").into_request();
    /// assert_eq!(request.arguments()["text"], "hello");
    /// # Ok(()) }
    /// ```
    pub fn into_request(self) -> ServiceRequest {
        self.request
    }

    /// Also waits for the response handler of this application, and returns its output.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[response_handler("/service/slow")]
    /// async fn on_slow(response: ServiceResponse<String>) -> usize {
    ///     response.body.len()
    /// }
    ///
    /// #[get("/length")]
    /// async fn length(services: Services) -> Result<String, CallError> {
    ///     let slow = services.register("ipc://run/slow", "my_shared_secret")?;
    ///     let (response, handled) = slow.request("/service/slow").handled().await?;
    ///     Ok(format!("{} has {:?} bytes", response.body, handled.downcast::<usize>()))
    /// }
    /// # const ROUTES: Routes<()> = routes![on_slow, length];
    /// ```
    ///
    /// The first response handler that matches the path runs. The output is [`Handled::NONE`] if there is none, if it rejected the
    /// response or panicked, or if the client belongs to no application. The [`timeout`](Call::timeout) does not limit the response
    /// handler. [`TypedCall::handled_by`](super::TypedCall::handled_by) is the form with a contract.
    ///
    /// # Errors
    ///
    /// Awaiting the returned value returns a [`CallError`], as awaiting the call does. No response handler runs then.
    pub fn handled(self) -> HandledCall {
        HandledCall { call: self }
    }

    /// Marks the call as idempotent, so that it may be retried; see [`ServiceRequest::idempotent`].
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # async fn example(slow: Client) -> Result<(), CallError> {
    /// let response = slow.request("/service/slow").idempotent().await?;
    /// # Ok(()) }
    /// ```
    pub fn idempotent(mut self) -> Call {
        self.request = self.request.idempotent();
        self
    }

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
    /// or awaited to learn whether a worker has accepted the call. A call that fails is logged in either case. Stopping the
    /// application does not wait for the response.
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
        match runtime.and_then(|runtime| Ok((runtime, self.response_handlers()?))) {
            Ok((runtime, handlers)) => {
                runtime.spawn(self.run_detached(handlers, notify_accepted));
            }
            Err(error) => {
                let (address, path) = (self.client.address(), self.request.path());
                tracing::error!(address, path, %error, "`nowait` call not sent");
                // Cannot fail: `accepted` is still alive.
                let _ = notify_accepted.send(Err(error));
            }
        }
        Nowait { accepted }
    }

    /// Runs a `nowait` call to its end: notifies `accepted`, then passes the response to `handlers`.
    async fn run_detached(
        self,
        handlers: Arc<dyn ResponseHandlers>,
        accepted: oneshot::Sender<Result<(), CallError>>,
    ) {
        let (address, target) = (self.client.address().to_owned(), CallTarget::of(&self.request));
        let log_failure = |error: &CallError| {
            tracing::warn!(%address, path = target.path, %error, "`nowait` call failed");
        };
        // Sending to `accepted` fails if the caller has dropped the `Nowait`, which is allowed.
        let response = match self.start_until_accepted().await {
            Ok(response) => {
                let _ = accepted.send(Ok(()));
                response
            }
            Err(error) => {
                log_failure(&error);
                let _ = accepted.send(Err(error));
                return;
            }
        };
        match response.await {
            Ok(response) => {
                // `None` needs no log line here, because the failure of a handler is already logged.
                let _ = handlers.respond(response.into_message(&target)).await;
            }
            Err(error) => log_failure(&error),
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

    /// Starts the call and returns the future of its response.
    pub(crate) fn start(self) -> PendingResponse {
        let prepared = match self.prepare() {
            Ok(prepared) => prepared,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let span = prepared.span();
        let PreparedCall {
            link,
            request,
            origin,
            deadline,
        } = prepared;
        #[cfg(feature = "metrics")]
        let started = std::time::Instant::now();
        let response = link.call(request, origin, deadline);
        #[cfg(feature = "metrics")]
        let response = record(&*link, started, response);
        // `instrument` needs another box, which calls without a trace subscriber should not pay for.
        if span.is_disabled() {
            response
        } else {
            Box::pin(response.instrument(span))
        }
    }

    /// Starts the call and waits until a worker has accepted it. Returns the future of its response.
    async fn start_until_accepted(self) -> Result<PendingResponse, CallError> {
        let prepared = self.prepare()?;
        let span = prepared.span();
        let PreparedCall {
            link,
            request,
            origin,
            deadline,
        } = prepared;
        // The recorded time includes the wait for a worker.
        #[cfg(feature = "metrics")]
        let started = std::time::Instant::now();
        let accepted = link
            .post(request, origin, deadline)
            .instrument(span.clone())
            .await;
        #[cfg(feature = "metrics")]
        let accepted = match accepted {
            Ok(response) => Ok(record(&*link, started, response)),
            Err(error) => {
                super::metrics::record_failed_call(link.address().to_owned(), started, &error);
                Err(error)
            }
        };
        Ok(Box::pin(accepted?.instrument(span)))
    }

    /// Computes the deadline of the call, and adds hop count and trace to the request. Returns an error if the request is not
    /// valid.
    fn prepare(self) -> Result<PreparedCall, CallError> {
        if let Some(reason) = self.request.invalid_reason() {
            return Err(CallError::Refused(reason.to_owned().into()));
        }
        let now = Instant::now();
        // The sum overflows only for timeouts such as `Duration::MAX`. One hour stands for them, as documented.
        let own_deadline = now
            .checked_add(self.timeout)
            .unwrap_or(now + Duration::from_secs(3600));
        let (origin, deadline, request) = match self.client.caller.as_deref() {
            Some(caller) => (
                caller.origin.clone(),
                caller.deadline.or_sooner(own_deadline),
                self.request.with_trace(caller.hops, caller.trace.child()),
            ),
            None => (
                None,
                own_deadline,
                self.request.with_trace(0, Trace::new_root(false)),
            ),
        };
        Ok(PreparedCall {
            link: self.client.link,
            request,
            origin,
            deadline,
        })
    }
}

/// A call that is ready to be passed to its link.
struct PreparedCall {
    link: Arc<dyn Link>,
    request: ServiceRequest,
    origin: Option<Origin>,
    deadline: Instant,
}

impl PreparedCall {
    /// Returns the `tracing` span of the call.
    fn span(&self) -> Span {
        tracing::info_span!(
            "call",
            service = self.link.address(),
            path = self.request.path(),
            traceparent = self.request.trace().map(tracing::field::debug),
        )
    }
}

#[cfg(feature = "metrics")]
fn record(link: &dyn Link, started: std::time::Instant, response: PendingResponse) -> PendingResponse {
    Box::pin(super::metrics::record_call(
        link.address().to_owned(),
        started,
        response,
    ))
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
/// [`ShuttingDown`](CallError::ShuttingDown) if the runtime ended. An error after that is only logged.
#[derive(Debug)]
pub struct Nowait {
    accepted: oneshot::Receiver<Result<(), CallError>>,
}

impl IntoFuture for Nowait {
    type Output = Result<(), CallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.accepted.await.unwrap_or(Err(CallError::ShuttingDown)) })
    }
}

impl IntoFuture for Call {
    type Output = Result<ServiceResponse, CallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let response = self.start();
        Box::pin(async move { Ok(response.await?.decode()?) })
    }
}

/// A call whose response handler is awaited too; see [`Call::handled`].
///
/// ```
/// # use brubeck::{CallError, Client};
/// # async fn example(slow: Client) -> Result<(), CallError> {
/// let (response, handled) = slow.request("/service/slow").handled().await?;
/// let length: Option<usize> = handled.downcast();
/// # Ok(()) }
/// ```
///
/// Awaiting it returns the response and the output of the handler, which is [`Handled::NONE`] if no handler ran to its end.
#[must_use = "a call does nothing until it is awaited"]
#[derive(Debug)]
pub struct HandledCall {
    call: Call,
}

impl HandledCall {
    /// Runs the call and its response handler.
    ///
    /// Returns the response and the output of the handler, which is `None` if the client belongs to no application or if
    /// no handler ran to its end.
    pub(crate) async fn run(self) -> Result<(ServiceResponse<ResponseBody>, Option<Handled>), CallError> {
        let handlers = self
            .call
            .client
            .caller
            .as_ref()
            .map(|caller| caller.handlers.clone());
        let target = CallTarget::of(&self.call.request);
        let response = self.call.start().await?;
        let handled = match handlers {
            Some(handlers) => handlers.respond(response.clone().into_message(&target)).await,
            None => None,
        };
        Ok((response, handled))
    }
}

impl IntoFuture for HandledCall {
    type Output = Result<(ServiceResponse, Handled), CallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (response, handled) = self.run().await?;
            Ok((response.decode()?, handled.unwrap_or(Handled::NONE)))
        })
    }
}
