//! Extractors: the handler arguments that are read from a message.
//!
//! [`FromMessage`] is the trait of all of them, except for path captures, which implement [`FromCapture`].

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
mod text_value;
mod upload;
mod user;
mod websocket;

pub use argument::Arg;
#[cfg(feature = "axum")]
pub use axum::{Axum, AxumBody};
pub use body::Text;
pub(crate) use captures::Captures;
pub use captures::FromCapture;
pub use context::Context;
pub(crate) use context::{AppContext, ContextSettings};
pub use extension::Extension;
pub use fill::Fill;
pub use form::Form;
pub use headers::{Header, Headers};
pub use json::Json;
#[cfg(feature = "multipart")]
pub use multipart::codec as multipart_codec;
#[cfg(feature = "multipart")]
pub use multipart::{Multipart, MultipartStream, Part, PartStream};
pub use operation::{Args, PathArgument, ReadOperation};
pub use query::Query;
pub use services::client_for;
pub use state::{Provides, State};
pub(crate) use upload::{PendingBody, PendingFile, SpooledFile};
pub use upload::{Upload, UploadError};
pub use user::{CurrentUser, User};

use crate::authority::{Authority, Scheme};
use crate::message::Message;
use crate::method::{Kind, Method};
use crate::peer::{CallerKey, RemoteAddr};
use crate::response::{IntoReply, Rejection};
use crate::spec::Spec;
use crate::status::Status;
use crate::trace::Trace;
use std::convert::Infallible;

/// Types that can be extracted from a message, as arguments of a handler.
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
/// Every argument that is not bound to a path capture is read by this trait. It is implemented for:
///
/// | type | value | rejection |
/// |---|---|---|
/// | [`Json<T>`] | the JSON in the body, or the named arguments of a call | 400, 415, 422 |
/// | [`Form<T>`] | a URL-encoded form | 413, 415, 422 |
/// | [`Multipart`](crate::Multipart), [`MultipartStream`](crate::MultipartStream), with the feature `multipart` | a form with files | 400, 413, 415 |
/// | [`Text`] | the body as text | 400 |
/// | `Bytes` | the body | |
/// | [`Upload`] | the body, as a stream | 413, 500 |
/// | [`Query<T>`] | the query | 400, 413 |
/// | [`Arg<T>`] | one field of a form or of the query, or one argument of a call, by the name of the handler argument | 400; 413 for a multipart form |
/// | [`Args<O>`] | all arguments of an operation | 400, 404 |
/// | [`State<T>`] | the state of the application, or a part of it | |
/// | [`Headers`], [`Header<T>`] | all headers, or one by the name of the handler argument | 400 for `Header<T>` |
/// | [`Cookies`](crate::Cookies), [`SignedCookies`](crate::SignedCookies) | the cookies | 500 for `SignedCookies` without a secret |
/// | [`Session`](crate::Session), [`Sessions`](crate::Sessions) | the session of the browser, or those of all users | 500 for `Session` without a secret |
/// | [`CurrentUser<U>`] | the user who is logged in | 401 or a redirect; 500 without a secret |
/// | [`Method`], [`http::Uri`] | the method, and the path with the query | |
/// | [`Authority`], [`Scheme`], [`RemoteAddr`] | the host and scheme of a web request, and the address of its client | 400 for `Authority`; 403, 500 for `RemoteAddr` |
/// | [`CallerKey`](crate::CallerKey) | the key of the caller of a service | 403 |
/// | [`Extension<T>`] | a value that a layer has added | 500 |
/// | [`Axum<T>`](crate::Axum), [`AxumBody<T>`](crate::AxumBody), with the feature `axum` | an extractor of axum | as the extractor |
/// | [`WebSocket`](crate::WebSocket), [`Upgrade`](crate::Upgrade), [`SocketSender`](crate::SocketSender) | a WebSocket, its handshake, or the client of a message socket | 400, 403, 426, 500 |
/// | [`Services`](crate::Services), the client of a contract | calls other applications | |
/// | [`Deadline`](crate::Deadline), [`Cancellation`](crate::Cancellation), [`Trace`] | the limits and the trace of the running handler | |
/// | [`ServiceResponse<T>`](crate::ServiceResponse), [`Status`] | the response of a service, in a response handler | 502 for `ServiceResponse<T>` |
/// | [`CallResult<T, E>`](crate::CallResult) | how the call has ended, in a response handler | |
/// | [`CallId`](crate::CallId) | the ID of the call, in a response handler | 500 |
/// | [`Message`] | everything | |
/// | `Option<E>`, `Result<E, E::Rejection>` | an extractor `E` that may have no value, or may fail | |
///
/// Implement the trait for every state `S`, or only for states that [provide](Provides) what the extractor needs:
/// `impl<S: Provides<Db> + Send + Sync + 'static> FromMessage<S> for Member`.
///
/// Extractors run in the order of the arguments. The first one that fails ends the request with its
/// [`Rejection`](FromMessage::Rejection). Extractors do not consume the message, so several of them can read the body, unless they
/// need [different bodies](BodyUse).
///
/// An `Option` of an extractor is `None` if the message has nothing for it, and the value or the rejection of the extractor otherwise. A
/// `Result` of an extractor and its rejection never rejects.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler argument",
    label = "no capture of the route pattern has this name, and `{Self}` is not an extractor",
    note = "extractors: `Json<T>` (body), `Query<T>`, `Arg<T>`, `State<T>`, `Headers`, `Message`, `Option<_>` of any of them",
    note = "to bind a path capture, give the argument the capture's name"
)]
pub trait FromMessage<S>: Sized {
    /// The response if the extraction fails.
    type Rejection: IntoReply;

