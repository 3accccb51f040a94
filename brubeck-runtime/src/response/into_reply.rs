//! The trait for return types of handlers, and its implementations.

use super::{Body, BoxError, Payload, Response};
use crate::status::Status;
use bytes::Bytes;
use std::borrow::Cow;

/// Types that can be returned from a handler.
///
/// Implement it for your own types, in terms of the types in the table below.
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
/// | type | status | content |
/// |---|---|---|
/// | [`Reply<T>`](crate::Reply) | as set, default 200 | JSON |
/// | [`Json<T>`](crate::Json) | 200 | JSON |
/// | [`Page<T>`](crate::Page) | 200 | HTML from a template |
/// | `&'static str`, `String`, `Cow<'static, str>` | 200 | plain text |
/// | [`Html`] | 200 | HTML, not escaped |
/// | `Bytes`, `Vec<u8>` | 200 | `application/octet-stream` |
/// | [`Status`], [`http::StatusCode`] | its code | its message: as plain text, or for an error in the format that the client prefers |
/// | `()` | 204; 200 for services | empty |
/// | [`Redirect`](crate::Redirect) | 302, 303, 307 or 308 | empty |
/// | [`Events`](crate::Events) | 200 | server-sent events |
/// | [`Body`] | 200 | `application/octet-stream`, streamed |
/// | [`File`](crate::File), with the feature `files` | 200, 206, 304, 404, 412, 416 or 500 | the file, or the range that the client requests |
/// | [`UploadError`](crate::UploadError) | 413, 408, 400 or 500 | the reason, in the format that the client prefers |
/// | [`Problem`](crate::Problem), [`Rejection`](crate::Rejection) | its status | the reason, in the format that the client prefers |
/// | [`CallError`](crate::CallError) | [`CallError::status`](crate::CallError::status) | the standard message of the status, in the format that the client prefers |
/// | `(Status, R)`, `(http::StatusCode, R)` | the first value | as `R` |
/// | `([(name, value); N], R)`, `(HeaderMap, R)` | as `R` | as `R`, with the headers added; a `content-type` replaces that of `R` |
/// | `http::Response<B>`, [`Response`] | its status | its headers and body |
/// | `Result<R, E>` | as `R` or `E` | as `R` or `E` |
/// | `Option<R>` | as `R`, 404 for `None` | as `R`; `None` is as [`Status::NOT_FOUND`] |
///
/// Services send JSON: text arrives as a JSON string. A [`#[service_handler]`](../brubeck/attr.service_handler.html) that returns a
/// [`Page`](crate::Page), a [`File`](crate::File), [`Events`](crate::Events) or a [`Body`] does not compile. A stream in an `http::Response` or
/// [`Response`] cannot be sent: the caller gets a 500 response, and an error is logged.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a reply",
    label = "a handler must return a type that implements `IntoReply`",
    note = "return `Json<T>`, `Page<T>`, `Reply<T>`, `&str`, `String`, `Status`, `()`, or a `Result` of a reply and an error that is one"
)]
pub trait IntoReply {
    /// Converts the value into a response, when the handler has returned it.
    ///
    /// It cannot fail: an error becomes a response with an error status.
    fn into_reply(self) -> Response;

    /// The error of a service handler that returns the type, if services cannot send it.
    #[doc(hidden)]
    const UNSENDABLE: Option<&'static str> = None;
}

/// Panics, which is a compile error, if services cannot send a reply to their callers. Takes the constant of its type.
#[doc(hidden)]
#[track_caller]
pub const fn check_sendable(unsendable: Option<&'static str>) {
    if let Some(message) = unsendable {
        panic!("{}", message);
    }
}

/// Returns the first of two errors.
const fn first(one: Option<&'static str>, other: Option<&'static str>) -> Option<&'static str> {
    if one.is_some() { one } else { other }
}

/// A reply with HTML as its content.
///
/// ```
/// use brubeck::{Html, IntoReply};
///
/// let response = Html("<h1>hello</h1>").into_reply();
/// assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
/// ```
///
/// Nothing is escaped. Use [`Page`](crate::Page) to render values that users have entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Html<T>(pub T);

impl<T: Into<Cow<'static, str>>> IntoReply for Html<T> {
    fn into_reply(self) -> Response {
        Response::html(Status::OK, into_bytes(self.0.into()))
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
        Response::text(Status::OK, into_bytes(self))
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

impl IntoReply for Body {
    const UNSENDABLE: Option<&'static str> = Some(
        "a service cannot send a `Body`, which may be a stream\nhelp: return `Bytes`, `Vec<u8>` or `String`",
    );

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
    const UNSENDABLE: Option<&'static str> = R::UNSENDABLE;

    fn into_reply(self) -> Response {
        self.1.into_reply().with_status(self.0)
    }
}

impl<R: IntoReply> IntoReply for (http::StatusCode, R) {
    const UNSENDABLE: Option<&'static str> = R::UNSENDABLE;

    fn into_reply(self) -> Response {
        self.1.into_reply().with_status(self.0)
    }
}

impl<R: IntoReply> IntoReply for (http::HeaderMap, R) {
    const UNSENDABLE: Option<&'static str> = R::UNSENDABLE;

    fn into_reply(self) -> Response {
        self.1.into_reply().with_headers(self.0)
    }
}

impl<N: AsRef<str>, V: AsRef<str>, R: IntoReply, const COUNT: usize> IntoReply for ([(N, V); COUNT], R) {
    const UNSENDABLE: Option<&'static str> = R::UNSENDABLE;

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
    const UNSENDABLE: Option<&'static str> = first(R::UNSENDABLE, E::UNSENDABLE);

    fn into_reply(self) -> Response {
        match self {
            Ok(reply) => reply.into_reply(),
            Err(error) => error.into_reply(),
        }
    }
}

impl<R: IntoReply> IntoReply for Option<R> {
    const UNSENDABLE: Option<&'static str> = R::UNSENDABLE;

    fn into_reply(self) -> Response {
        match self {
            Some(reply) => reply.into_reply(),
            None => Status::NOT_FOUND.into_reply(),
        }
    }
}

/// Converts text to bytes without copying it.
fn into_bytes(text: Cow<'static, str>) -> Bytes {
    match text {
        Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
        Cow::Owned(text) => Bytes::from(text),
    }
}
