//! The response of a service, and the output of its response handler.

use super::decode::of_response;
use super::{CallEnd, CallError, CallErrorReason, CallSite, ServiceRequest};
use crate::json_parts;
use crate::message::Message;
use crate::outcome::Outcome;
use crate::peer::CalledOperation;
use crate::problem::Problem;
use crate::status::Status;
use bytes::Bytes;
use http::HeaderMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

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
    /// The status that the service set: 200, unless its handler returned another one or an error.
    ///
    /// An error status is not a [`CallError`] for a call without a contract, so check [`is_success`](Status::is_success), or call
    /// [`error_for_status`](ServiceResponse::error_for_status).
    pub status: Status,
    /// The headers of the response, except for those whose name or value is not valid in HTTP.
    pub headers: HeaderMap,
    /// The body of the response: JSON, deserialized into `T`.
    ///
    /// Text of the handler is a JSON string. A response without a body, such as an error with a status and a message, has
    /// an empty object, to which the dialects of the Python original add the status.
    pub body: T,
}

impl<T> ServiceResponse<T> {
    /// Creates a response without headers.
    ///
    /// ```
    /// use brubeck::{ServiceResponse, Status};
    ///
    /// let response = ServiceResponse::new(Status::OK, "hello");
    /// assert_eq!(response.body, "hello");
    /// ```
    pub fn new(status: Status, body: T) -> ServiceResponse<T> {
        ServiceResponse {
            status,
            headers: HeaderMap::new(),
            body,
        }
    }
}

impl ServiceResponse {
    /// Returns the response if its status is a success, and an error otherwise.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// async fn text(slow: Client) -> Result<String, CallError> {
    ///     let response = slow.request("/service/slow").await?.error_for_status()?;
    ///     Ok(response.body["text"].to_string())
    /// }
    /// ```
    ///
    /// For calls without a contract, whose responses may have any status. Those of a contract fail with the same error.
    ///
    /// # Errors
    ///
    /// Returns [`CallError::Failure`] if the status is not from 200 to 299. Its error is the problem in the body, or the status if the body
    /// is none. It does not name the call, which the response does not know.
    pub fn error_for_status(self) -> Result<ServiceResponse, CallError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let problem = match serde_json::from_value::<Problem>(self.body) {
            Ok(problem) => of_response(problem, &self.status),
            Err(_) => self.status.into(),
        };
        Err(CallError::Failure {
            status: problem.status().clone(),
            reason: problem.to_string().into(),
            error: problem,
        })
    }
}

/// The body of a response that is not read yet: JSON text, and the bytes to which it refers. [Layers](crate::Client::layer) get it.
///
/// ```
/// use brubeck::{CallError, ResponseBody, ServiceResponse, Status};
///
/// # fn main() -> Result<(), serde_json::Error> {
/// let body = ResponseBody::new(&[640, 480])?;
/// assert_eq!(body.json(), "[640,480]");
/// assert_eq!(body.read::<(u32, u32)>()?, (640, 480));
/// // The response of a layer that does not send the call.
/// let response = ServiceResponse::new(Status::OK, body);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ResponseBody {
    /// The JSON text.
    pub(crate) text: Bytes,
    /// The bytes to which the text refers.
    pub(crate) parts: Vec<Bytes>,
    /// `None` if the protocol does not say how the call has ended.
    pub(crate) outcome: Option<Outcome>,
    /// The address of the worker that has responded, for errors. `None` if the protocol does not know it.
    pub(crate) worker: Option<Arc<str>>,
}

impl ResponseBody {
    /// Serializes a value: see the example of [`ResponseBody`].
    ///
    /// # Errors
    ///
    /// Returns an error if `value` cannot be serialized as JSON.
    pub fn new(value: &impl Serialize) -> serde_json::Result<ResponseBody> {
        let (mut text, mut parts) = (Vec::new(), Vec::new());
        json_parts::write_borrowed(&mut text, &mut parts, value)?;
        Ok(ResponseBody {
            parts,
            ..ResponseBody::from(Bytes::from(text))
        })
    }

