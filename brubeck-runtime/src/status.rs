//! The status of a response: a code and a message.

use std::borrow::Cow;
use std::fmt;

/// The status of a response: a code as in HTTP, and a message.
///
/// ```
/// use brubeck::Status;
///
/// let status = Status::new(200).message("Took a while, but I am back.");
/// assert_eq!(status.code(), 200);
/// assert!(status.is_success());
/// assert_eq!(Status::new(404).to_string(), "404 Not Found");
/// ```
///
/// A handler returns it alone, or together with a reply: `(Status, R)`. As an argument of a response handler it is the status of the
/// service's response; in any other handler it is always 200:
///
/// ```
/// use brubeck::prelude::*;
///
/// #[response_handler("/service/slow")]
/// async fn on_slow(status: Status) -> bool {
///     status.is_success()
/// }
///
/// #[post("/users")]
/// async fn create(name: Text) -> (Status, String) {
///     (Status::new(201), format!("hello, {}", name.0))
/// }
/// ```
///
/// Callers of a service receive the code and the message. HTTP clients receive the code with its standard reason phrase;
/// the message becomes the body if a handler returns a `Status` alone.
///
/// Negative codes come from services of the Python original, which use `-1` for "bad request". [`http`](Status::http) maps
/// them to HTTP codes. The codes of HTTP are those of [RFC 9110, section 15](https://www.rfc-editor.org/rfc/rfc9110#section-15).
#[derive(Clone, Debug)]
pub struct Status {
    code: i32,
    message: Option<Cow<'static, str>>,
}

impl Status {
    /// 200 OK: success.
    pub const OK: Status = Status::new(200);
    /// 204 No Content: success, and there is no body. A handler that returns `()` responds with it.
    pub const NO_CONTENT: Status = Status::new(204);
    /// 400 Bad Request: the request is malformed, such as a body that is not JSON.
    pub const BAD_REQUEST: Status = Status::new(400);
    /// 403 Forbidden: the client may not do this. A login would not help; if it would, respond with 401.
    pub const FORBIDDEN: Status = Status::new(403);
    /// 404 Not Found: nothing has this path. A handler with the error type [`Problem`](crate::Problem) may return it with `?`.
    pub const NOT_FOUND: Status = Status::new(404);
    /// 405 Method Not Allowed: the path has no handler for this method.
    pub const METHOD_NOT_ALLOWED: Status = Status::new(405);
    /// 413 Payload Too Large: the body exceeds its [limit](crate::App::body_limit).
    pub const PAYLOAD_TOO_LARGE: Status = Status::new(413);
    /// 415 Unsupported Media Type: the body has another format than the handler reads.
    pub const UNSUPPORTED_MEDIA_TYPE: Status = Status::new(415);
    /// 422 Unprocessable Entity: the format is right, but a value is not valid. [`Problem::invalid`](crate::Problem::invalid) names the field.
    pub const UNPROCESSABLE_ENTITY: Status = Status::new(422);
    /// 500 Internal Server Error: the handler failed or panicked.
    pub const INTERNAL_SERVER_ERROR: Status = Status::new(500);
    /// 502 Bad Gateway: a service that the handler called failed.
    pub const BAD_GATEWAY: Status = Status::new(502);
    /// 503 Service Unavailable: there is no capacity or no worker; a later attempt may succeed.
    pub const SERVICE_UNAVAILABLE: Status = Status::new(503);
    /// 504 Gateway Timeout: the handler, or a service that it called, did not respond in time.
    pub const GATEWAY_TIMEOUT: Status = Status::new(504);

    /// Creates a status with the standard message of its code; see [`text`](Status::text).
    ///
    /// ```
    /// use brubeck::Status;
    ///
    /// assert_eq!(Status::new(418).code(), 418);
    /// ```
    pub const fn new(code: i32) -> Status {
        Status { code, message: None }
    }

