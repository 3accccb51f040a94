//! Contracts: operations with typed arguments and responses, and calls of these operations.

use super::decode::decode_response;
use super::{Call, CallError, Client, Nowait, PendingResponse, ServiceRequest, ServiceResponse};
use crate::json_parts;
use crate::small_bytes;
use crate::spec::{Routed, Spec};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
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
/// // Wait for the response.
/// let response: ServiceResponse<String> = slow.echo("hi".into()).timeout(Duration::from_secs(2)).await?;
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
/// A call that is awaited ends by its deadline with a response or a [`CallError`]. The timeout is that of the contract, or
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
        let request = operation
            .into_request()
            .of_operation(O::SPEC.operation, O::CONTRACT);
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

    /// Sets a header, replacing a header of the same name.
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
    type Output = Result<ServiceResponse<O::Ok>, CallError<O::Error>>;
    type IntoFuture = TypedResponse<O>;

    fn into_future(self) -> Self::IntoFuture {
        TypedResponse {
            client: self.call.client().clone(),
            response: self.call.start(),
            operation: PhantomData,
        }
    }
}

/// The future of a [`TypedCall`]. Dropping it cancels the call.
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
/// let response: TypedResponse<slow_echo::echo> = slow.echo("hi".into()).into_future();
/// let text = response.await?.body;
/// # Ok(()) }
/// # fn main() {}
/// ```
#[must_use = "futures do nothing unless they are awaited"]
pub struct TypedResponse<O> {
    /// For errors, which name its address.
    client: Client,
    response: PendingResponse,
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
        let response = ready!(self.response.as_mut().poll(cx)).map_err(untyped_error)?;
        Poll::Ready(decode_response::<O>(response, self.client.address()))
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
            return Box::pin(std::future::ready(Err(untyped_error(error))));
        }
        let client = self.call.call.client().clone();
        let handled_call = self.call.call.handled().run();
        Box::pin(async move {
            let (response, handled) = handled_call.await.map_err(untyped_error)?;
            let response = decode_response::<O>(response, client.address())?;
            match handled.and_then(|handled| handled.downcast::<T>()) {
                Some(output) => Ok((response, output)),
                None => {
                    let reason = format!(
                        "the response handler `{handler}` did not run to its end: another handler before it in `routes!` \
                         matches the path, or it rejected the response or panicked, which is logged"
                    );
                    Err(CallError::BadReply(reason.into()))
                }
            }
        })
    }
}

/// Converts the error of an untyped call. The link knows no contract, so a failure from it becomes a refusal.
fn untyped_error<F>(error: CallError) -> CallError<F> {
    match error {
        CallError::NoWorkers(reason) => CallError::NoWorkers(reason),
        CallError::Busy { retry_after } => CallError::Busy { retry_after },
        CallError::Deadline { phase } => CallError::Deadline { phase },
        CallError::Lost { may_have_run } => CallError::Lost { may_have_run },
        CallError::Refused(reason) => CallError::Refused(reason),
        CallError::Failure { status, .. } => CallError::Refused(status.to_string().into()),
        CallError::Panicked(reason) => CallError::Panicked(reason),
        CallError::BadReply(reason) => CallError::BadReply(reason),
        CallError::TooLarge(reason) => CallError::TooLarge(reason),
        CallError::Cancelled => CallError::Cancelled,
        CallError::ShuttingDown => CallError::ShuttingDown,
    }
}

/// A value that can be sent in a call.
///
/// `Wire` is implemented for all types that are `Send` and `'static` and implement serde's `Serialize` and
/// `DeserializeOwned`. Derive the serde traits; `Wire` itself cannot be implemented.
///
/// ```
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Size {
///     width: u32,
///     height: u32,
/// }
///
/// fn assert_wire<T: brubeck::Wire>() {}
/// assert_wire::<Size>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent in a call",
    label = "sent or received by a call",
    note = "add `#[derive(serde::Serialize, serde::Deserialize)]` to `{Self}`"
)]
pub trait Wire: Serialize + DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Wire for T {}

