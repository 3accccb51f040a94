//! The rejection of extractors.

use super::{IntoReply, Problem, Response};
use crate::status::Status;
use std::borrow::Cow;
use std::fmt;

/// The rejection of an extractor: a status, a reason, and the field that is invalid, if there is one.
///
/// ```
/// use brubeck::{IntoReply, Rejection, Status};
///
/// let rejection = Rejection::new(Status::BAD_REQUEST, "a user is at least 18 years old").at("user.age");
/// assert_eq!(rejection.to_string(), "400 a user is at least 18 years old");
/// assert_eq!(rejection.field(), Some("user.age"));
/// ```
///
/// As a reply, it is a [`Problem`], in the format that the client prefers. The client sees the reason, so it must not contain secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    status: Status,
    field: Option<String>,
}

impl Rejection {
    /// Creates a rejection with a status and a reason.
    ///
    /// ```
    /// use brubeck::{Rejection, Status};
    ///
    /// let rejection = Rejection::new(Status::FORBIDDEN, "the header `x-token` is missing");
    /// assert_eq!(rejection.to_string(), "403 the header `x-token` is missing");
    /// ```
    ///
    /// The client sees the reason. It replaces the message of the status.
    pub fn new(status: Status, reason: impl Into<Cow<'static, str>>) -> Rejection {
        Rejection {
            status: status.message(reason),
            field: None,
        }
    }

    /// Sets the path of the invalid field, such as `user.age`.
    ///
    /// ```
    /// use brubeck::{Rejection, Status};
    ///
    /// let rejection = Rejection::new(Status::UNPROCESSABLE_ENTITY, "too young").at("user.age");
    /// assert_eq!(rejection.field(), Some("user.age"));
    /// ```
    pub fn at(mut self, field: impl Into<String>) -> Rejection {
        self.field = Some(field.into());
        self
    }

    /// Creates a rejection for data that cannot be deserialized. An empty path and `.` stand for the whole value.
    pub(crate) fn for_field(
        status: Status,
        message: &str,
        path: &str,
        error: &dyn fmt::Display,
    ) -> Rejection {
        match path {
            "" | "." => Rejection::new(status, format!("{message}: {error}")),
            path => Rejection::new(status, format!("{message}: `{path}`: {error}")).at(path),
        }
    }

    /// Returns the status, with the reason as its message.
    ///
    /// ```
    /// use brubeck::{Rejection, Status};
    ///
    /// assert_eq!(Rejection::new(Status::FORBIDDEN, "no").status().code(), 403);
    /// ```
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Returns the path of the invalid field. Returns `None` if none was [set](Rejection::at).
    ///
    /// ```
    /// use brubeck::{Rejection, Status};
    ///
    /// let rejection = Rejection::new(Status::UNPROCESSABLE_ENTITY, "must be a number").at("age");
    /// assert_eq!(rejection.field(), Some("age"));
    /// ```
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status.fmt(f)
    }
}

impl std::error::Error for Rejection {}

impl IntoReply for Rejection {
    fn into_reply(self) -> Response {
        Problem::from(self).into_reply()
    }
}
