//! Handler arguments that are not captures: one trait, one file an extractor.

mod argument;
#[cfg(feature = "axum")]
mod axum;
mod body;
mod captures;
mod context;
mod cookies;
mod extension;
pub(crate) mod fill;
mod form;
mod headers;
mod json;
#[cfg(feature = "multipart")]
mod multipart;
pub(crate) mod operation;
mod query;
mod services;
mod state;
mod upload;
mod user;
mod websocket;

pub use argument::Arg;
#[cfg(feature = "axum")]
pub use axum::{Axum, AxumBody};
pub use body::Text;
pub(crate) use captures::Captures;
pub use captures::FromCapture;
pub(crate) use context::AppContext;
pub use context::Context;
pub use extension::Extension;
pub use fill::Fill;
pub use form::Form;
pub use headers::{Header, Headers};
pub use json::Json;
#[cfg(feature = "multipart")]
pub use multipart::{Multipart, Part};
pub use operation::{Args, Arguments, PathArgument, ReadOperation};
pub use query::Query;
pub use services::client_for;
pub use state::{Provides, State};
pub(crate) use upload::{PendingBody, PendingFile, SpooledFile};
pub use upload::{Upload, UploadError};
pub use user::{CurrentUser, User};

use crate::message::{Message, RemoteAddr};
use crate::method::Method;
use crate::response::{IntoReply, Rejection};
use crate::spec::Spec;
use crate::status::Status;
use crate::trace::Trace;
use std::convert::Infallible;

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
