//! Decodes responses into the types of a contract.

use super::{CallError, Operation, ResponseBody, ServiceResponse};
use crate::outcome::Outcome;
use crate::problem::Problem;
use crate::status::Status;
use std::any::{Any, TypeId};

/// The members that a dialect of the Python original adds to the body of each response.
const DIALECT_MEMBERS: &[&str] = &["status_code", "status_msg", "timestamp"];

/// Decodes the response of an operation by its outcome. `address` is that of the service, for errors.
pub(super) fn decode_response<O: Operation>(
    response: ServiceResponse<ResponseBody>,
    address: &str,
) -> Result<ServiceResponse<O::Ok>, CallError<O::Error>> {
    let name = O::SPEC.name;
    let status = &response.status;
    let ResponseBody { text, parts, outcome } = &response.body;
    // A protocol without outcomes has only the status. So has a handler that serves the path without the contract.
    let failed = match outcome {
        Some(Outcome::Rejected) => {
            let reason = format!("{address}, `{name}`: {status}");
            return Err(CallError::Refused(reason.into()));
        }
        Some(Outcome::Panicked) => {
            let reason = format!("{address}, `{name}`: the log of the service has the reason");
            return Err(CallError::Panicked(reason.into()));
        }
        Some(Outcome::Failure) => true,
        Some(Outcome::Value) | None => !status.is_success(),
    };
    let reason = if failed {
        match decode_failure::<O>(&response) {
            Ok((status, error)) => return Err(CallError::Failure { status, error }),
            // A handler without the contract has no error of the contract to send.
            Err(_) if matches!(&text[..], b"" | b"{}") || status.code() >= 500 => {
                format!("the service responded with the status {status}; its log has the reason")
            }
            Err(error) => format!(
                "the service responded with the status {status}, and the body is not the error of the contract: {error}"
            ),
        }
    } else {
        match (O::OK.decode)(text, parts) {
            Ok(body) => {
                return Ok(ServiceResponse {
                    status: response.status,
                    headers: response.headers,
                    body,
                });
            }
            Err(error) => format!("the body of the response ({status}) does not match the contract: {error}"),
        }
    };
    Err(CallError::BadReply(
        format!("{address}, `{name}`: {reason}").into(),
    ))
}

/// Decodes the error of an operation. Every response with an error status is a [`Problem`], even if its body is none.
fn decode_failure<O: Operation>(
    response: &ServiceResponse<ResponseBody>,
) -> serde_json::Result<(Status, O::Error)> {
    if TypeId::of::<O::Error>() == TypeId::of::<Problem>() {
        let problem = decode_problem(response);
        let status = problem.status().clone();
        if let Some(error) = same_type(problem) {
            return Ok((status, error));
        }
    }
    let ResponseBody { text, parts, .. } = &response.body;
    Ok((response.status.clone(), (O::ERROR.decode)(text, parts)?))
}

fn decode_problem(response: &ServiceResponse<ResponseBody>) -> Problem {
    let status = &response.status;
    match serde_json::from_slice::<Problem>(&response.body.text) {
        Ok(problem) if response.body.outcome.is_none() => problem
            .without_members(DIALECT_MEMBERS)
            .with_status_of_response(status),
        Ok(problem) => problem.with_status_of_response(status),
        Err(_) => status.clone().into(),
    }
}

/// Returns the value as a `U`, if that is its type.
fn same_type<T: 'static, U: 'static>(value: T) -> Option<U> {
    let mut value = Some(value);
    (&mut value as &mut dyn Any)
        .downcast_mut::<Option<U>>()
        .and_then(Option::take)
}