    /// The body that the extractor reads. A handler whose arguments need different bodies does not compile. The default is
    /// [`BodyUse::None`].
    const BODY: BodyUse = BodyUse::None;

    /// The operations that the extractor can call, if it is the client of a contract. An application that calls one of them
    /// with [`nowait`](crate::TypedCall::nowait) needs a response handler for it. Default: none.
    const OPERATIONS: &'static [&'static Spec] = &[];

    /// Extracts the argument.
    ///
    /// # Errors
    ///
    /// Returns the [`Rejection`](FromMessage::Rejection) if the message has no valid value for the argument.
    fn from_message(cx: &Context<S>) -> impl Future<Output = Result<Self, Self::Rejection>> + Send;

    /// Extracts the argument for an `Option`. Returns `None` if the message has nothing for it, for example no header of its name.
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
    ///         let token = Self::from_message_if_present(cx).await?;
    ///         token.ok_or_else(|| Rejection::new(Status::FORBIDDEN, "the header `x-token` is missing"))
    ///     }
    ///
    ///     async fn from_message_if_present(cx: &Context<S>) -> Result<Option<Token>, Rejection> {
    ///         let Some(value) = cx.message().headers().get("x-token") else {
    ///             return Ok(None);
    ///         };
    ///         match value.to_str() {
    ///             Ok(text) => Ok(Some(Token(text.to_owned()))),
    ///             Err(_) => Err(Rejection::new(Status::BAD_REQUEST, "the header `x-token` is not ASCII")),
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// By default the argument is required: `Option<Self>` rejects what `Self` rejects. Override it so that the argument can be missing.
    ///
    /// # Errors
    ///
    /// Returns the [`Rejection`](FromMessage::Rejection) of [`from_message`](FromMessage::from_message) if the message has an invalid value for the argument.
    fn from_message_if_present(
        cx: &Context<S>,
    ) -> impl Future<Output = Result<Option<Self>, Self::Rejection>> + Send
    where
        S: Send + Sync + 'static,
    {
        async { Self::from_message(cx).await.map(Some) }
    }
}