    /// Sets the message.
    ///
    /// ```
    /// use brubeck::Status;
    ///
    /// assert_eq!(Status::new(503).message("closed").text(), "closed");
    /// ```
    pub fn message(mut self, message: impl Into<Cow<'static, str>>) -> Status {
        self.message = Some(message.into());
        self
    }

    /// Returns the code.
    ///
    /// ```
    /// use brubeck::Status;
    ///
    /// assert_eq!(Status::NOT_FOUND.code(), 404);
    /// ```
    pub const fn code(&self) -> i32 {
        self.code
    }

    /// Returns the message that was set. Without one, returns the standard message of the [HTTP code](Status::http), which is
    /// empty for codes that have none.
    ///
    /// ```
    /// use brubeck::Status;
    ///
    /// assert_eq!(Status::NOT_FOUND.text(), "Not Found");
    /// ```
    pub fn text(&self) -> &str {
        match &self.message {
            Some(text) => text,
            None => self.http().canonical_reason().unwrap_or_default(),
        }
    }

    /// Returns `true` if a message was set, which may be the standard one.
    pub(crate) fn has_message(&self) -> bool {
        self.message.is_some()
    }

    /// As [`text`](Status::text), without copying a static message.
    pub(crate) fn into_text(self) -> Cow<'static, str> {
        match self.message {
            Some(text) => text,
            None => Cow::Borrowed(self.http().canonical_reason().unwrap_or_default()),
        }
    }

    /// Returns `true` for the codes 200 to 299.
    ///
    /// ```
    /// use brubeck::Status;
    ///
    /// assert!(Status::NO_CONTENT.is_success());
    /// ```
    pub const fn is_success(&self) -> bool {
        self.code >= 200 && self.code < 300
    }

    /// Returns the code as an HTTP status code.
    ///
    /// ```
    /// use brubeck::Status;
    ///
    /// assert_eq!(Status::NOT_FOUND.http(), http::StatusCode::NOT_FOUND);
    /// ```
    ///
    /// The error codes of the Python original become 400 (`-1`), 401 (`-2`), 404 (`-3`) and 405 (`-4`). All other codes below
    /// 200 or above 999 are not the final status of an HTTP response (RFC 9110, section 15) and become 500, which is logged when
    /// the response is sent.
    pub fn http(&self) -> http::StatusCode {
        let code = match self.code {
            -1 => 400,
            -2 => 401,
            -3 => 404,
            -4 => 405,
            code => u16::try_from(code).unwrap_or(500),
        };
        // 1xx are interim responses: a client would go on waiting for the final one.
        http::StatusCode::from_u16(code)
            .ok()
            .filter(|c| !c.is_informational())
            .unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// Two statuses are equal if their codes and [texts](Status::text) are, whether a text was set or is the standard one.
impl PartialEq for Status {
    fn eq(&self, other: &Status) -> bool {
        self.code == other.code && self.text() == other.text()
    }
}

impl Eq for Status {}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            "" => write!(f, "{}", self.code),
            text => write!(f, "{} {text}", self.code),
        }
    }
}

impl From<http::StatusCode> for Status {
    fn from(code: http::StatusCode) -> Status {
        Status::new(i32::from(code.as_u16()))
    }
}

impl From<u16> for Status {
    fn from(code: u16) -> Status {
        Status::new(i32::from(code))
    }
}

impl From<i32> for Status {
    fn from(code: i32) -> Status {
        Status::new(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_codes_to_http() {
        let http = |code| Status::new(code).http().as_u16();
        assert_eq!(
            [
                http(-1),
                http(-3),
                http(0),
                http(204),
                http(99),
                http(101),
                http(1000),
                http(i32::MIN)
            ],
            [400, 404, 500, 204, 500, 500, 500, 500]
        );
    }

    #[test]
    fn message_replaces_standard_text() {
        assert_eq!(Status::new(500).message("it broke").to_string(), "500 it broke");
        assert_eq!(Status::new(799).to_string(), "799");
    }
}
