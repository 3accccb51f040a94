//! Handler arguments that are not captures: one trait, one file an extractor.

mod argument;
mod body;
mod capture;
mod headers;
mod json;
mod query;
mod state;

pub use argument::Arg;
pub use body::Text;
pub use capture::FromCapture;
pub use headers::Headers;
pub use json::Json;
pub use query::Query;
pub use state::{Provides, State};

use crate::context::Context;
use crate::message::{Message, RemoteAddr};
use crate::method::Method;
use crate::reply::{IntoReply, Response};
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

    /// Reads the argument.
    fn from_message(cx: &Context<S>) -> impl Future<Output = Result<Self, Self::Rejection>> + Send;
}

/// Why an extractor refused a message: a status, and what is wrong with which part.
///
/// ```
/// use brubeck::{IntoReply, Rejection, Status};
///
/// let rejection = Rejection::new(Status::BAD_REQUEST, "the body is not JSON");
/// assert_eq!(rejection.to_string(), "400 the body is not JSON");
/// ```
///
/// Its text goes to the client, so it must not hold secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection(Status);

impl Rejection {
    /// A refusal with a status and the reason in words.
    pub fn new(status: Status, reason: impl Into<Cow<'static, str>>) -> Rejection {
        Rejection(status.message(reason))
    }

    /// The status, whose message is the reason.
    pub fn status(&self) -> &Status {
        &self.0
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Rejection {}

impl IntoReply for Rejection {
    fn into_reply(self) -> Response {
        self.0.into_reply()
    }
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
        Ok(Trace::of(cx.message()))
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
        cx.message().extensions().get().copied().ok_or_else(unknown)
    }
}

/// `None` where the extractor refuses.
impl<S: Send + Sync + 'static, T: FromMessage<S>> FromMessage<S> for Option<T> {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Option<T>, Infallible> {
        Ok(T::from_message(cx).await.ok())
    }
}

/// The refusal itself, for the handler to deal with.
impl<S: Send + Sync + 'static, T: FromMessage<S>> FromMessage<S> for Result<T, T::Rejection> {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Result<T, T::Rejection>, Infallible> {
        Ok(T::from_message(cx).await)
    }
}
