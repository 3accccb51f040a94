//! A call of a path that has not been sent yet.

use super::{CallError, CallErrorReason, CallId, Client, HandledCall, ServiceRequest, ServiceResponse};
use crate::method::Method;
use futures_util::future::BoxFuture;
use serde::Serialize;
use std::time::Duration;

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
    pub(super) client: Client,
    pub(super) request: ServiceRequest,
    pub(super) timeout: Duration,
    /// `None` for a new one.
    pub(super) id: Option<CallId>,
}

impl Call {
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

    /// Sets a header, replacing a header of the same name, in any case.
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
    ///     Err(CallError::Deadline { phase, .. }) => println!("no response in two seconds: {phase:?}"),
    ///     other => println!("{other:?}"),
    /// }
    /// # }
    /// ```
    ///
    /// A call that has no response by then fails with [`CallError::Deadline`], whose [`Phase`](crate::Phase) says whether the handler may have run.
    ///
    /// The timeout starts when the call is awaited or sent with [`nowait`](Call::nowait). A call that a handler makes also
    /// ends at the [`Deadline`](super::Deadline) of the handler, if that is earlier. A longer timeout than 49.7 days
    /// (2^32 milliseconds), such as `Duration::MAX`, counts as 49.7 days.
    pub fn timeout(mut self, timeout: Duration) -> Call {
        self.timeout = timeout;
        self
    }

    /// Sets the ID of a call that is not awaited. The default is a new one, which [`nowait`](Call::nowait) returns.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::CallId;
    /// # async fn example(slow: Client) -> Result<(), CallError> {
    /// let id = CallId::new(); // to be stored before the response handler can run
    /// slow.request("/service/slow").id(id).nowait().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// The response handler takes it as an argument: see [`CallId`].
    pub fn id(mut self, id: CallId) -> Call {
        self.id = Some(id);
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
    ///
    /// The request has the path, the arguments, the body and the headers of the call, but neither its timeout nor its
    /// [`id`](Call::id). Send it with [`Client::send`](super::Client::send), which starts with a timeout of 10 seconds.
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
    /// The first response handler that matches the path runs. The output is [`Handled::NONE`](super::Handled::NONE) if no handler matches, if it rejected the
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
}

impl Call {
    /// Waits for the response, and returns its body as text.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # async fn example(python: Client) -> Result<(), CallError> {
    /// let response = python.request("/service/greet").text().await?;
    /// println!("{}", response.body);
    /// # Ok(()) }
    /// ```
    ///
    /// Use it for services in other languages that respond with plain text instead of JSON. A body that is a JSON string is the string without
    /// its quotes; any other body is returned as it was received. Bytes in the body are arrays of numbers.
    ///
    /// # Errors
    ///
    /// As awaiting the call, and [`BadReply`](CallError::BadReply) if the body is not UTF-8.
    pub async fn text(self) -> Result<ServiceResponse<String>, CallError> {
        let mut sent = self.start();
        let response = (&mut sent).await?;
        sent.decode(response, |response| {
            let body = response.body.json();
            let text = match serde_json::from_slice::<String>(&body) {
                Ok(text) => text,
                Err(_) => String::from_utf8(body.into()).map_err(|error| {
                    let reason = format!("the body of the response is not UTF-8: {error}");
                    CallError::BadReply(CallErrorReason::because(reason, error))
                })?,
            };
            Ok(ServiceResponse {
                status: response.status,
                headers: response.headers,
                body: text,
            })
        })
    }
}

impl IntoFuture for Call {
    type Output = Result<ServiceResponse, CallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let mut sent = self.start();
        Box::pin(async move {
            let response = (&mut sent).await?;
            sent.decode(response, |response| Ok(response.decode()?))
        })
    }
}