/// An operation of a contract: its route, its arguments, and the types of its response and error.
///
/// ```
/// use brubeck::Operation;
/// use brubeck::prelude::*;
///
/// #[service_client]
/// pub trait SlowEcho {
///     #[call("/service/slow", timeout = "5s")]
///     async fn echo(&self, text: String) -> Result<String, Problem>;
/// }
///
/// # fn main() {
/// assert_eq!(<slow_echo::echo as Operation>::TIMEOUT, Some(std::time::Duration::from_secs(5)));
/// # }
/// ```
///
/// `#[service_client]` implements this trait for a type in the module of the contract, for example `slow_echo::echo`. A service
/// reads the arguments with [`Args`](crate::Args); a client makes a [`TypedCall`](super::TypedCall).
pub trait Operation: Sized + Send + 'static {
    /// The type of a successful response: `T` of the `Result<T, E>` that the contract declares.
    ///
    /// A call returns it as the body of a [`ServiceResponse`].
    type Ok: Send + 'static;
    /// The error type of the operation: `E` of the `Result<T, E>` that the contract declares.
    ///
    /// A call returns it in [`CallError::Failure`] if the service responds with an error status. It is often [`Problem`](crate::Problem).
    type Error: Send + 'static;
    #[doc(hidden)]
    const OK: BodyCodec<Self::Ok>;
    #[doc(hidden)]
    const ERROR: BodyCodec<Self::Error>;
    /// The route of the operation: its path as a pattern, its method and its name.
    ///
    /// ```
    /// use brubeck::prelude::*;
    /// use brubeck::{Method, Operation};
    ///
    /// #[service_client]
    /// pub trait Users {
    ///     #[call("/users/{id}", method = "get")]
    ///     async fn find(&self, id: u64) -> Result<String, Problem>;
    /// }
    ///
    /// # fn main() {
    /// let spec = <users::find as Operation>::SPEC;
    /// assert_eq!((spec.pattern, spec.method), ("/users/{id}", Method::Get));
    /// # }
    /// ```
    const SPEC: Spec;
    /// A digest of the declaration: the name, the arguments and their types, and the result. 0 if it is not known.
    #[doc(hidden)]
    const CONTRACT: u64 = 0;
    /// The timeout that the contract sets, or `None` for the default of 10 seconds.
    ///
    /// [`TypedCall::timeout`](super::TypedCall::timeout) sets another one for a single call.
    const TIMEOUT: Option<Duration>;
    /// Converts the arguments into a request.
    ///
    /// ```
    /// use brubeck::Operation;
    /// use brubeck::prelude::*;
    ///
    /// #[service_client]
    /// pub trait Users {
    ///     #[call("/users/{id}/name")]
    ///     async fn rename(&self, id: u64, name: String) -> Result<(), Problem>;
    /// }
    ///
    /// # fn main() {
    /// let request = users::rename { id: 7, name: "Dave".into() }.into_request();
    /// assert_eq!((request.path(), &request.arguments()["name"]), ("/users/7/name", &"Dave".into()));
    /// # }
    /// ```
    ///
    /// An argument of the path is percent-encoded. All other arguments are named [arguments](ServiceRequest::arguments) of the request.
    /// Send it with [`Client::send`]; a method of the contract's client does both.
    fn into_request(self) -> ServiceRequest;
}

/// Encodes and decodes the body of a response.
///
/// An operation holds functions instead of trait bounds on its types, so a type that does not implement [`Wire`] is
/// reported once, where the codec is made, and not at each use of the operation.
pub struct BodyCodec<T> {
    /// Returns the JSON text, and the bytes to which it refers.
    pub(crate) encode: fn(T) -> serde_json::Result<(Bytes, Vec<Bytes>)>,
    pub(super) decode: fn(&[u8], &[Bytes]) -> serde_json::Result<T>,
}

#[doc(hidden)]
pub const fn body_codec<T: Wire>() -> BodyCodec<T> {
    BodyCodec {
        encode: |value| {
            let mut parts = Vec::new();
            let text = small_bytes::write_with(|buffer| json_parts::write_owned(buffer, &mut parts, value))?;
            Ok((text, parts))
        },
        decode: |text, parts| json_parts::read_owned(text, parts),
    }
}

/// A response handler of the operation `O`.
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::{Handles, TypedCall};
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
/// /// Makes a call, and returns the output of its response handler only.
/// async fn output<H: Handles<slow_echo::echo>>(call: TypedCall<slow_echo::echo>) -> Result<H::Output, CallError> {
///     let (_, output) = call.handled_by::<H>().await?;
///     Ok(output)
/// }
///
/// # async fn example(slow: SlowEchoClient) -> Result<(), CallError> {
/// let length: usize = output::<on_slow>(slow.echo("hi".into())).await?;
/// # Ok(()) }
/// # fn main() {}
/// ```
///
/// `#[response_handler(O)]` implements this trait, and [`TypedCall::handled_by`] requires it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle responses of `{O}`",
    label = "not a response handler of `{O}`",
    note = "write `#[response_handler({O})]` on the function"
)]
pub trait Handles<O: Operation>: Routed {
    /// The output of the handler, which [`TypedCall::handled_by`] returns next to the response.
    ///
    /// It is the return type of the function with [`#[response_handler(O)]`](../brubeck/attr.response_handler.html), such as `usize` in the example of [`Handles`].
    type Output: Send + 'static;
}

/// Checks that the [`ServiceResponse`] argument of a response handler has the type of the operation `O`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the response of `{O}`",
    label = "the contract declares another response type"
)]
pub trait ResponseOf<O> {
    /// Names the implementation in generated code.
    type Proof;
}

impl<O: Operation> ResponseOf<O> for ServiceResponse<O::Ok> {
    type Proof = ();
}
