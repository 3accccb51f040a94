//! Contracts: operations with typed arguments and responses.

use super::{CallError, ServiceRequest, ServiceResponse};
use crate::json_parts::{self, Written};
use crate::small_bytes;
use crate::spec::{Routed, Spec};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

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
    /// The routes of all operations of the contract.
    #[doc(hidden)]
    const CONTRACT_ROUTES: &'static [&'static Spec] = &[];
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
    /// Send it with [`Client::send`](super::Client::send); a method of the contract's client does both.
    fn into_request(self) -> ServiceRequest;
}

/// The type that an operation returns: a `Result`, or an alias of one.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "an operation must return `Result<T, E>`, because a call can fail",
    label = "`{Self}` is not a `Result`",
    note = "write `Result<{Self}, Problem>`"
)]
pub trait OperationResult {
    type Ok;
    type Error;
    fn into_result(self) -> Result<Self::Ok, Self::Error>;
}

impl<T, E> OperationResult for Result<T, E> {
    type Ok = T;
    type Error = E;

    fn into_result(self) -> Result<T, E> {
        self
    }
}

/// The type of an argument of an operation, by their positions in the contract.
///
/// The module of the operations cannot name the types of the contract, which may be inside a function or hidden by an operation.
#[doc(hidden)]
pub trait ArgumentType<const OPERATION: usize, const ARGUMENT: usize> {
    type Type;
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
            let mut written = Written::default();
            let text = small_bytes::write_with(|buffer| {
                written = json_parts::write_owned(buffer, &mut parts, value)?;
                Ok(())
            })?;
            if written.has_wide_integer {
                json_parts::read_owned::<T>(&text, &parts).map_err(|error| json_parts::unreadable(&error))?;
            }
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
/// `#[response_handler(O)]` implements this trait, and [`TypedCall::handled_by`](super::TypedCall::handled_by) requires it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle responses of `{O}`",
    label = "not a response handler of `{O}`",
    note = "write `#[response_handler({O})]` on the function"
)]
pub trait Handles<O: Operation>: Routed {
    /// The output of the handler, which [`TypedCall::handled_by`](super::TypedCall::handled_by) returns next to the response.
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

impl<O: Operation> ResponseOf<O> for Result<ServiceResponse<O::Ok>, CallError<O::Error>> {
    type Proof = ();
}
