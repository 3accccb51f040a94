//! How it went: a code and a message.

use std::borrow::Cow;
use std::fmt;

/// A status: an HTTP-like code, and a message for people.
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
/// Service peers see both the code and the message. HTTP clients see the code with its registered
/// reason phrase, and the message only as a body where a handler returns a bare `Status`.
/// Codes below zero come from Python peers, which answer `-1` for "bad request".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    code: i32,
    message: Option<Cow<'static, str>>,
}

impl Status {
    /// 200.
    pub const OK: Status = Status::new(200);
    /// 204.
    pub const NO_CONTENT: Status = Status::new(204);
    /// 400.
    pub const BAD_REQUEST: Status = Status::new(400);
    /// 403.
    pub const FORBIDDEN: Status = Status::new(403);
    /// 404.
    pub const NOT_FOUND: Status = Status::new(404);
    /// 405.
    pub const METHOD_NOT_ALLOWED: Status = Status::new(405);
    /// 413.
    pub const PAYLOAD_TOO_LARGE: Status = Status::new(413);
    /// 415.
    pub const UNSUPPORTED_MEDIA_TYPE: Status = Status::new(415);
    /// 422.
    pub const UNPROCESSABLE_ENTITY: Status = Status::new(422);
    /// 500.
    pub const INTERNAL_SERVER_ERROR: Status = Status::new(500);
    /// 502.
    pub const BAD_GATEWAY: Status = Status::new(502);
    /// 503.
    pub const SERVICE_UNAVAILABLE: Status = Status::new(503);
    /// 504.
    pub const GATEWAY_TIMEOUT: Status = Status::new(504);

    /// A status with the registered text of its code.
    pub const fn new(code: i32) -> Status {
        Status { code, message: None }
    }

    /// The same code with another message.
    pub fn message(mut self, message: impl Into<Cow<'static, str>>) -> Status {
        self.message = Some(message.into());
        self
    }

    /// The code: 200, 404, or `-1` from a Python peer.
    pub const fn code(&self) -> i32 {
        self.code
    }

    /// The message; where none was set, the registered text of the code (empty if there is none).
    pub fn text(&self) -> &str {
        match &self.message {
            Some(text) => text,
            None => self.http().canonical_reason().unwrap_or_default(),
        }
    }

    /// The message, without a copy where it is a constant.
    pub(crate) fn into_text(self) -> Cow<'static, str> {
        match self.message {
            Some(text) => text,
            None => Cow::Borrowed(self.http().canonical_reason().unwrap_or_default()),
        }
    }

    /// 200 to 299.
    pub const fn is_success(&self) -> bool {
        self.code >= 200 && self.code < 300
    }

    /// The code as HTTP can say it; the original's negative codes and all others out of range map to
    /// what they mean.
    pub fn http(&self) -> http::StatusCode {
        let code = match self.code {
            0 => 200,
            -1 => 400,
            -2 => 401,
            -3 => 404,
            -4 => 405,
            code => u16::try_from(code).unwrap_or(500),
        };
        // 1xx are not answers: sent as one they would leave the client waiting.
        http::StatusCode::from_u16(code)
            .ok()
            .filter(|c| !c.is_informational())
            .unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR)
    }
}

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
    fn codes_that_http_cannot_say_become_what_they_mean() {
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
            [400, 404, 200, 204, 500, 500, 500, 500]
        );
    }

    #[test]
    fn the_message_replaces_the_registered_text() {
        assert_eq!(Status::new(500).message("it broke").to_string(), "500 it broke");
        assert_eq!(Status::new(799).to_string(), "799");
    }
}
