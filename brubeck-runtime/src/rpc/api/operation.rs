//! Operations of contracts: what `#[service_client]` makes of the functions of a trait.

use super::{Answer, CallError, Request};
use crate::small_bytes;
use crate::spec::{Routed, Spec};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

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
/// [`Ask`] for the serving side and [`TypedCall`](super::TypedCall) for the calling one.
pub trait Operation: Sized + Send + 'static {
    /// The answer.
    type Ok: Send + 'static;
    /// What is answered when it fails.
    type Fault: Send + 'static;
    /// How the answer is carried.
    const OK: Carried<Self::Ok>;
    /// How the failure is carried.
    const FAULT: Carried<Self::Fault>;
    /// Its route.
    const SPEC: Spec;
    /// How long a call may take, where the contract says so.
    const WITHIN: Option<Duration>;
    /// The request that asks for it.
    fn into_request(self) -> Request;
}

/// How an answer is written and read.
///
/// The functions that make one of these are the only places where a type has to be able to go over the wire: one
/// that cannot is one error.
pub struct Carried<T> {
    pub(crate) write: fn(&T) -> serde_json::Result<Bytes>,
    read: fn(&[u8]) -> serde_json::Result<T>,
}

#[doc(hidden)]
pub const fn carried<T: Wire>() -> Carried<T> {
    Carried {
        write: |value| small_bytes::written(|text| serde_json::to_writer(text, value)),
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
pub trait AnswerOf<O> {
    /// Named by the check.
    type It;
}

impl<O: Operation> AnswerOf<O> for Answer<O::Ok> {
    type It = ();
}

/// What a call ends in, by what its service answered.
pub(super) fn read_answer<O: Operation>(answer: Answer<Bytes>) -> Result<Answer<O::Ok>, CallError<O::Fault>> {
    let Answer {
        status,
        headers,
        body: text,
    } = answer;
    if status.is_success() {
        if let Ok(body) = (O::OK.read)(&text) {
            return Ok(Answer {
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
