//! The end of a call, as its response handler gets it.

use super::decode::decode_outcome;
use super::{CallError, CallId, CallSite, CallTarget, ResponseBody, ServiceResponse};
use crate::json_parts;
use crate::message::Message;
use crate::outcome::Outcome;
use serde::de::DeserializeOwned;

/// The call that a response message ends. The message has it as an extension, because its type is above that of messages.
#[derive(Clone)]
pub(crate) struct CallEnd {
    pub(crate) id: CallId,
    pub(crate) site: CallSite,
    /// `None` if the protocol does not say how the call has ended.
    pub(crate) outcome: Option<Outcome>,
    /// The error of a call without a response.
    pub(crate) error: Option<CallError>,
}

impl CallEnd {
    pub(super) fn new(id: CallId, site: CallSite) -> CallEnd {
        CallEnd {
            id,
            site,
            outcome: None,
            error: None,
        }
    }

    /// Creates the message for the response handler of a call without a response.
    pub(super) fn into_error_message(self, call: &CallTarget, error: CallError) -> Message {
        Message::response(&call.path, error.status())
            .with_operation(call.operation.clone())
            .with_extension(CallEnd {
                error: Some(error),
                ..self
            })
    }
}

/// The response of a call or its error: what [`TypedCall::response`](super::TypedCall::response) returns, and an argument of response
/// handlers.
///
/// ```
/// use brubeck::CallResult;
/// use brubeck::prelude::*;
///
/// #[service_client]
/// pub trait Reports {
///     #[call("/reports/write")]
///     async fn write(&self, year: u32) -> Result<String, Problem>;
/// }
///
/// #[response_handler(reports::write)]
/// async fn written(result: CallResult<String>, id: CallId) {
///     match result {
///         Ok(response) => tracing::info!(%id, "{} bytes", response.body.len()),
///         Err(error) => tracing::warn!(%id, %error, "no report"),
///     }
/// }
/// # fn main() {}
/// ```
///
/// `E` is the error type of the operation. A response handler also recognises the type written out.
pub type CallResult<T = serde_json::Value, E = crate::problem::Problem> =
    Result<ServiceResponse<T>, CallError<E>>;

/// The types of the result of a call.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the result of a call",
    label = "the result of a call is a `CallResult<T, E>`, which is `Result<ServiceResponse<T>, CallError<E>>`",
    note = "`T` and `E` must implement `serde::de::DeserializeOwned`"
)]
pub trait ResultOfCall<S>: Sized {
    /// Names the implementation in generated code, whose bounds have the state `S` of the application, as those of other arguments.
    type Proof;

    /// Returns the result of the call that a message ends, as awaiting the call does: the response of an operation by its outcome, and any
    /// response of a call without a contract.
    #[doc(hidden)]
    fn of_message(message: &Message) -> Self;
}

impl<S, T, E> ResultOfCall<S> for Result<ServiceResponse<T>, CallError<E>>
where
    T: DeserializeOwned + 'static,
    E: DeserializeOwned + 'static,
{
    type Proof = ();

    fn of_message(message: &Message) -> Result<ServiceResponse<T>, CallError<E>> {
        let end = message.extension::<CallEnd>();
        if let Some(error) = end.and_then(|end| end.error.clone()) {
            return Err(error.of_contract());
        }
        let mut response: ServiceResponse<ResponseBody> = ServiceResponse::from_response_message(message);
        response.body.outcome = end.and_then(|end| end.outcome);
        let result = match message.operation() {
            Some(_) => decode_outcome(response, json_parts::read_owned, json_parts::read_owned),
            None => response.decode().map_err(CallError::from),
        };
        result.map_err(|error| match end {
            Some(end) => error.at(end.site.clone()),
            None => error,
        })
    }
}
