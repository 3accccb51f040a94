//! Replies to operations of contracts, and replies made of call errors.

use super::{IntoReply, Rejection, Response};
use crate::outcome::Outcome;
use crate::problem::Problem;
use crate::rpc::api::{CallError, Operation};
use crate::status::Status;
use bytes::Bytes;
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

impl<O: Operation> Answers<O> for Result<O::Ok, O::Error> {
    fn into_reply(self) -> Response {
        match self {
            Ok(ok) => match (O::OK.encode)(ok) {
                Ok(json) => Response::from_json_parts(Status::OK, json),
                Err(error) => unsendable(O::SPEC.name, "value", &error),
            },
            Err(error) => {
                failure_response(O::SPEC.name, error, O::ERROR.encode).with_outcome(Outcome::Failure)
            }
        }
    }
}

/// Returns a [`Problem`] with its status, and any other error with 400, as the Python original does.
fn failure_response<F: 'static>(
    operation: &str,
    error: F,
    encode: fn(F) -> serde_json::Result<(Bytes, Vec<Bytes>)>,
) -> Response {
    // `F` has no trait bound for a status, so that every serializable type can be the error of an operation.
    match (&error as &dyn Any).downcast_ref::<Problem>() {
        Some(problem) => problem.clone().into_reply(),
        None => match encode(error) {
            Ok(json) => Response::from_json_parts(Status::BAD_REQUEST, json),
            Err(error) => unsendable(operation, "error", &error),
        },
    }
}

/// Returns the failure of an operation whose value or error JSON cannot represent.
fn unsendable(operation: &str, what: &str, error: &serde_json::Error) -> Response {
    tracing::error!(operation, %error, "cannot send the {what} of an operation as JSON");
    let reason = format!("the {what} of `{operation}` cannot be sent as JSON: {error}");
    Problem::new(500, reason)
        .into_reply()
        .with_outcome(Outcome::Failure)
}

/// Converts the result of an operation. Used by the routes that `#[service_client]` generates.
#[doc(hidden)]
pub fn operation_response<O: Operation>(result: Result<O::Ok, O::Error>) -> Response {
    Answers::<O>::into_reply(result)
}

/// Responds as the [`Problem`] that is made of the error: with its [status code](CallError::status), and nothing else of it.
impl<F> IntoReply for CallError<F> {
    fn into_reply(self) -> Response {
        Problem::from(self).into_reply()
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Problem {
        let problem = Problem::from(rejection.status().clone());
        match rejection.field() {
            Some(field) => problem.invalid(field, rejection.status().text()),
            None => problem,
        }
    }
}
