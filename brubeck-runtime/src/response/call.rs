//! Replies to operations of contracts, and replies made of call errors.

use super::{IntoReply, Rejection, Response};
use crate::outcome::Outcome;
use crate::rpc::api::{CallError, Fault, Operation};
use crate::status::Status;
use std::any::Any;

/// Return types of the handlers of an operation `O`: the `Result` that the contract declares.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the return type of `{O}`",
    label = "the contract declares another return type",
    note = "return the `Result` that the contract declares"
)]
pub trait Answers<O> {
    #[doc(hidden)]
    fn into_reply(self) -> Response;
}

impl<O: Operation> Answers<O> for Result<O::Ok, O::Fault> {
    fn into_reply(self) -> Response {
        match self {
            Ok(ok) => Response::from_json_parts(Status::OK, (O::OK.encode)(ok)),
            Err(fault) => Response::from_json_parts(fault_status(&fault), (O::FAULT.encode)(fault))
                .with_outcome(Outcome::Failure),
        }
    }
}

/// Returns the status of a [`Fault`], and 400 for any other error type, as the Python original does.
fn fault_status<F: 'static>(fault: &F) -> Status {
    // `F` has no trait bound for a status, so that every serializable type can be the error of an operation.
    match (fault as &dyn Any).downcast_ref::<Fault>() {
        Some(fault) => fault.status(),
        None => Status::BAD_REQUEST,
    }
}

/// Converts the result of an operation. Used by the routes that `#[service_client]` generates.
#[doc(hidden)]
pub fn operation_response<O: Operation>(result: Result<O::Ok, O::Fault>) -> Response {
    Answers::<O>::into_reply(result)
}

/// Responds with the code of [`CallError::status`] only. The text of the error is logged instead, because it can contain internal
/// addresses or a message of the service.
impl<F> IntoReply for CallError<F> {
    fn into_reply(self) -> Response {
        tracing::warn!(error = %self, "call failed");
        match self {
            CallError::Fault { status, .. } => Status::new(status.code()).into_reply(),
            error => error.status().into_reply(),
        }
    }
}

/// Responds with the code and the message. Unlike the text of a [`CallError`], the message is meant for the client.
impl IntoReply for Fault {
    fn into_reply(self) -> Response {
        self.status().into_reply()
    }
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Fault {
        rejection.status().clone().into()
    }
}
