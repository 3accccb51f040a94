//! What is answered where a call of the handler, or the handler itself, has failed.

use super::{IntoReply, Rejection, Response};
use crate::rpc::api::{CallError, Fault};
use crate::status::Status;

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
