//! Calls of the operations of a contract.

use super::decode::decode_response;
use super::sending::SentCall;
use super::{Call, CallError, CallId, Client, Handles, Nowait, Operation, ServiceRequest, ServiceResponse};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{self, Poll, ready};
use std::time::Duration;

/// A call of a contract's operation that has not been sent yet.
///
/// ```
/// use brubeck::prelude::*;
/// use std::time::Duration;
///
/// #[service_client]
/// pub trait SlowEcho {
///     #[call("/service/slow", timeout = "5s")]
///     async fn echo(&self, text: String) -> Result<String, Problem>;
/// }
///
/// #[response_handler(slow_echo::echo)]
/// async fn on_slow(response: ServiceResponse<String>) -> usize {
///     response.body.len()
/// }
///
/// # async fn example(slow: SlowEchoClient) -> Result<(), CallError> {
/// // Wait for the response, and get its body: the type of the contract.
/// let text: String = slow.echo("hi".into()).timeout(Duration::from_secs(2)).await?;
/// // The same, with status and headers.
/// let response: ServiceResponse<String> = slow.echo("hi".into()).response().await?;
/// // Wait for the response and for the output of its response handler.
/// let (response, length) = slow.echo("hi".into()).handled_by::<on_slow>().await?;
/// // Do not wait: the response handler runs when the response arrives.
/// slow.echo("hi".into()).nowait();
/// # Ok(()) }
/// # fn main() {}
/// ```
///
/// Returned by the methods of the client that `#[service_client]` generates.
///
/// A call that is awaited ends by its deadline with a value or a [`CallError`]. The timeout is that of the contract, or
/// 10 seconds if the contract sets none. If the service responds with an error status, the result is
/// [`CallError::Failure`] with the error type of the contract. Dropping the future cancels the call.
#[must_use = "a call does nothing until it is awaited or sent with `nowait`"]
pub struct TypedCall<O> {
    call: Call,
    operation: PhantomData<fn() -> O>,
}

impl<O: Operation> TypedCall<O> {
    #[doc(hidden)]
    pub fn new(client: &Client, operation: O) -> TypedCall<O> {
        let request = operation.into_request().of_operation::<O>();
        let call = client.send(request);
        let call = match O::TIMEOUT {
            Some(timeout) => call.timeout(timeout),
            None => call,
        };
        TypedCall {
            call,
            operation: PhantomData,
        }
    }

    /// Sets a header, replacing a header of the same name, in any case.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[service_client]
    /// pub trait Slow {
    ///     #[call("/service/slow")]
    ///     async fn slow(&self) -> Result<String, Problem>;
    /// }
    ///
    /// # async fn example(slow: SlowClient) -> Result<(), Box<dyn std::error::Error>> {
    /// let response = slow.slow().header("x-tenant", "blue").await?;
    /// # Ok(()) }
    /// # fn main() {}
    /// ```
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> TypedCall<O> {
        self.call = self.call.header(name, value);
        self
    }

    /// Sets the timeout of the whole call, including retries; see [`Call::timeout`].
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[service_client]
    /// pub trait Slow {
    ///     #[call("/service/slow")]
    ///     async fn slow(&self) -> Result<String, Problem>;
    /// }
    ///
    /// # async fn example(slow: SlowClient) -> Result<(), Box<dyn std::error::Error>> {
    /// let response = slow.slow().timeout(std::time::Duration::from_secs(2)).await?;
    /// # Ok(()) }
    /// # fn main() {}
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> TypedCall<O> {
        self.call = self.call.timeout(timeout);
        self
    }

    /// Sets the ID of a call that is not awaited: see [`Call::id`] and [`CallId`].
    ///
    /// ```
    /// use brubeck::CallId;
    /// use brubeck::prelude::*;
    ///
    /// #[service_client]
    /// pub trait Slow {
    ///     #[call("/service/slow")]
    ///     async fn slow(&self) -> Result<String, Problem>;
    /// }
    ///
    /// # async fn example(slow: SlowClient) -> Result<(), Box<dyn std::error::Error>> {
    /// let id = CallId::new();
    /// assert_eq!(slow.slow().id(id).nowait().await?, id);
    /// # Ok(()) }
    /// # fn main() {}
    /// ```
    pub fn id(mut self, id: CallId) -> TypedCall<O> {
        self.call = self.call.id(id);
        self
    }

