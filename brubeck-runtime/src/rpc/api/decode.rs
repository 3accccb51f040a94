//! Decodes responses into the types of a contract.

use super::sending::SentCall;
use super::{CallError, CallErrorReason, Operation, ResponseBody, ServiceResponse};
use crate::codec::truncated;
use crate::outcome::Outcome;
use crate::problem::Problem;
use crate::status::Status;
use bytes::Bytes;
use std::any::{Any, TypeId};

/// The members that a dialect of the Python original adds to the body of each response.
const DIALECT_MEMBERS: &[&str] = &["status_code", "status_msg", "timestamp"];

/// Limit for the length of a contract's error in the text of a call error, in bytes.
const MAX_ERROR_TEXT: usize = 512;

/// Decodes the response of an operation.
pub(super) fn decode_response<O: Operation>(
    response: ServiceResponse<ResponseBody>,
    sent: &SentCall,
) -> Result<ServiceResponse<O::Ok>, CallError<O::Error>> {
    sent.decode(response, |response| {
        decode_outcome(response, O::OK.decode, O::ERROR.decode)
    })
}

/// Decodes a body: JSON text, and the bytes to which it refers.
type DecodeFn<T> = fn(&[u8], &[Bytes]) -> serde_json::Result<T>;

/// Decodes the response of an operation by its outcome.
pub(super) fn decode_outcome<T, E: 'static>(
    response: ServiceResponse<ResponseBody>,
    decode_value: DecodeFn<T>,
    decode_error: DecodeFn<E>,
) -> Result<ServiceResponse<T>, CallError<E>> {
    let status = &response.status;
    let ResponseBody {
        text, parts, outcome, ..
    } = &response.body;
    // A protocol without outcomes has only the status. So has a handler that serves the path without the contract.
    let failed = match outcome {
        Some(Outcome::Rejected) => {
            return Err(CallError::Refused(CallErrorReason::of_status(status)));
        }
        Some(Outcome::Panicked) => {
            return Err(CallError::Panicked(
                "the log of the service has the reason".into(),
            ));
        }
        Some(Outcome::Failure) => true,
        Some(Outcome::Value) | None => !status.is_success(),
    };
    if failed {
        return Err(match decode_failure(&response, decode_error) {
            Ok((status, error)) => {
                let reason = failure_text(&status, &error, text).into();
                CallError::Failure {
                    status,
                    error,
                    reason,
                }
            }
            // A handler without the contract has no error of the contract to send.
            Err(_) if matches!(&text[..], b"" | b"{}") || status.code() >= 500 => CallError::BadReply(
                format!("the service responded with the status {status}; its log has the reason").into(),
            ),
            Err(error) => CallError::BadReply(CallErrorReason::because(
                format!(
                    "the service responded with the status {status}, and the body is not the error of the contract: {error}"
                ),
                error,
            )),
        });
    }
    match decode_value(text, parts) {
        Ok(body) => Ok(ServiceResponse {
            status: response.status,
            headers: response.headers,
            body,
        }),
        Err(error) => Err(CallError::BadReply(CallErrorReason::because(
            format!("the body of the response ({status}) does not match the contract: {error}"),
            error,
        ))),
    }
}

/// Returns the text of an error of the contract: that of a problem, or the beginning of the JSON of another type.
fn failure_text<E: 'static>(status: &Status, error: &E, json: &[u8]) -> String {
    if let Some(problem) = (error as &dyn Any).downcast_ref::<Problem>() {
        return problem.to_string();
    }
    let json = String::from_utf8_lossy(json);
    let start = truncated(&json, MAX_ERROR_TEXT);
    let more = if start.len() < json.len() { " .." } else { "" };
    format!("{status}: {start}{more}")
}

/// Decodes the error of an operation. Every response with an error status is a [`Problem`], whatever its body is.
fn decode_failure<E: 'static>(
    response: &ServiceResponse<ResponseBody>,
    decode: DecodeFn<E>,
) -> serde_json::Result<(Status, E)> {
    if TypeId::of::<E>() == TypeId::of::<Problem>() {
        let problem = decode_problem(response);
        let status = problem.status().clone();
        if let Some(error) = same_type(problem) {
            return Ok((status, error));
        }
    }
    let ResponseBody { text, parts, .. } = &response.body;
    Ok((response.status.clone(), decode(text, parts)?))
}

fn decode_problem(response: &ServiceResponse<ResponseBody>) -> Problem {
    let status = &response.status;
    match serde_json::from_slice::<Problem>(&response.body.text) {
        Ok(problem) if response.body.outcome.is_none() => of_response(problem, status),
        Ok(problem) => problem.with_status_of_response(status),
        Err(_) => status.clone().into(),
    }
}

/// Completes the problem of a response that may be that of a dialect.
pub(super) fn of_response(problem: Problem, status: &Status) -> Problem {
    problem
        .without_members(DIALECT_MEMBERS)
        .with_status_of_response(status)
}

/// Returns the value as a `U`, if that is its type.
fn same_type<T: 'static, U: 'static>(value: T) -> Option<U> {
    let mut value = Some(value);
    (&mut value as &mut dyn Any)
        .downcast_mut::<Option<U>>()
        .and_then(Option::take)
}
