//! Replies of handlers: [`IntoReply`] converts the return type of a handler into a [`Response`], which a front end sends.

mod body;
pub(crate) mod call;
mod events;
#[cfg(feature = "files")]
mod file;
pub(crate) mod http_response;
mod into_reply;
mod problem;
mod redirect;
mod rejection;
mod reply;

pub use body::{Body, BodyError, BoxError};
pub(crate) use body::{FrameTap, TappedBody};
pub use call::Answers;
pub use events::{Event, Events};
#[cfg(feature = "files")]
pub use file::File;
pub use into_reply::{Html, IntoReply, NotFound};
pub use problem::Problem;
pub(crate) use problem::ProblemFormat;
pub use redirect::Redirect;
pub use rejection::Rejection;
pub use reply::{Fields, Reply};

use crate::rpc::api::Handled;
use crate::session::Cookie;
use crate::small_bytes;
use crate::status::Status;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use serde::Serialize;
use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

/// The response of a handler: a status, headers and a payload.
///
/// Every type that implements [`IntoReply`] can be converted into it.
///
/// ```
/// use brubeck::{Response, Status};
///
/// let response = Response::text(Status::OK, "hello");
/// assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
/// ```
#[derive(Debug)]
pub struct Response {
    status: Status,
    headers: Cow<'static, HeaderMap>,
    payload: Payload,
}

// The headers of most responses. They are shared until a header is added, so that most responses of services do not allocate a map:
// a service does not send the content type.
static JSON_HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| content_type("application/json"));
static TEXT_HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| content_type("text/plain; charset=utf-8"));
static HTML_HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| content_type("text/html; charset=utf-8"));

fn content_type(media_type: &'static str) -> HeaderMap {
    // Capacity for the content length and a few headers of the handler.
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers
}

/// The payload of a [`Response`].
///
/// ```
/// use brubeck::{IntoReply, Payload};
///
/// let response = "hello".into_reply();
/// assert!(matches!(response.payload(), Payload::Bytes(bytes) if bytes == "hello"));
/// ```
#[non_exhaustive]
pub enum Payload {
    /// No payload.
    Empty,
    /// The message of the status. For HTTP clients it is the body: plain text, or for an error the format that the client prefers. The
    /// callers of a service get an empty object, because they have the status already.
    Message,
    /// A serialized JSON value.
    Json(Bytes),
    /// Bytes. Their media type is in the headers. The callers of a service get them as a JSON string, or a 500 response if they are not
    /// UTF-8.
    Bytes(Bytes),
    /// A streamed body. Its media type is in the headers. The callers of a service get an empty object, and those of a
    /// [`LegacyService`](crate::LegacyService) a 500 response unless the body is text in memory.
    Stream(Body),
    /// A problem, to be rendered in the format that the client prefers.
    Problem(Box<Problem>),
    /// A file, to be read when the range and conditional headers of the request are known.
    #[cfg(feature = "files")]
    File(super::File),
    /// A template, to be rendered by the application.
    #[cfg(feature = "templates")]
    View(View),
    /// The return value of a response handler, for a caller that awaits it.
    HandlerValue(Handled),
}

/// A template and its variables. The application renders it after the handler has returned.
#[cfg(feature = "templates")]
#[derive(Clone, Debug)]
pub struct View {
    /// The name of the template: its path relative to the template folder.
    pub name: &'static str,
    /// Names and texts of the templates that are compiled into the program. Templates in the template folder take precedence.
    pub sources: &'static [(&'static str, &'static str)],
    /// The variables of the template.
    pub context: minijinja::Value,
}

impl Response {
    /// Creates a response with a status, whose message is the payload.
    pub fn new(status: Status) -> Response {
        Response {
            status,
            headers: Cow::Owned(HeaderMap::new()),
            payload: Payload::Message,
        }
    }

    /// Creates a response with a JSON payload. If the value cannot be serialized, the response is 500 and the error is logged.
    pub fn json(status: Status, value: &impl Serialize) -> Response {
        Response::from_json(
            status,
            small_bytes::write_with(|text| serde_json::to_writer(text, value)),
        )
    }