    /// Sends the call, and returns the future of the response with its status and headers.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[service_client]
    /// pub trait Slow {
    ///     #[call("/service/slow")]
    ///     async fn slow(&self) -> Result<String, Problem>;
    /// }
    ///
    /// # async fn example(slow: SlowClient) -> Result<(), Box<dyn std::error::Error>> {
    /// let response = slow.slow().response().await?;
    /// println!("{}: {}", response.status, response.body); // 200 OK: ..
    /// # Ok(()) }
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// The future returns a [`CallError`], as awaiting the call does.
    pub fn response(self) -> TypedResponse<O> {
        TypedResponse {
            response: self.call.start(),
            operation: PhantomData,
        }
    }

    /// Returns the request without sending it.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[service_client]
    /// pub trait Slow {
    ///     #[call("/service/slow")]
    ///     async fn slow(&self) -> Result<String, Problem>;
    /// }
    ///
    /// # async fn example(slow: SlowClient) -> Result<(), Box<dyn std::error::Error>> {
    /// assert_eq!(slow.slow().into_request().path(), "/service/slow");
    /// # Ok(()) }
    /// # fn main() {}
    /// ```
    ///
    /// The request has the path, the arguments, the body and the headers of the call, but neither its timeout nor its
    /// [`id`](TypedCall::id). Send it with [`Client::send`](super::Client::send), which starts with a timeout of 10 seconds.
    pub fn into_request(self) -> ServiceRequest {
        self.call.into_request()
    }

    /// Sends the call without waiting for its response; see [`Call::nowait`].
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[service_client]
    /// pub trait Slow {
    ///     #[call("/service/slow")]
    ///     async fn slow(&self) -> Result<String, Problem>;
    /// }
    ///
    /// # async fn example(slow: SlowClient) -> Result<(), Box<dyn std::error::Error>> {
    /// slow.slow().nowait();
    /// # Ok(()) }
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Call::nowait`].
    pub fn nowait(self) -> Nowait {
        self.call.nowait()
    }

    /// Also waits for the response handler `H` of this application, and returns its output.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[service_client]
    /// pub trait SlowEcho {
    ///     #[call("/service/slow")]
    ///     async fn echo(&self, text: String) -> Result<String, Problem>;
    /// }
    ///
    /// #[response_handler(slow_echo::echo)]
    /// async fn on_slow(response: ServiceResponse<String>) -> usize {
    ///     response.body.len()
    /// }
    ///
    /// #[get("/length")]
    /// async fn length(slow: SlowEchoClient) -> Result<String, Problem> {
    ///     let (response, length) = slow.echo("hi".into()).handled_by::<on_slow>().await?;
    ///     Ok(format!("{} has {length} bytes", response.body))
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// `H` is a function with `#[response_handler(O)]`, which implements [`Handles<O>`](Handles). The [`timeout`](TypedCall::timeout)
    /// does not limit it. A handler before `H` that matches the path and has the same output type is not detected; its output is
    /// returned. [`Call::handled`] is the form without a contract.
    ///
    /// # Errors
    ///
    /// Awaiting the returned value returns a [`CallError`], as awaiting the call does, and
    ///
    /// * [`Refused`](CallError::Refused) if the client belongs to no application, or if the application has no response handler for the
    ///   path; the call is not sent then;
    /// * [`BadReply`](CallError::BadReply) if the service responded with success, but there is no output of the type
    ///   [`H::Output`](Handles::Output): another handler before `H` matches the same path, or `H` rejected the response or panicked.
    pub fn handled_by<H: Handles<O>>(self) -> TypedHandledCall<O, H::Output> {
        TypedHandledCall {
            call: self,
            handler: H::SPEC.name,
            output: PhantomData,
        }
    }
}

impl<O: Operation> fmt::Debug for TypedCall<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(O::SPEC.name).field(&self.call).finish()
    }
}

impl<O: Operation> IntoFuture for TypedCall<O> {
    type Output = Result<O::Ok, CallError<O::Error>>;
    type IntoFuture = TypedCallFuture<O>;

    fn into_future(self) -> Self::IntoFuture {
        TypedCallFuture {
            response: self.response(),
        }
    }
}

