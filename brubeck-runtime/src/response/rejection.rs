//! Why an extractor refuses a message.

use super::{IntoReply, Problem, Response};
use crate::status::Status;
use std::borrow::Cow;
use std::fmt;

/// Why an extractor refused a message: a status, what is wrong, and with which field.
///
/// ```
/// use brubeck::{IntoReply, Rejection, Status};
///
/// let rejection = Rejection::new(Status::BAD_REQUEST, "a user is at least 18 years old").at("user.age");
/// assert_eq!(rejection.to_string(), "400 a user is at least 18 years old");
/// assert_eq!(rejection.field(), Some("user.age"));
/// ```
///
/// The client reads it as it prefers, see [`Problem`]. Its text must not hold secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    status: Status,
    field: Option<String>,
}

impl Rejection {
    /// A refusal with a status and the reason in words.
    pub fn new(status: Status, reason: impl Into<Cow<'static, str>>) -> Rejection {
        Rejection {
            status: status.message(reason),
            field: None,
        }
    }

    /// The same refusal, which blames this field: its path, such as `user.age`.
    pub fn at(mut self, field: impl Into<String>) -> Rejection {
        self.field = Some(field.into());
        self
    }

    /// A refusal of data that does not fit; a path of `.` is all of it.
    pub(crate) fn of_field(status: Status, what: &str, path: &str, error: &dyn fmt::Display) -> Rejection {
        match path {
            "" | "." => Rejection::new(status, format!("{what}: {error}")),
            path => Rejection::new(status, format!("{what}: `{path}`: {error}")).at(path),
        }
    }

    /// The status, whose message is the reason.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The field that is to blame.
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
        let problem = Problem::of(self.status.clone());
        match self.field {
            Some(field) => problem.invalid(field, self.status.text().to_owned()).into_reply(),
            None => problem.into_reply(),
        }
    }
}