    /// Creates a response from the result of a JSON serialization. If it failed, the response is 500 and the error is logged.
    pub(crate) fn from_json(status: Status, text: serde_json::Result<Bytes>) -> Response {
        match text {
            Ok(text) => Response {
                status,
                headers: Cow::Borrowed(&JSON_HEADERS),
                payload: Payload::Json(text),
            },
            Err(error) => {
                tracing::error!(%error, "could not serialize payload as JSON");
                Response::new(Status::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// Creates a response with plain text in UTF-8.
    pub fn text(status: Status, text: impl Into<Bytes>) -> Response {
        Response {
            status,
            headers: Cow::Borrowed(&TEXT_HEADERS),
            payload: Payload::Bytes(text.into()),
        }
    }

    /// Creates a response with HTML in UTF-8.
    pub fn html(status: Status, text: impl Into<Bytes>) -> Response {
        Response {
            status,
            headers: Cow::Borrowed(&HTML_HEADERS),
            payload: Payload::Bytes(text.into()),
        }
    }

    /// Creates a response with bytes of a media type, such as `image/png`. From a service handler, the bytes must be UTF-8; otherwise the
    /// caller gets a 500 response, and an error is logged.
    pub fn bytes(status: Status, media_type: &'static str, bytes: impl Into<Bytes>) -> Response {
        Response::typed(status, media_type, Payload::Bytes(bytes.into()))
    }

    /// Creates a response with a streamed body. Service handlers cannot stream, see [`Payload::Stream`].
    pub fn stream(status: Status, media_type: &'static str, body: Body) -> Response {
        Response::typed(status, media_type, Payload::Stream(body))
    }

    /// Creates a response with a template that the application renders.
    #[cfg(feature = "templates")]
    pub fn view(status: Status, view: View) -> Response {
        Response {
            status,
            headers: Cow::Borrowed(&HTML_HEADERS),
            payload: Payload::View(view),
        }
    }

    /// Creates a response with the return value of a response handler.
    #[doc(hidden)]
    pub fn handler_value(value: impl Any + Send) -> Response {
        Response {
            payload: Payload::HandlerValue(Handled::new(value)),
            ..Response::new(Status::OK)
        }
    }

    fn typed(status: Status, media_type: &'static str, payload: Payload) -> Response {
        Response {
            status,
            headers: Cow::Owned(content_type(media_type)),
            payload,
        }
    }

    /// Returns the status.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Returns the headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the headers mutably.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers.to_mut()
    }

    /// Returns the payload.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Returns the text of a JSON payload. Returns `None` for any other payload.
    pub fn json_text(&self) -> Option<&str> {
        match &self.payload {
            Payload::Json(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// Splits the response into status, headers and payload.
    pub fn into_parts(self) -> (Status, HeaderMap, Payload) {
        (self.status, self.headers.into_owned(), self.payload)
    }

    /// Like [`into_parts`](Response::into_parts), without copying headers that are shared.
    pub(crate) fn into_shared_parts(self) -> (Status, Cow<'static, HeaderMap>, Payload) {
        (self.status, self.headers, self.payload)
    }

    /// Sets the status. The reason of a [`Problem`] stays the same.
    pub fn with_status(mut self, status: impl Into<Status>) -> Response {
        self.status = status.into();
        // A problem is rendered with a status of its own, so both must have the same code.
        if let Payload::Problem(problem) = &mut self.payload {
            problem.set_code(self.status.code());
        }
        self
    }

    /// Adds a header. It does not replace other headers with the same name, except for `content-type`.
    ///
    /// If the name or the value is not valid in HTTP, the whole response is replaced by a 500 response, and an error is logged.
    ///
    /// ```
    /// use brubeck::{Html, IntoReply};
    ///
    /// let response = Html("<p>fresh</p>").into_reply().with_header("cache-control", "no-store");
    /// assert_eq!(response.headers()["cache-control"], "no-store");
    /// ```
    pub fn with_header(self, name: impl AsRef<str>, value: impl AsRef<str>) -> Response {
        match (
            HeaderName::try_from(name.as_ref()),
            HeaderValue::try_from(value.as_ref()),
        ) {
            (Ok(name), Ok(value)) => self.with_headers(HeaderMap::from_iter([(name, value)])),
            _ => {
                tracing::error!(name = %name.as_ref().escape_debug(), "invalid response header");
                Response::new(Status::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// Adds headers, see [`with_header`](Response::with_header).
    pub(crate) fn with_headers(mut self, headers: HeaderMap) -> Response {
        let merged = self.headers.to_mut();
        for (name, value) in &headers {
            // A response has one content type, so the added one replaces that of the payload.
            if *name == CONTENT_TYPE {
                merged.insert(name, value.clone());
            } else {
                merged.append(name, value.clone());
            }
        }
        self
    }

    /// Adds a `set-cookie` header. Unlike [`Cookies::set`](crate::Cookies::set), this does not replace other cookies with the same name,
    /// and keeps `Secure` for a loopback address.
    pub fn with_cookie(mut self, cookie: Cookie) -> Response {
        self.headers_mut().append(SET_COOKIE, cookie.header());
        self
    }

    pub(crate) fn with_media_type(mut self, media_type: &'static str) -> Response {
        self.headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        self
    }

    /// Replaces the payload. Status and headers, such as the content type, stay the same.
    pub fn with_payload(mut self, payload: Payload) -> Response {
        self.payload = payload;
        self
    }
}

/// Prints sizes instead of contents, because a payload can contain secrets.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Payload::Empty => f.write_str("Empty"),
            Payload::Message => f.write_str("Message"),
            Payload::Json(text) => write!(f, "Json({} bytes)", text.len()),
            Payload::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Payload::Stream(body) => write!(f, "Stream({body:?})"),
            Payload::Problem(problem) => write!(f, "Problem({})", problem.status()),
            #[cfg(feature = "files")]
            Payload::File(file) => write!(f, "File({})", file.path().display()),
            #[cfg(feature = "templates")]
            Payload::View(view) => write!(f, "View({})", view.name),
            Payload::HandlerValue(_) => f.write_str("HandlerValue(..)"),
        }
    }
}
