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

/// Types that can be extracted from a message, as arguments of a handler.
///
/// Every argument that is not bound to a path capture is read by this trait.
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
/// Implement the trait for every state `S`, or only for states that provide what the extractor needs:
/// `impl<S: Provides<Db> + Send + Sync + 'static> FromMessage<S> for CurrentUser`.
///
/// Extractors run in the order of the arguments. The first one that fails ends the request with its
/// [`Rejection`](FromMessage::Rejection). Extractors do not consume the message, so several of them can read the body. The
/// exception is [`Upload`](crate::Upload), which takes the body as a stream: all other extractors of that handler see an empty body.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler argument",
    label = "no capture of the route pattern has this name, and `{Self}` is not an extractor",
    note = "extractors: `Json<T>` (body), `Query<T>`, `Arg<T>`, `State<T>`, `Headers`, `Message`, `Option<_>` of any of them",
    note = "to bind a path capture, give the argument the capture's name"
)]
pub trait FromMessage<S>: Sized {
    /// The response if the extraction fails.
    type Rejection: IntoReply;

    /// Set to `true` if the extractor streams the body of a web request, as [`Upload`](crate::Upload) does. The body is then
    /// not read into memory before the handler runs. Default `false`.
    const STREAMS: bool = false;

    /// The operations that the extractor can call, if it is the client of a contract. An application that calls one of them
    /// with [`nowait`](crate::TypedCall::nowait) needs a response handler for it. Default: none.
    const OPERATIONS: &'static [&'static Spec] = &[];

    /// Extracts the argument.
    ///
    /// # Errors
    ///
    /// Returns the rejection if the message has no valid value for the argument.
    fn from_message(cx: &Context<S>) -> impl Future<Output = Result<Self, Self::Rejection>> + Send;
}

/// The limit for each part of a multipart form, in bytes. If the route has such a limit, the message has it as an extension.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartLimit(#[cfg_attr(not(feature = "multipart"), allow(dead_code))] pub(crate) usize);

/// Returns the media type of a body, without its parameters. Returns `None` if the header is missing or is not visible ASCII.
fn media_type(headers: &http::HeaderMap) -> Option<&str> {
    let value = headers.get(http::header::CONTENT_TYPE)?.to_str().ok()?;
    value.split(';').next().map(str::trim)
}

/// Extracts the whole message.
impl<S: Send + Sync + 'static> FromMessage<S> for Message {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Message, Infallible> {
        Ok(cx.message().clone())
    }
}

/// Extracts the method of the message.
impl<S: Send + Sync + 'static> FromMessage<S> for Method {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Method, Infallible> {
        Ok(cx.message().method())
    }
}

/// Extracts the status of a service response, in a response handler. In other handlers it is always 200.
impl<S: Send + Sync + 'static> FromMessage<S> for Status {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Status, Infallible> {
        Ok(cx.message().status().cloned().unwrap_or(Status::OK))
    }
}

/// Extracts the trace of the message. A message without a trace starts a new one.
impl<S: Send + Sync + 'static> FromMessage<S> for Trace {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Trace, Infallible> {
        Ok(cx.trace().clone())
    }
}

/// Extracts the address of the peer that sent a web request. Behind Mongrel2, it is the address that Mongrel2 reports. Behind another
/// proxy, it is the address of that proxy, unless the proxy is in [`App::trusted_proxies`](crate::App::trusted_proxies). Rejects with 500
/// if the address is not known, as for a call or for a peer of a Unix socket.
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

/// Extracts `None` if the inner extractor rejects the message.
impl<S: Send + Sync + 'static, T: FromMessage<S>> FromMessage<S> for Option<T> {
    type Rejection = Infallible;

    const STREAMS: bool = T::STREAMS;

    const OPERATIONS: &'static [&'static Spec] = T::OPERATIONS;

    async fn from_message(cx: &Context<S>) -> Result<Option<T>, Infallible> {
        Ok(T::from_message(cx).await.ok())
    }
}

/// Extracts the rejection of the inner extractor as an error, so that the handler can respond to it.
impl<S: Send + Sync + 'static, T: FromMessage<S>> FromMessage<S> for Result<T, T::Rejection> {
    type Rejection = Infallible;

    const STREAMS: bool = T::STREAMS;

    const OPERATIONS: &'static [&'static Spec] = T::OPERATIONS;

    async fn from_message(cx: &Context<S>) -> Result<Result<T, T::Rejection>, Infallible> {
        Ok(T::from_message(cx).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::Kind;

    #[test]
    fn option_and_result_have_constants_of_inner_extractor() {
        static SPEC: Spec = Spec::new("a", "^/a$", Method::Request, Kind::Service);
        struct Extractor;
        impl FromMessage<()> for Extractor {
            type Rejection = Infallible;

            const STREAMS: bool = true;

            const OPERATIONS: &'static [&'static Spec] = &[&SPEC];

            async fn from_message(_: &Context<()>) -> Result<Extractor, Infallible> {
                Ok(Extractor)
            }
        }
        fn constants<T: FromMessage<()>>() -> (bool, usize) {
            (T::STREAMS, T::OPERATIONS.len())
        }
        assert_eq!(constants::<Option<Extractor>>(), (true, 1));
        assert_eq!(constants::<Result<Extractor, Infallible>>(), (true, 1));
    }
}
