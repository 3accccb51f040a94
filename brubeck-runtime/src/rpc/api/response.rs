//! The response of a service, and the output of its response handler.

use super::CallError;
use crate::message::Message;
use crate::status::Status;
use bytes::Bytes;
use http::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::any::Any;
use std::fmt;

/// The response of a service: a status, headers and a body.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[response_handler("^/service/slow")]
/// async fn on_slow(response: ServiceResponse) -> usize {
///     tracing::debug!(status = %response.status, "the slow service has responded");
///     response.body["RETURN_DATA"].as_str().unwrap_or_default().len()
/// }
/// ```
///
/// The body is a [`serde_json::Value`] unless a type is given. As an argument of a response handler, a
/// `ServiceResponse<T>` rejects a response whose body is not a `T`; `Result<ServiceResponse<T>, Rejection>` accepts both
/// cases.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ServiceResponse<T = Value> {
    /// The status that the service set.
    pub status: Status,
    /// The headers of the response, except for those whose name or value is not valid in HTTP.
    pub headers: HeaderMap,
    /// The body of the response.
    pub body: T,
}

impl<T> ServiceResponse<T> {
    /// Creates a response without headers.
    pub fn new(status: Status, body: T) -> ServiceResponse<T> {
        ServiceResponse {
            status,
            headers: HeaderMap::new(),
            body,
        }
    }
}

/// A response as it was received: its body is JSON text.
impl ServiceResponse<Bytes> {
    /// Parses the body.
    pub(crate) fn decode<T: DeserializeOwned>(self) -> serde_json::Result<ServiceResponse<T>> {
        Ok(ServiceResponse {
            body: serde_json::from_slice(&self.body)?,
            status: self.status,
            headers: self.headers,
        })
    }

    /// Returns the message for the response handler of `path`.
    pub(crate) fn into_message(self, path: &str) -> Message {
        Message::response(path, self.status)
            .with_headers(self.headers)
            .with_body(self.body)
    }

    /// Reverses [`into_message`](Self::into_message), except for the path.
    pub(crate) fn from_response_message(message: &Message) -> ServiceResponse<Bytes> {
        ServiceResponse {
            status: message.status().cloned().unwrap_or(Status::OK),
            headers: message.headers().clone(),
            body: message.payload().clone(),
        }
    }
}

/// The output of a response handler, as the second value of a [`handled`](crate::Call::handled) call.
///
/// ```
/// # use brubeck::{CallError, Client};
/// # async fn example(client: Client) -> Result<(), CallError> {
/// let (response, handled) = client.request("/service/slow").handled().await?;
/// let length: Option<usize> = handled.downcast();
/// # Ok(()) }
/// ```
#[must_use]
pub struct Handled(Option<Box<dyn Any + Send>>);

impl Handled {
    /// The value if no response handler ran to its end: the client belongs to no application, no handler is listed for the
    /// path, or it rejected the response or panicked.
    pub const NONE: Handled = Handled(None);

    pub(crate) fn new(value: impl Any + Send) -> Handled {
        Handled(Some(Box::new(value)))
    }

    /// Returns `true` if a response handler ran to its end.
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the output of the response handler, if one ran and its output is a `T`.
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

/// A body that does not have the expected type is a [`BadReply`](CallError::BadReply).
impl<F> From<serde_json::Error> for CallError<F> {
    fn from(error: serde_json::Error) -> CallError<F> {
        CallError::BadReply(error.to_string().into())
    }
}