/// The body that an [extractor](FromMessage::BODY) reads.
///
/// ```
/// use brubeck::{BodyUse, Context, FromMessage, Rejection, Status};
///
/// struct Lines(usize);
///
/// impl<S: Send + Sync + 'static> FromMessage<S> for Lines {
///     type Rejection = Rejection;
///
///     const BODY: BodyUse = BodyUse::Any;
///
///     async fn from_message(cx: &Context<S>) -> Result<Lines, Rejection> {
///         let body = std::str::from_utf8(cx.message().body());
///         let text = body.map_err(|_| Rejection::new(Status::BAD_REQUEST, "the body is not UTF-8"))?;
///         Ok(Lines(text.lines().count()))
///     }
/// }
/// ```
///
/// A body has one format, and a stream can be read once. So a handler does not compile if it takes two of [`Json`](BodyUse::Json),
/// [`Form`](BodyUse::Form) and [`Multipart`](BodyUse::Multipart), or a [`Stream`](BodyUse::Stream) and another argument that reads the body. An
/// `Option` or `Result` of an extractor does not need its format: a handler that takes JSON or a form takes an `Option` of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyUse {
    /// The extractor does not read the body, such as [`Query<T>`] or [`State<T>`].
    None,
    /// The extractor reads the body in memory, whatever its format is, such as [`Text`] or `Bytes`.
    Any,
    /// The body must be JSON ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)), as for [`Json<T>`]: the media type is `application/json`, or ends in `+json`.
    Json,
    /// The body must be a URL-encoded form, as for [`Form<T>`]: the media type is `application/x-www-form-urlencoded`.
    Form,
    /// The body must be a form of several parts ([RFC 7578](https://www.rfc-editor.org/rfc/rfc7578)), as for
    /// [`Multipart`](crate::Multipart): the media type is `multipart/form-data`.
    Multipart,
    /// The extractor takes the body as a stream, as [`Upload`](crate::Upload) does. The body of a web request is then not read into memory
    /// before the handler runs.
    Stream,
}

impl BodyUse {
    /// Returns the use of an argument that does not need the format.
    const fn without_format(self) -> BodyUse {
        match self {
            BodyUse::Json | BodyUse::Form | BodyUse::Multipart => BodyUse::Any,
            other => other,
        }
    }

    /// Returns whether the body is taken as a stream.
    #[doc(hidden)]
    pub const fn is_stream(self) -> bool {
        matches!(self, BodyUse::Stream)
    }
}

/// The limits for the parts of a multipart form. If the route has such limits, the message has them as an extension.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(not(feature = "multipart"), allow(dead_code))]
pub(crate) struct PartLimits {
    /// The size of each part, in bytes.
    pub(crate) bytes: Option<usize>,
    /// The number of parts.
    pub(crate) count: Option<usize>,
}

/// Returns the media type of a body, without its parameters. Returns `None` if the header is missing or is not visible ASCII.
fn media_type(headers: &http::HeaderMap) -> Option<&str> {
    let value = headers.get(http::header::CONTENT_TYPE)?.to_str().ok()?;
    value.split(';').next().map(str::trim)
}

/// Extracts the whole message: see [`Message`].
impl<S: Send + Sync + 'static> FromMessage<S> for Message {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Message, Infallible> {
        Ok(cx.message().clone())
    }
}

/// Extracts the method of the message. Never rejects.
impl<S: Send + Sync + 'static> FromMessage<S> for Method {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Method, Infallible> {
        Ok(cx.message().method())
    }
}

/// Extracts the status of a service response, in a response handler. In other handlers it is always 200. Never rejects.
impl<S: Send + Sync + 'static> FromMessage<S> for Status {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Status, Infallible> {
        Ok(cx.message().status().cloned().unwrap_or(Status::OK))
    }
}

/// Extracts the trace of the message. A message without a trace starts a new one. Never rejects.
impl<S: Send + Sync + 'static> FromMessage<S> for Trace {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Trace, Infallible> {
        Ok(cx.trace().clone())
    }
}

/// Extracts the address of the client. Rejects with 403 if it is not known, and with 500 if the message is not a web request.
impl<S: Send + Sync + 'static> FromMessage<S> for RemoteAddr {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<RemoteAddr, Rejection> {
        let unknown = || match cx.message().kind() {
            Kind::Web => {
                tracing::warn!(
                    path = cx.message().path(),
                    "the address of the client is not known, because a trusted proxy does not forward it or the connection is a Unix \
                     socket; take an `Option<RemoteAddr>` to do without it"
                );
                Rejection::new(Status::FORBIDDEN, "the address of the client is not known")
            }
            Kind::Service | Kind::Response => Rejection::new(
                Status::INTERNAL_SERVER_ERROR,
                "only a web request has the address of a client",
            ),
        };
        cx.message().remote_addr().ok_or_else(unknown)
    }

    async fn from_message_if_present(cx: &Context<S>) -> Result<Option<RemoteAddr>, Rejection> {
        Ok(cx.message().remote_addr())
    }
}

