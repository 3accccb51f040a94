//! Handler arguments that are not captures: one trait, one file an extractor.

mod argument;
#[cfg(feature = "axum")]
mod axum;
mod body;
mod capture;
mod form;
mod header;
mod headers;
mod json;
#[cfg(feature = "multipart")]
mod multipart;
mod query;
mod request;
mod state;
mod user;

pub use argument::Arg;
#[cfg(feature = "axum")]
pub use axum::{Axum, AxumBody};
pub use body::Text;
pub use capture::FromCapture;
pub use form::Form;
pub use header::Header;
pub use headers::Headers;
pub use json::Json;
#[cfg(feature = "multipart")]
pub use multipart::{Multipart, Part};
pub use query::Query;
pub use request::Extension;
pub use state::{Provides, State};
pub(crate) use user::LoginUrl;
pub use user::{CurrentUser, User};

use crate::context::Context;
use crate::message::{Message, RemoteAddr};
use crate::method::Method;
use crate::reply::{IntoReply, Problem, Response};
use crate::route::Spec;
use crate::status::Status;
use crate::trace::Trace;
use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;

/// A handler argument that is not a path capture.
///
/// ```
/// use brubeck::{Context, FromMessage, Rejection, Status};
///
/// struct Token(String);
///
/// impl<S: Send + Sync + 'static> FromMessage<S> for Token {
///     type Rejection = Rejection;
///
///     async fn from_message(cx: &Context<S>) -> Result<Token, Rejection> {
///         match cx.message().headers().get("x-token").and_then(|value| value.to_str().ok()) {
///             Some(token) => Ok(Token(token.to_owned())),
///             None => Err(Rejection::new(Status::FORBIDDEN, "the header `x-token` is missing")),
///         }
///     }
/// }
/// ```
///
/// Implement it for every state `S`, or for those that provide what it needs:
/// `impl<S: Provides<Db> + Send + Sync + 'static> FromMessage<S> for CurrentUser`.
/// A message is whole in memory, so extractors come in any order and each reads all of it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler argument",
    label = "no capture of the route pattern has this name, and `{Self}` is not an extractor",
    note = "extractors: `Json<T>` (body), `Query<T>`, `Arg<T>`, `State<T>`, `Headers`, `Message`, `Option<_>` of any of them",
    note = "to bind a path capture, give the argument the capture's name"
)]
pub trait FromMessage<S>: Sized {
    /// What is answered where the message does not hold it.
    type Rejection: IntoReply;

    /// Whether it takes the body of a web request while that comes, as [`Upload`](crate::Upload) does. The body is then
    /// not read into memory before the handler runs.
    const STREAMS: bool = false;

    /// The operations that it calls, where it is the client of a contract: an application that sends one of them with
    /// [`nowait`](crate::TypedCall::nowait) needs a response handler for it.
    const OPERATIONS: &'static [&'static Spec] = &[];

    /// Reads the argument.
    fn from_message(cx: &Context<S>) -> impl Future<Output = Result<Self, Self::Rejection>> + Send;
}

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
    fn of_field(status: Status, what: &str, path: &str, error: &dyn fmt::Display) -> Rejection {
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
            Some(field) => problem.field(field, self.status.text().to_owned()).into_reply(),
            None => problem.into_reply(),
        }
    }
}

/// How large a part of a form may be, in bytes; known beside the message where a route has such a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartLimit(#[cfg_attr(not(feature = "multipart"), allow(dead_code))] pub(crate) usize);

/// The media type of a body, without its parameters.
fn media_type(headers: &http::HeaderMap) -> Option<&str> {
    let value = headers.get(http::header::CONTENT_TYPE)?.to_str().ok()?;
    value.split(';').next().map(str::trim)
}

/// The whole message.
impl<S: Send + Sync + 'static> FromMessage<S> for Message {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Message, Infallible> {
        Ok(cx.message().clone())
    }
}

/// The method: useful where one handler serves several patterns.
impl<S: Send + Sync + 'static> FromMessage<S> for Method {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Method, Infallible> {
        Ok(cx.message().method())
    }
}

/// The status of a service's answer, in a response handler.
impl<S: Send + Sync + 'static> FromMessage<S> for Status {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Status, Infallible> {
        Ok(cx.message().status().cloned().unwrap_or(Status::OK))
    }
}

/// The trace that the message belongs to; one that belongs to none has begun its own.
impl<S: Send + Sync + 'static> FromMessage<S> for Trace {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Trace, Infallible> {
        Ok(cx.trace().clone())
    }
}

/// The address of the browser; behind Mongrel2 the one that Mongrel2 saw.
impl<S: Send + Sync + 'static> FromMessage<S> for RemoteAddr {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<RemoteAddr, Rejection> {
        let unknown = || {
            Rejection::new(
                Status::INTERNAL_SERVER_ERROR,
                "the address of the client is not known",
            )
        };
        cx.message().remote_addr().ok_or_else(unknown)
    }
}

/// `None` where the extractor refuses.
impl<S: Send + Sync + 'static, T: FromMessage<S>> FromMessage<S> for Option<T> {
    type Rejection = Infallible;

    const STREAMS: bool = T::STREAMS;

    async fn from_message(cx: &Context<S>) -> Result<Option<T>, Infallible> {
        Ok(T::from_message(cx).await.ok())
    }
}

/// The refusal itself, for the handler to deal with.
impl<S: Send + Sync + 'static, T: FromMessage<S>> FromMessage<S> for Result<T, T::Rejection> {
    type Rejection = Infallible;

    const STREAMS: bool = T::STREAMS;

    async fn from_message(cx: &Context<S>) -> Result<Result<T, T::Rejection>, Infallible> {
        Ok(T::from_message(cx).await)
    }
}
