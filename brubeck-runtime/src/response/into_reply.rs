//! Everything a handler can return.

use super::{Body, BoxError, Payload, Problem, Response};
use crate::status::Status;
use bytes::Bytes;
use std::borrow::Cow;

/// What a handler can return.
///
/// ```
/// use brubeck::{IntoReply, Response, Status};
///
/// enum Light { Green, Red }
///
/// impl IntoReply for Light {
///     fn into_reply(self) -> Response {
///         match self {
///             Light::Green => "go".into_reply(),
///             Light::Red => Status::new(409).message("wait").into_reply(),
///         }
///     }
/// }
/// assert_eq!(Light::Red.into_reply().status().code(), 409);
/// ```
///
/// | returned | status | content |
/// |---|---|---|
/// | [`Reply<T>`](crate::Reply) | as set | JSON |
/// | [`Json<T>`](crate::Json) | 200 | JSON |
/// | [`Page<T>`](crate::Page) | 200 | HTML from a template |
/// | `&'static str`, `String`, `Cow<'static, str>` | 200 | plain text |
/// | [`Html`] | 200 | HTML as it stands |
/// | `Bytes`, `Vec<u8>` | 200 | `application/octet-stream` |
/// | [`Status`] | as it says | its message as text |
/// | `()` | 200; 204 over HTTP | none |
/// | [`Redirect`](crate::Redirect) | 303 or another | none |
/// | [`Events`](crate::Events) | 200 | server-sent events |
/// | [`Body`] | 200 | `application/octet-stream`, piece by piece |
/// | [`Problem`](crate::Problem), [`NotFound`] | as it says | the reason, as the client wants it |
/// | `(Status, R)`, `([(name, value); N], R)` | as it says, as `R` | that of `R`, with these headers |
/// | `http::Response<B>` | as it says | as it says |
/// | `Result<R, E>`, `Option<R>` (`None`: 404) | as the one that is there | the same |
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a reply",
    label = "a handler returns something that becomes a reply",
    note = "return `Json<T>`, `Page<T>`, `Reply<T>`, `&str`, `String`, `Status`, `()`, or a `Result` of a reply and an error that is one"
)]
pub trait IntoReply {
    /// The reply with its type erased.
    fn into_reply(self) -> Response;
}

/// Text that is HTML already.
///
/// ```
/// use brubeck::{Html, IntoReply};
///
/// let response = Html("<h1>hello</h1>").into_reply();
/// assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
/// ```
///
/// Nothing is escaped: use [`Page`](crate::Page) to show what somebody else wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Html<T>(pub T);

impl<T: Into<Cow<'static, str>>> IntoReply for Html<T> {
    fn into_reply(self) -> Response {
        Response::html(Status::OK, text(self.0.into()))
    }
}

impl IntoReply for Response {
    fn into_reply(self) -> Response {
        self
    }
}

impl IntoReply for () {
    fn into_reply(self) -> Response {
        Response::new(Status::OK).with_payload(Payload::Empty)
    }
}

impl IntoReply for &'static str {
    fn into_reply(self) -> Response {
        Response::text(Status::OK, self)
    }
}

impl IntoReply for String {
    fn into_reply(self) -> Response {
        Response::text(Status::OK, self)
    }
}

impl IntoReply for Cow<'static, str> {
    fn into_reply(self) -> Response {
        Response::text(Status::OK, text(self))
    }
}

impl IntoReply for Bytes {
    fn into_reply(self) -> Response {
        Response::bytes(Status::OK, "application/octet-stream", self)
    }
}

impl IntoReply for Vec<u8> {
    fn into_reply(self) -> Response {
        Bytes::from(self).into_reply()
    }
}

impl IntoReply for Status {
    fn into_reply(self) -> Response {
        Response::new(self)
    }
}

/// There is nothing at this address: 404.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[get(r"^/user/(?<id>\d+)$")]
/// async fn user(id: u64) -> Result<String, NotFound> {
///     if id == 7 { Ok("Dave".into()) } else { Err(NotFound) }
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotFound;

impl IntoReply for NotFound {
    fn into_reply(self) -> Response {
        Problem::of(Status::NOT_FOUND).into_reply()
    }
}

impl IntoReply for Body {
    fn into_reply(self) -> Response {
        Response::stream(Status::OK, "application/octet-stream", self)
    }
}

impl IntoReply for http::StatusCode {
    fn into_reply(self) -> Response {
        Status::from(self).into_reply()
    }
}

impl<R: IntoReply> IntoReply for (Status, R) {
    fn into_reply(self) -> Response {
        self.1.into_reply().with_status(self.0)
    }
}

impl<R: IntoReply> IntoReply for (http::StatusCode, R) {
    fn into_reply(self) -> Response {
        self.1.into_reply().with_status(self.0)
    }
}

impl<R: IntoReply> IntoReply for (http::HeaderMap, R) {
    fn into_reply(self) -> Response {
        self.1.into_reply().with_headers(self.0)
    }
}

impl<N: AsRef<str>, V: AsRef<str>, R: IntoReply, const COUNT: usize> IntoReply for ([(N, V); COUNT], R) {
    fn into_reply(self) -> Response {
        self.0
            .iter()
            .fold(self.1.into_reply(), |response, (name, value)| {
                response.with_header(name, value)
            })
    }
}

impl<B> IntoReply for http::Response<B>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn into_reply(self) -> Response {
        let (parts, body) = self.into_parts();
        let mut response = Response::new(parts.status.into()).with_payload(Payload::Stream(Body::new(body)));
        *response.headers_mut() = parts.headers;
        response
    }
}

impl IntoReply for std::convert::Infallible {
    fn into_reply(self) -> Response {
        match self {}
    }
}

impl<R: IntoReply, E: IntoReply> IntoReply for Result<R, E> {
    fn into_reply(self) -> Response {
        match self {
            Ok(reply) => reply.into_reply(),
            Err(error) => error.into_reply(),
        }
    }
}

impl<R: IntoReply> IntoReply for Option<R> {
    fn into_reply(self) -> Response {
        match self {
            Some(reply) => reply.into_reply(),
            None => Status::NOT_FOUND.into_reply(),
        }
    }
}

fn text(text: Cow<'static, str>) -> Bytes {
    match text {
        Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
        Cow::Owned(text) => Bytes::from(text),
    }
}
