//! Contracts: their operations, and calls that know what is answered.

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

/// One call of an operation, not sent yet: what a method of a contract's client returns.
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
/// async fn on_slow(reply: ServiceResponse<String>) -> usize {
///     reply.body.len()
/// }
///
/// # async fn example(slow: SlowEchoClient) -> Result<(), CallError> {
/// // wait for the answer
/// let reply: ServiceResponse<String> = slow.echo("hi".into()).timeout(Duration::from_secs(2)).await?;
/// // also for what the response handler of this application makes of it
/// let (reply, length) = slow.echo("hi".into()).handled_by::<on_slow>().await?;
/// // or do not wait: the response handler runs when the answer comes
/// slow.echo("hi".into()).nowait();
/// # Ok(()) }
/// # fn main() {}
/// ```
///
/// It ends by its deadline (what the contract says, else 10 seconds) in the answer or a [`CallError`], whose
/// `Fault` is what the contract names for a failure.
#[must_use = "a call does nothing until it is awaited or sent with `nowait`"]
pub struct TypedCall<O> {
    call: Call,
    operation: PhantomData<fn() -> O>,
}

impl<O: Operation> TypedCall<O> {
    /// A call of this operation.
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

    /// Adds a header, or replaces it.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> TypedCall<O> {
        self.call = self.call.header(name, value);
        self
    }

    /// How long it may take in all, from now on.
    pub fn timeout(mut self, timeout: Duration) -> TypedCall<O> {
        self.call = self.call.timeout(timeout);
        self
    }

    /// The request as it would go out.
    pub fn into_request(self) -> ServiceRequest {
        self.call.into_request()
    }

    /// Sends the request and does not wait for its answer: see [`Call::nowait`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn nowait(self) -> Nowait {
        self.call.nowait()
    }

    /// Waits for the answer and for what the response handler `H` of this application makes of it.
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
            answer: self.call.carry(),
            operation: PhantomData,
        }
    }
}

/// The answer of a [`TypedCall`] that is under way; dropping it gives the call up.
#[must_use = "futures do nothing unless they are awaited"]
pub struct TypedResponse<O> {
    answer: PendingResponse,
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
        let answer = ready!(self.answer.as_mut().poll(cx)).map_err(untyped)?;
        Poll::Ready(read_answer::<O>(answer))
    }
}

/// A call of an operation that is waited for together with a response handler, which returns a `T`.
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
        let answer = self.call.call.handled().carry();
        Box::pin(async move {
            let (answer, handled) = answer.await.map_err(untyped)?;
            let answer = read_answer::<O>(answer)?;
            match handled.and_then(|handled| handled.downcast::<T>()) {
                Some(output) => Ok((answer, output)),
                None => {
                    let reason = format!(
                        "the response handler `{handler}` did not take it: it is in no list of this application, another \
                         one comes first, or it refused"
                    );
                    Err(CallError::BadReply(reason.into()))
                }
            }
        })
    }
}

/// The connection knows no contract; a fault of its own is a refusal.
fn untyped<F>(error: CallError) -> CallError<F> {
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

/// A value that calls carry between applications: everything that serde reads and writes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot go over the wire",
    label = "sent or received by a call",
    note = "add `#[derive(serde::Serialize, serde::Deserialize)]` to `{Self}`"
)]
pub trait Wire: Serialize + DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Wire for T {}

/// One operation of a contract: its arguments, where it is sent, and what is answered.
///
/// `#[service_client]` implements it for the types in the module of the contract. See
/// [`Args`](crate::Args) for the serving side and [`TypedCall`](super::TypedCall) for the calling one.
pub trait Operation: Sized + Send + 'static {
    /// The answer.
    type Ok: Send + 'static;
    /// What is answered when it fails.
    type Fault: Send + 'static;
    /// How the answer is body_codec.
    const OK: BodyCodec<Self::Ok>;
    /// How the failure is body_codec.
    const FAULT: BodyCodec<Self::Fault>;
    /// Its route.
    const SPEC: Spec;
    /// How long a call may take, where the contract says so.
    const TIMEOUT: Option<Duration>;
    /// The request that asks for it.
    fn into_request(self) -> ServiceRequest;
}

/// How an answer is written and read.
///
/// The functions that make one of these are the only places where a type has to be able to go over the wire: one
/// that cannot is one error.
pub struct BodyCodec<T> {
    pub(crate) write: fn(&T) -> serde_json::Result<Bytes>,
    read: fn(&[u8]) -> serde_json::Result<T>,
}

#[doc(hidden)]
pub const fn body_codec<T: Wire>() -> BodyCodec<T> {
    BodyCodec {
        write: |value| small_bytes::write_with(|text| serde_json::to_writer(text, value)),
        read: |text| serde_json::from_slice(text),
    }
}

/// The response handler `Self` is for answers of the operation `O`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle replies of `{O}`",
    label = "not a response handler of `{O}`",
    note = "write `#[response_handler({O})]` on the function"
)]
pub trait Handles<O: Operation>: Routed {
    /// What it returns to the caller that waits.
    type Output: Send + 'static;
}

/// The answer that a response handler of `O` takes is the answer of `O`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the answer of `{O}`",
    label = "the contract answers something else"
)]
pub trait ResponseOf<O> {
    /// Named by the check.
    type Proof;
}

impl<O: Operation> ResponseOf<O> for ServiceResponse<O::Ok> {
    type Proof = ();
}

/// What a call ends in, by what its service answered.
pub(super) fn read_answer<O: Operation>(
    answer: ServiceResponse<Bytes>,
) -> Result<ServiceResponse<O::Ok>, CallError<O::Fault>> {
    let ServiceResponse {
        status,
        headers,
        body: text,
    } = answer;
    if status.is_success() {
        if let Ok(body) = (O::OK.read)(&text) {
            return Ok(ServiceResponse {
                status,
                headers,
                body,
            });
        }
    } else if let Ok(fault) = (O::FAULT.read)(&text) {
        return Err(CallError::Fault { status, fault });
    }
    Err(CallError::BadReply(
        format!("{status}, and not what the contract says").into(),
    ))
}
