//! [`Reply`]: a payload with a status and headers.

use super::{IntoReply, Response};
use crate::status::Status;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// A reply with a payload, a status code and message, and headers.
///
/// ```
/// use brubeck::{IntoReply, Reply};
///
/// // a typed payload
/// let reply = Reply::new(vec![1, 2, 3]).status(200, "Took a while, but I am back.");
/// // or one built field by field
/// let built = Reply::empty().field("RETURN_DATA", "hello").header("x-worker", "7");
///
/// assert_eq!(reply.into_reply().status().text(), "Took a while, but I am back.");
/// assert_eq!(built.into_reply().json_text(), Some(r#"{"RETURN_DATA":"hello"}"#));
/// ```
///
/// The payload becomes JSON when the handler has returned. A payload that cannot be serialised, and
/// a header that HTTP does not allow, are logged and answered with 500.
#[derive(Debug)]
#[must_use = "a reply is sent when the handler returns it"]
pub struct Reply<T = Fields> {
    payload: T,
    status: Status,
    headers: HeaderMap,
    mistake: Option<String>,
}

/// The payload that [`Reply::field`] builds: an ordered JSON object.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Fields(Map<String, Value>);

impl<T: Serialize> Reply<T> {
    /// 200 with this payload.
    pub fn new(payload: T) -> Reply<T> {
        Reply {
            payload,
            status: Status::OK,
            headers: HeaderMap::new(),
            mistake: None,
        }
    }
}

impl Reply {
    /// 200 with an empty object as payload, to which [`field`](Reply::field)s are added.
    pub fn empty() -> Reply {
        Reply::new(Fields::default())
    }

    /// Adds a field to the payload, or replaces it.
    pub fn field(mut self, name: impl Into<String>, value: impl Serialize) -> Reply {
        let name = name.into();
        match serde_json::to_value(value) {
            Ok(value) => {
                self.payload.0.insert(name, value);
            }
            Err(error) => self.mistake = Some(format!("the field `{name}` is not JSON: {error}")),
        }
        self
    }
}

impl<T> Reply<T> {
    /// Sets the status code and its message.
    pub fn status(mut self, code: i32, message: impl Into<Cow<'static, str>>) -> Reply<T> {
        self.status = Status::new(code).message(message);
        self
    }

    /// Sets the status code; its message is the registered one.
    pub fn code(mut self, code: i32) -> Reply<T> {
        self.status = Status::new(code);
        self
    }

    /// Adds a header; several of one name are all sent.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Reply<T> {
        let (name, value) = (name.as_ref(), value.as_ref());
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => {
                self.headers.append(name, value);
            }
            _ => self.mistake = Some(format!("`{}: ..` is not a header", name.escape_debug())),
        }
        self
    }

    /// The payload, as a test of a handler wants to see it.
    pub fn payload(&self) -> &T {
        &self.payload
    }
}

impl<T: Serialize> IntoReply for Reply<T> {
    fn into_reply(self) -> Response {
        if let Some(mistake) = self.mistake {
            tracing::error!(%mistake, "a reply could not be built");
            return Response::new(Status::INTERNAL_SERVER_ERROR);
        }
        Response::json(self.status, &self.payload).with_headers(self.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_cannot_split_the_response() {
        let reply = Reply::empty()
            .header("location", "/\r\nset-cookie: a=b")
            .into_reply();
        assert_eq!(reply.status().code(), 500);
        assert!(reply.headers().is_empty());
    }

    #[test]
    fn a_payload_that_is_not_json_is_500() {
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
    fn fields_keep_their_last_value() {
        let reply = Reply::empty()
            .field("a", 1)
            .field("b", "x")
            .field("a", 2)
            .into_reply();
        assert_eq!(reply.json_text(), Some(r#"{"a":2,"b":"x"}"#));
    }
}
