//! Contracts: operations with typed arguments and responses, and calls of these operations.

use super::{Call, CallError, Client, Nowait, PendingResponse, ServiceRequest, ServiceResponse};
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
/// Returned by the methods of the client that `#[service_client]` generates.
///
/// ```
/// use brubeck::prelude::*;
/// use std::time::Duration;
///
/// #[service_client]
/// pub trait SlowEcho {
///     #[call("/service/slow", timeout = "5s")]
///     async fn echo(&self, text: String) -> Result<String, Fault>;
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
/// A call that is awaited ends by its deadline with a response or a [`CallError`]. The timeout is that of the contract, or
/// 10 seconds if the contract sets none. If the service responds with an error status, the result is
/// [`CallError::Fault`] with the error type of the contract. Dropping the future cancels the call.
#[must_use = "a call does nothing until it is awaited or sent with `nowait`"]
pub struct TypedCall<O> {
    call: Call,
    operation: PhantomData<fn() -> O>,
}

impl<O: Operation> TypedCall<O> {
    /// Creates a call of `operation`.
    pub fn new(client: &Client, operation: O) -> TypedCall<O> {
        let call = client.send(operation.into_request());
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
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> TypedCall<O> {
        self.call = self.call.header(name, value);
        self
    }

    /// Sets the timeout of the whole call, including retries; see [`Call::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> TypedCall<O> {
        self.call = self.call.timeout(timeout);
        self
    }

    /// Returns the request without sending it.
    pub fn into_request(self) -> ServiceRequest {
        self.call.into_request()
    }

    /// Sends the call without waiting for its response; see [`Call::nowait`].
    ///
    /// # Errors
    ///
    /// As [`Call::nowait`].
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn nowait(self) -> Nowait {
        self.call.nowait()
    }

    /// Also waits for the response handler `H` of this application, and returns its output.
    ///
    /// If the service responded with success, but there is no output of the type `H::Output`, the call fails with
    /// [`BadReply`](CallError::BadReply): the client belongs to no application, `H` is not in its routes, another handler
    /// before it matches the same path, or it rejected the response or panicked. A handler before `H` with the same output
    /// type is not detected; its output is returned.
    ///
    /// The [`timeout`](TypedCall::timeout) does not limit the response handler.
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
    type Output = Result<ServiceResponse<O::Ok>, CallError<O::Fault>>;
    type IntoFuture = TypedResponse<O>;

    fn into_future(self) -> Self::IntoFuture {
        TypedResponse {
            response: self.call.start(),
            operation: PhantomData,
        }
    }
}

/// The future of a [`TypedCall`]. Dropping it cancels the call.
#[must_use = "futures do nothing unless they are awaited"]
pub struct TypedResponse<O> {
    response: PendingResponse,
    operation: PhantomData<fn() -> O>,
}

impl<O: Operation> fmt::Debug for TypedResponse<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TypedResponse({})", O::SPEC.name)
    }
}

impl<O: Operation> Future for TypedResponse<O> {
    type Output = Result<ServiceResponse<O::Ok>, CallError<O::Fault>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.response.as_mut().poll(cx)).map_err(without_fault)?;
        Poll::Ready(decode_response::<O>(response))
    }
}

/// A call whose response handler is awaited too; see [`TypedCall::handled_by`].
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
    type Output = Result<(ServiceResponse<O::Ok>, T), CallError<O::Fault>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let handler = self.handler;
        let handled_call = self.call.call.handled().run();
        Box::pin(async move {
            let (response, handled) = handled_call.await.map_err(without_fault)?;
            let response = decode_response::<O>(response)?;
            match handled.and_then(|handled| handled.downcast::<T>()) {
                Some(output) => Ok((response, output)),
                None => {
                    let reason = format!(
                        "the response handler `{handler}` did not run to its end: the client belongs to no application, \
                         the handler is not in its routes, another handler before it matches, or it rejected the response \
                         or panicked"
                    );
                    Err(CallError::BadReply(reason.into()))
                }
            }
        })
    }
}