    /// Returns the body as JSON text, in which bytes are arrays of numbers.
    ///
    /// ```
    /// use brubeck::{Bytes, ResponseBody};
    ///
    /// # fn main() -> Result<(), serde_json::Error> {
    /// assert_eq!(ResponseBody::new(&("pixels", Bytes::from_static(&[0, 255])))?.json(), r#"["pixels",[0,255]]"#);
    /// # Ok(()) }
    /// ```
    pub fn json(&self) -> Bytes {
        json_parts::inline(self.text.clone(), &self.parts)
    }

    /// Deserializes the body: see the example of [`ResponseBody`].
    ///
    /// # Errors
    ///
    /// Returns an error if the body is not a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        json_parts::read(&self.text, &self.parts)
    }
}

impl From<Bytes> for ResponseBody {
    fn from(text: Bytes) -> ResponseBody {
        ResponseBody {
            text,
            ..ResponseBody::default()
        }
    }
}

impl ServiceResponse<ResponseBody> {
    /// Parses the body.
    pub(crate) fn decode<T: DeserializeOwned>(self) -> serde_json::Result<ServiceResponse<T>> {
        Ok(ServiceResponse {
            body: json_parts::read(&self.body.text, &self.body.parts)?,
            status: self.status,
            headers: self.headers,
        })
    }

    /// Returns the message for the response handler of a call.
    pub(crate) fn into_message(self, call: &CallTarget, mut end: CallEnd) -> Message {
        end.outcome = self.body.outcome;
        let mut site = CallSite::of_worker(self.body.worker);
        site.merge(end.site);
        end.site = site;
        Message::response(&call.path, self.status)
            .with_extension(end)
            .with_headers(self.headers)
            .with_body(self.body.text)
            .with_parts(self.body.parts)
            .with_operation(call.operation.clone())
    }

    /// Reverses [`into_message`](Self::into_message), except for the target.
    pub(crate) fn from_response_message(message: &Message) -> ServiceResponse<ResponseBody> {
        ServiceResponse {
            status: message.status().cloned().unwrap_or(Status::OK),
            headers: message.headers().clone(),
            body: ResponseBody {
                text: message.payload().clone(),
                parts: message.parts().to_vec(),
                ..ResponseBody::default()
            },
        }
    }
}

/// The target of a call, by which its response handler is found.
#[derive(Clone, Debug)]
pub(crate) struct CallTarget {
    pub(crate) path: String,
    pub(crate) operation: Option<CalledOperation>,
}

impl CallTarget {
    pub(crate) fn of(request: &ServiceRequest) -> CallTarget {
        CallTarget {
            path: request.path().to_owned(),
            operation: request.called_operation(),
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
    /// The value if no response handler ran to its end.
    ///
    /// ```
    /// use brubeck::Handled;
    ///
    /// assert_eq!(Handled::NONE.downcast::<usize>(), None);
    /// ```
    ///
    /// The reason is that the client belongs to no application, that no handler is listed for the path, or that it rejected the response or
    /// panicked.
    pub const NONE: Handled = Handled(None);

    pub(crate) fn new(value: impl Any + Send) -> Handled {
        Handled(Some(Box::new(value)))
    }

    /// Returns `true` if a response handler ran to its end.
    ///
    /// ```
    /// use brubeck::Handled;
    ///
    /// assert!(!Handled::NONE.is_some());
    /// ```
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the output of the response handler. Returns `None` if no handler ran to its end, or if its output is not a `T`.
    ///
    /// ```
    /// # use brubeck::{CallError, Client, Handled};
    /// # async fn example(client: Client) -> Result<(), CallError> {
    /// let (_, handled) = client.request("/service/slow").handled().await?;
    /// match handled.downcast::<usize>() {
    ///     Some(length) => println!("{length} bytes were handled"),
    ///     None => println!("no handler with this output ran to its end"),
    /// }
    /// assert_eq!(Handled::NONE.downcast::<usize>(), None);
    /// # Ok(()) }
    /// ```
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
        CallError::BadReply(CallErrorReason::of(error))
    }
}
