//! [`Reply`], a builder for responses with a JSON payload.

use super::{IntoReply, Response};
use crate::status::Status;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// A builder for a response with a JSON payload, a status and headers.
///
/// ```
/// use brubeck::{IntoReply, Reply};
///
/// // A typed payload.
/// let reply = Reply::new(vec![1, 2, 3]).status(200, "Took a while, but I am back.");
/// // A payload that is built field by field.
/// let built = Reply::empty().field("RETURN_DATA", "hello").header("x-worker", "7");
///
/// assert_eq!(reply.into_reply().status().text(), "Took a while, but I am back.");
/// assert_eq!(built.into_reply().json_text(), Some(r#"{"RETURN_DATA":"hello"}"#));
/// ```
///
/// The payload is serialized when the handler returns. If that fails, or a header is not valid in HTTP, the response is 500 and the
/// error is logged.
#[derive(Debug)]
#[must_use = "a reply is sent when the handler returns it"]
pub struct Reply<T = Fields> {
    payload: T,
    status: Status,
    headers: HeaderMap,
    /// The last error of a builder method. If there is one, the response is 500.
    error: Option<String>,
}

/// A JSON object in the order of insertion. The payload that [`Reply::field`] builds.
///
/// ```
/// use brubeck::{Fields, Reply};
///
/// let reply: Reply<Fields> = Reply::empty().field("a", 1).field("b", "x");
/// assert_eq!(serde_json::to_string(reply.payload()).unwrap(), r#"{"a":1,"b":"x"}"#);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Fields(Map<String, Value>);

impl<T: Serialize> Reply<T> {
    /// Creates a reply with status 200 and a payload.
    ///
    /// ```
    /// use brubeck::{IntoReply, Reply};
    ///
    /// assert_eq!(Reply::new([1, 2]).into_reply().json_text(), Some("[1,2]"));
    /// ```
    pub fn new(payload: T) -> Reply<T> {
        Reply {
            payload,
            status: Status::OK,
            headers: HeaderMap::new(),
            error: None,
        }
    }
}

impl Reply {
    /// Creates a reply with status 200 and an empty object as its payload. Add fields with [`field`](Reply::field).
    ///
    /// ```
    /// use brubeck::{IntoReply, Reply};
    ///
    /// assert_eq!(Reply::empty().into_reply().json_text(), Some("{}"));
    /// ```
    pub fn empty() -> Reply {
        Reply::new(Fields::default())
    }

    /// Sets a field of the payload, as JSON. It replaces a field of the same name.
    ///
    /// ```
    /// use brubeck::Reply;
    ///
    /// let reply = Reply::empty().field("a", 1).field("b", [true]).field("a", "x");
    /// assert_eq!(serde_json::to_string(reply.payload()).unwrap(), r#"{"a":"x","b":[true]}"#);
    /// ```
    ///
    /// If the value cannot be serialized, the response is 500, and the error is logged.
    pub fn field(mut self, name: impl Into<String>, value: impl Serialize) -> Reply {
        let name = name.into();
        match serde_json::to_value(value) {
            Ok(value) => {
                self.payload.0.insert(name, value);
            }
            Err(error) => self.error = Some(format!("the field `{name}` cannot be serialized: {error}")),
        }
        self
    }
}

impl<T> Reply<T> {
    /// Sets the status code and message. The default is 200, with its standard message.
    ///
    /// ```
    /// use brubeck::{IntoReply, Reply};
    ///
    /// let reply = Reply::new("wait").status(503, "The queue is full.").into_reply();
    /// assert_eq!((reply.status().code(), reply.status().text()), (503, "The queue is full."));
    /// ```
    ///
    /// Callers of a service receive the message. HTTP clients receive the code with its standard reason phrase. Use [`code`](Reply::code) to set
    /// a code without a message.
    pub fn status(mut self, code: i32, message: impl Into<Cow<'static, str>>) -> Reply<T> {
        self.status = Status::new(code).message(message);
        self
    }

    /// Sets the status code, with its standard message.
    ///
    /// ```
    /// use brubeck::{IntoReply, Reply};
    ///
    /// assert_eq!(Reply::new("made").code(201).into_reply().status().code(), 201);
    /// ```
    pub fn code(mut self, code: i32) -> Reply<T> {
        self.status = Status::new(code);
        self
    }

    /// Adds a header. It does not replace other headers with the same name, except for `content-type`.
    ///
    /// ```
    /// use brubeck::{IntoReply, Reply};
    ///
    /// let response = Reply::new("made").header("x-number", "7").into_reply();
    /// assert_eq!(response.headers()["x-number"], "7");
    /// ```
    ///
    /// If the name or the value is not valid in HTTP, the response is 500 and the error is logged.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Reply<T> {
        let (name, value) = (name.as_ref(), value.as_ref());
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => {
                self.headers.append(name, value);
            }
            _ => self.error = Some(format!("the header `{}` is not valid", name.escape_debug())),
        }
        self
    }

    /// Returns the payload, for tests of a handler.
    ///
    /// ```
    /// assert_eq!(brubeck::Reply::new(7).payload(), &7);
    /// ```
    pub fn payload(&self) -> &T {
        &self.payload
    }
}

impl<T: Serialize> IntoReply for Reply<T> {
    fn into_reply(self) -> Response {
        if let Some(error) = self.error {
            tracing::error!(%error, "could not build reply");
            return Response::new(Status::INTERNAL_SERVER_ERROR);
        }
        Response::json(self.status, &self.payload).with_headers(self.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_line_breaks_in_header() {
        let reply = Reply::empty()
            .header("location", "/\r\nset-cookie: a=b")
            .into_reply();
        assert_eq!(reply.status().code(), 500);
        assert!(reply.headers().is_empty());
    }

    #[test]
    fn unserializable_payload_is_500() {
        let map = std::collections::HashMap::from([((1, 2), 3)]);
        assert_eq!(Reply::new(map).into_reply().status().code(), 500);
        assert_eq!(
            Reply::empty()
                .field("a", std::collections::HashMap::from([((1, 2), 3)]))
                .into_reply()
                .status()
                .code(),
            500
        );
    }

    #[test]
    fn field_replaces_earlier_value_in_place() {
        let reply = Reply::empty()
            .field("a", 1)
            .field("b", "x")
            .field("a", 2)
            .into_reply();
        assert_eq!(reply.json_text(), Some(r#"{"a":2,"b":"x"}"#));
    }
}