/// Converts the error of an untyped call. The link knows no contract, so a fault from it becomes a refusal.
fn without_fault<F>(error: CallError) -> CallError<F> {
    match error {
        CallError::NoWorkers => CallError::NoWorkers,
        CallError::Busy { retry_after } => CallError::Busy { retry_after },
        CallError::Deadline { phase } => CallError::Deadline { phase },
        CallError::Lost { may_have_run } => CallError::Lost { may_have_run },
        CallError::Refused(reason) => CallError::Refused(reason),
        CallError::Fault { status, .. } => CallError::Refused(status.to_string().into()),
        CallError::BadReply(reason) => CallError::BadReply(reason),
        CallError::TooLarge => CallError::TooLarge,
        CallError::Cancelled => CallError::Cancelled,
        CallError::ShuttingDown => CallError::ShuttingDown,
    }
}

/// A value that can be sent in a call.
///
/// `Wire` is implemented for all types that are `Send` and `'static` and implement serde's `Serialize` and
/// `DeserializeOwned`. Derive the serde traits instead of implementing `Wire`.
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
/// `#[service_client]` implements this trait for a type in the module of the contract, for example `slow_echo::echo`. A service
/// reads the arguments with [`Args`](crate::Args); a client makes a [`TypedCall`](super::TypedCall).
///
/// ```
/// use brubeck::Operation;
/// use brubeck::prelude::*;
///
/// #[service_client]
/// pub trait SlowEcho {
///     #[call("/service/slow", timeout = "5s")]
///     async fn echo(&self, text: String) -> Result<String, Fault>;
/// }
///
/// # fn main() {
/// assert_eq!(<slow_echo::echo as Operation>::TIMEOUT, Some(std::time::Duration::from_secs(5)));
/// # }
/// ```
pub trait Operation: Sized + Send + 'static {
    /// The type of a successful response.
    type Ok: Send + 'static;
    /// The error type of the contract.
    type Fault: Send + 'static;
    /// Encodes and decodes the body of a successful response.
    const OK: BodyCodec<Self::Ok>;
    /// Encodes and decodes the body of a response with an error status.
    const FAULT: BodyCodec<Self::Fault>;
    /// The route.
    const SPEC: Spec;
    /// The timeout that the contract sets, or `None` for the default of 10 seconds.
    const TIMEOUT: Option<Duration>;
    /// Converts the arguments into a request.
    fn into_request(self) -> ServiceRequest;
}

/// Encodes and decodes the body of a response.
///
/// An operation holds functions instead of trait bounds on its types, so a type that does not implement [`Wire`] is
/// reported once, where the codec is made, and not at each use of the operation.
pub struct BodyCodec<T> {
    pub(crate) encode: fn(&T) -> serde_json::Result<Bytes>,
    decode: fn(&[u8]) -> serde_json::Result<T>,
}

#[doc(hidden)]
pub const fn body_codec<T: Wire>() -> BodyCodec<T> {
    BodyCodec {
        encode: |value| small_bytes::write_with(|buffer| serde_json::to_writer(buffer, value)),
        decode: |body| serde_json::from_slice(body),
    }
}

/// A response handler of the operation `O`.
///
/// `#[response_handler(O)]` implements this trait, and [`TypedCall::handled_by`] requires it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle responses of `{O}`",
    label = "not a response handler of `{O}`",
    note = "write `#[response_handler({O})]` on the function"
)]
pub trait Handles<O: Operation>: Routed {
    /// The output of the handler.
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

/// Decodes the response of an operation, by its status either as its success type or as its error type.
pub(super) fn decode_response<O: Operation>(
    response: ServiceResponse<Bytes>,
) -> Result<ServiceResponse<O::Ok>, CallError<O::Fault>> {
    let ServiceResponse {
        status,
        headers,
        body,
    } = response;
    let error = if status.is_success() {
        match (O::OK.decode)(&body) {
            Ok(body) => {
                return Ok(ServiceResponse {
                    status,
                    headers,
                    body,
                });
            }
            Err(error) => error,
        }
    } else {
        match (O::FAULT.decode)(&body) {
            Ok(fault) => return Err(CallError::Fault { status, fault }),
            Err(error) => error,
        }
    };
    Err(CallError::BadReply(
        format!("the body of the response ({status}) does not match the contract: {error}").into(),
    ))
}
