//! What is answered for an operation of a contract, and for a call that failed.

use super::{IntoReply, Rejection, Response};
use crate::rpc::api::{CallError, Fault, Operation};
use crate::status::Status;
use std::any::Any;

/// What a handler of an operation returns: what its contract says.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what `{O}` answers",
    label = "the contract says otherwise",
    note = "return the `Result` that the contract names"
)]
pub trait Answers<O> {
    #[doc(hidden)]
    fn into_reply(self) -> Response;
}

impl<O: Operation> Answers<O> for Result<O::Ok, O::Fault> {
    fn into_reply(self) -> Response {
        match self {
            Ok(ok) => Response::written(Status::OK, (O::OK.write)(&ok)),
            Err(fault) => Response::written(fault_status(&fault), (O::FAULT.write)(&fault)),
        }
    }
}

/// A [`Fault`] says its status itself; any other is a failure of the call, as the original answered it.
fn fault_status<F: 'static>(fault: &F) -> Status {
    match (fault as &dyn Any).downcast_ref::<Fault>() {
        Some(fault) => fault.status(),
        None => Status::BAD_REQUEST,
    }
}

/// Runs an operation for the routes of a contract.
#[doc(hidden)]
pub fn operation_response<O: Operation>(result: Result<O::Ok, O::Fault>) -> Response {
    Answers::<O>::into_reply(result)
}

/// The status alone: what went wrong between two services is for the log, not for a browser.
impl<F> IntoReply for CallError<F> {
    fn into_reply(self) -> Response {
        tracing::warn!(error = %self, "a call failed");
        match self {
            CallError::Fault { status, .. } => Status::new(status.code()).into_reply(),
            error => error.status().into_reply(),
        }
    }
}

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
