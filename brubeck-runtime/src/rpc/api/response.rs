//! What comes back from a service.

use super::CallError;
use crate::message::Message;
use crate::status::Status;
use bytes::Bytes;
use http::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::any::Any;
use std::fmt;

/// The answer of a service: its status, headers and body.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[response_handler("^/service/slow")]
/// async fn on_slow(reply: ServiceResponse) -> usize {
///     tracing::debug!(status = %reply.status, "the slow service is back");
///     reply.body["RETURN_DATA"].as_str().unwrap_or_default().len()
/// }
/// ```
///
/// Without a type the body is a [`serde_json::Value`]. As an argument of a response handler, an answer
/// whose body is not a `T` is refused; `Result<ServiceResponse<T>, Rejection>` takes both.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ServiceResponse<T = Value> {
    /// How it went, in the words of the service.
    pub status: Status,
    /// The headers of the answer.
    pub headers: HeaderMap,
    /// What was answered.
    pub body: T,
}

impl<T> ServiceResponse<T> {
    /// An answer without headers.
    pub fn new(status: Status, body: T) -> ServiceResponse<T> {
        ServiceResponse {
            status,
            headers: HeaderMap::new(),
            body,
        }
    }
}

/// An answer as it came: its body is the text of a JSON value.
impl ServiceResponse<Bytes> {
    /// What its text stands for.
    pub(crate) fn read<T: DeserializeOwned>(self) -> serde_json::Result<ServiceResponse<T>> {
        Ok(ServiceResponse {
            body: serde_json::from_slice(&self.body)?,
            status: self.status,
            headers: self.headers,
        })
    }

    /// The message for the response handler of this path.
    pub(crate) fn into_message(self, path: &str) -> Message {
        Message::response(path, self.status)
            .with_headers(self.headers)
            .with_body(self.body)
    }

    pub(crate) fn from_response_message(message: &Message) -> ServiceResponse<Bytes> {
        ServiceResponse {
            status: message.status().cloned().unwrap_or(Status::OK),
            headers: message.headers().clone(),
            body: message.payload().clone(),
        }
    }
}

/// What the response handler of the calling application returned.
///
/// ```
/// # use brubeck::{CallError, Client};
/// # async fn example(client: Client) -> Result<(), CallError> {
/// let (reply, handled) = client.request("/service/slow").handled().await?;
/// let seen: Option<usize> = handled.downcast();
/// # Ok(()) }
/// ```
#[must_use]
pub struct Handled(Option<Box<dyn Any + Send>>);

impl Handled {
    /// No response handler ran: none is listed for the path, or it failed.
    pub const NONE: Handled = Handled(None);

    pub(crate) fn new(value: impl Any + Send) -> Handled {
        Handled(Some(Box::new(value)))
    }

    /// Whether a response handler ran to its end.
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// The value, if a response handler ran and returned a `T`.
    pub fn downcast<T: Any>(self) -> Option<T> {
        self.0?.downcast().ok().map(|value| *value)
    }
}

impl fmt::Debug for Handled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_some() {
            "Handled(..)"
        } else {
            "Handled::NONE"
        })
    }
}

/// A body that is not what the caller expects is the fault of the service.
impl<F> From<serde_json::Error> for CallError<F> {
    fn from(error: serde_json::Error) -> CallError<F> {
        CallError::BadReply(error.to_string().into())
    }
}