/// The future of a [`TypedCall`], which returns the value of the contract. Dropping it cancels the call.
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::TypedCallFuture;
///
/// #[service_client]
/// pub trait SlowEcho {
///     #[call("/service/slow")]
///     async fn echo(&self, text: String) -> Result<String, Problem>;
/// }
///
/// # async fn example(slow: SlowEchoClient) -> Result<(), CallError> {
/// // The call is sent now, and awaited later.
/// let call: TypedCallFuture<slow_echo::echo> = slow.echo("hi".into()).into_future();
/// let text: String = call.await?;
/// # Ok(()) }
/// # fn main() {}
/// ```
#[must_use = "futures do nothing unless they are awaited"]
pub struct TypedCallFuture<O> {
    response: TypedResponse<O>,
}

impl<O: Operation> fmt::Debug for TypedCallFuture<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TypedCallFuture({})", O::SPEC.name)
    }
}

impl<O: Operation> Future for TypedCallFuture<O> {
    type Output = Result<O::Ok, CallError<O::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.response.poll_unpin(cx));
        Poll::Ready(response.map(|response| response.body))
    }
}

/// The future of the response of a [`TypedCall`]; see [`TypedCall::response`]. Dropping it cancels the call.
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::TypedResponse;
///
/// #[service_client]
/// pub trait SlowEcho {
///     #[call("/service/slow")]
///     async fn echo(&self, text: String) -> Result<String, Problem>;
/// }
///
/// # async fn example(slow: SlowEchoClient) -> Result<(), CallError> {
/// // The call is sent now, and awaited later.
/// let response: TypedResponse<slow_echo::echo> = slow.echo("hi".into()).response();
/// println!("{}", response.await?.status);
/// # Ok(()) }
/// # fn main() {}
/// ```
#[must_use = "futures do nothing unless they are awaited"]
pub struct TypedResponse<O> {
    response: SentCall,
    operation: PhantomData<fn() -> O>,
}

impl<O: Operation> fmt::Debug for TypedResponse<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TypedResponse({})", O::SPEC.name)
    }
}

impl<O: Operation> Future for TypedResponse<O> {
    type Output = Result<ServiceResponse<O::Ok>, CallError<O::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.response.poll_unpin(cx)).map_err(CallError::of_contract)?;
        Poll::Ready(decode_response::<O>(response, &self.response))
    }
}

/// A call whose response handler is awaited too; see [`TypedCall::handled_by`].
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::TypedHandledCall;
///
/// #[service_client]
/// pub trait SlowEcho {
///     #[call("/service/slow")]
///     async fn echo(&self, text: String) -> Result<String, Problem>;
/// }
///
/// #[response_handler(slow_echo::echo)]
/// async fn on_slow(response: ServiceResponse<String>) -> usize {
///     response.body.len()
/// }
///
/// # async fn example(slow: SlowEchoClient) -> Result<(), CallError> {
/// let call: TypedHandledCall<slow_echo::echo, usize> = slow.echo("hi".into()).handled_by::<on_slow>();
/// let (response, length) = call.await?;
/// assert_eq!(response.body.len(), length);
/// # Ok(()) }
/// # fn main() {}
/// ```
///
/// Awaiting it returns the response, and the output of the handler, which is a `T`.
#[must_use = "a call does nothing until it is awaited"]
pub struct TypedHandledCall<O, T> {
    call: TypedCall<O>,
    handler: &'static str,
    output: PhantomData<fn() -> T>,
}

impl<O: Operation, T> fmt::Debug for TypedHandledCall<O, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}

impl<O: Operation, T: Send + 'static> IntoFuture for TypedHandledCall<O, T> {
    type Output = Result<(ServiceResponse<O::Ok>, T), CallError<O::Error>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let handler = self.handler;
        if let Err(error) = self.call.call.response_handlers() {
            let error = error.at(self.call.call.site()).of_contract();
            return Box::pin(std::future::ready(Err(error)));
        }
        let handled_call = self.call.call.handled();
        Box::pin(async move {
            let (response, handled, sent) = handled_call.run().await.map_err(CallError::of_contract)?;
            let response = decode_response::<O>(response, &sent)?;
            match handled.and_then(|handled| handled.downcast::<T>()) {
                Some(output) => Ok((response, output)),
                None => {
                    let reason = format!(
                        "the response handler `{handler}` did not run to its end: another handler before it in `routes!` \
                         matches the path, or it rejected the response or panicked, which is logged"
                    );
                    Err(CallError::BadReply(reason.into()).at(sent.site_of(None)))
                }
            }
        })
    }
}