impl<S: Send + Sync + 'static> FromMessage<S> for CallerKey {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<CallerKey, Rejection> {
        let unknown = || Rejection::new(Status::FORBIDDEN, "the caller has proven no key");
        caller_key(cx).ok_or_else(unknown)
    }

    async fn from_message_if_present(cx: &Context<S>) -> Result<Option<CallerKey>, Rejection> {
        Ok(caller_key(cx))
    }
}

fn caller_key<S>(cx: &Context<S>) -> Option<CallerKey> {
    cx.message().call_meta()?.caller_key.map(CallerKey)
}

/// Extracts the host and port that the client asked for. Rejects with 400 if the request names none.
impl<S: Send + Sync + 'static> FromMessage<S> for Authority {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<Authority, Rejection> {
        let missing = || Rejection::new(Status::BAD_REQUEST, "the request names no host");
        cx.message().authority().ok_or_else(missing)
    }

    async fn from_message_if_present(cx: &Context<S>) -> Result<Option<Authority>, Rejection> {
        Ok(cx.message().authority())
    }
}

/// Extracts the scheme of a web request; other messages have [`Scheme::Http`]. Never rejects.
impl<S: Send + Sync + 'static> FromMessage<S> for Scheme {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Scheme, Infallible> {
        Ok(cx.message().scheme())
    }
}

/// Extracts `None` if the message has nothing for the inner extractor. Rejects an invalid value as the inner extractor does.
impl<S: Send + Sync + 'static, T: FromMessage<S>> FromMessage<S> for Option<T> {
    type Rejection = T::Rejection;

    const BODY: BodyUse = T::BODY.without_format();

    const OPERATIONS: &'static [&'static Spec] = T::OPERATIONS;

    async fn from_message(cx: &Context<S>) -> Result<Option<T>, T::Rejection> {
        T::from_message_if_present(cx).await
    }
}

/// Extracts the rejection of the inner extractor as an error, so that the handler can respond to it.
impl<S: Send + Sync + 'static, T: FromMessage<S>> FromMessage<S> for Result<T, T::Rejection> {
    type Rejection = Infallible;

    const BODY: BodyUse = T::BODY.without_format();

    const OPERATIONS: &'static [&'static Spec] = T::OPERATIONS;

    async fn from_message(cx: &Context<S>) -> Result<Result<T, T::Rejection>, Infallible> {
        Ok(T::from_message(cx).await)
    }

    async fn from_message_if_present(cx: &Context<S>) -> Result<Option<Result<T, T::Rejection>>, Infallible> {
        Ok(T::from_message_if_present(cx).await.transpose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn option_and_result_have_constants_of_inner_extractor() {
        static SPEC: Spec = Spec::new("a", "^/a$", Method::Request, Kind::Service);
        struct Extractor;
        impl FromMessage<()> for Extractor {
            type Rejection = Infallible;

            const BODY: BodyUse = BodyUse::Stream;

            const OPERATIONS: &'static [&'static Spec] = &[&SPEC];

            async fn from_message(_: &Context<()>) -> Result<Extractor, Infallible> {
                Ok(Extractor)
            }
        }
        fn constants<T: FromMessage<()>>() -> (BodyUse, usize) {
            (T::BODY, T::OPERATIONS.len())
        }
        assert_eq!(constants::<Option<Extractor>>(), (BodyUse::Stream, 1));
        assert_eq!(constants::<Result<Extractor, Infallible>>(), (BodyUse::Stream, 1));
        assert_eq!(constants::<Option<Json<u8>>>(), (BodyUse::Any, 0));
        assert_eq!(constants::<Result<Form<u8>, Rejection>>(), (BodyUse::Any, 0));
        assert_eq!(constants::<Option<Text>>(), (BodyUse::Any, 0));
        assert_eq!(constants::<Option<Headers>>(), (BodyUse::None, 0));
    }
}
