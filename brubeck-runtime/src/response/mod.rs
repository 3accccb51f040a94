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
pub(crate) mod response_stream;

pub use body::{Body, BodyError, BoxError};
pub(crate) use body::{FrameTap, TappedBody};
pub use call::Answers;
pub use events::{Event, Events};
#[cfg(feature = "files")]
pub use file::File;
pub use into_reply::{Html, IntoReply, check_sendable};
pub(crate) use problem::ProblemFormat;
pub use redirect::Redirect;
pub use rejection::Rejection;
pub use reply::{Fields, Reply};

use crate::json_parts;
use crate::outcome::Outcome;
pub(crate) use crate::problem::Problem;
use crate::rpc::api::Handled;
use crate::session::Cookie;
use crate::small_bytes;
#[cfg(feature = "templates")]
use crate::spec::Spec;
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
/// ```
/// use brubeck::{Response, Status};
///
/// let response = Response::text(Status::OK, "hello");
/// assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
/// ```
///
/// Every type that implements [`IntoReply`] can be converted into it.
#[derive(Debug)]
pub struct Response {
    status: Status,
    headers: Cow<'static, HeaderMap>,
    payload: Payload,
    call: CallerParts,
}

/// What only the caller of a service gets of a response.
#[derive(Debug, Default)]
struct CallerParts {
    outcome: Outcome,
    /// The bytes to which a JSON payload refers; see `json_parts`.
    parts: Vec<Bytes>,
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
    /// No payload, as of a handler that returns `()`.
    ///
    /// HTTP clients get no body, and the callers of a service an empty object.
    Empty,
    /// The message of the status, as of a handler that returns a [`Status`].
    ///
    /// For HTTP clients it is the body: plain text, or for an error the format that the client prefers, as for a [`Problem`]. The
    /// callers of a service get an empty object, because they have the status already.
    Message,
    /// A serialized JSON value, as of [`Json`](crate::Json) and [`Reply`].
    Json(Bytes),
    /// Bytes, whose media type is in the headers, as of `&str`, `String` and [`Html`].
    ///
    /// The callers of a service get them as a JSON string if they are UTF-8, and as bytes otherwise; in a dialect of the Python original,
    /// as a 500 response then.
    Bytes(Bytes),
    /// A streamed body, whose media type is in the headers, as of [`Body`] and [`Events`].
    ///
    /// The callers of a service get it as [`Bytes`](Payload::Bytes) if it is in memory, and a 500 response otherwise.
    Stream(Body),
    /// A problem, as of [`Problem`] and [`Rejection`].
    ///
    /// HTTP clients get it in the format that they prefer, and the callers of a service as JSON; in a dialect of the Python original, its
    /// status with an empty object, unless it is the error of a contract.
    Problem(Box<Problem>),
    /// A [`File`], to be read when the range and conditional headers of the request are known.
    ///
    /// The callers of a service get a 500 response.
    #[cfg(feature = "files")]
    #[cfg_attr(docsrs, doc(cfg(feature = "files")))]
    File(super::File),
    #[doc(hidden)]
    #[cfg(feature = "templates")]
    View(View),
    #[doc(hidden)]
    HandlerValue(Handled),
    /// The WebSocket of the request opens. HTTP clients are sent 101 and no body.
    #[doc(hidden)]
    Upgrade,
}

/// A template and its variables. The application renders it after the handler has returned.
#[cfg(feature = "templates")]
#[derive(Clone, Debug)]
pub struct View {
    /// The name of the template: its path relative to the template folder.
    pub name: &'static str,
    /// Names and texts of the templates that are compiled into the program. Templates in the template folder take precedence.
    pub sources: &'static [(&'static str, &'static str)],
    /// The handlers of which the templates build URLs, by the names in the templates.
    pub urls: &'static [(&'static str, &'static Spec)],
    /// The variables of the template.
    pub context: minijinja::Value,
}

impl Response {
    /// Creates a response with a status, whose message is the payload.
    ///
    /// ```
    /// use brubeck::{Response, Status};
    ///
    /// let response = Response::new(Status::NOT_FOUND);
    /// assert_eq!(response.status(), &Status::NOT_FOUND);
    /// ```
    pub fn new(status: Status) -> Response {
        Response {
            status,
            headers: Cow::Owned(HeaderMap::new()),
            payload: Payload::Message,
            call: CallerParts::default(),
        }
    }

    /// Creates a response with a JSON payload. If the value cannot be serialized, the response is 500 and the error is logged.
    ///
    /// ```
    /// use brubeck::{Response, Status};
    ///
    /// assert_eq!(Response::json(Status::OK, &[1, 2]).json_text(), Some("[1,2]"));
    /// ```
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
                call: CallerParts::default(),
            },
            Err(error) => {
                tracing::error!(%error, "could not serialize payload as JSON");
                Response::new(Status::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// Creates a response with plain text in UTF-8.
    ///
    /// ```
    /// use brubeck::{Response, Status};
    ///
    /// let response = Response::text(Status::OK, "hello");
    /// assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    /// ```
    pub fn text(status: Status, text: impl Into<Bytes>) -> Response {
        Response {
            status,
            headers: Cow::Borrowed(&TEXT_HEADERS),
            payload: Payload::Bytes(text.into()),
            call: CallerParts::default(),
        }
    }

    /// Creates a response with HTML in UTF-8.
    ///
    /// ```
    /// use brubeck::{Response, Status};
    ///
    /// let response = Response::html(Status::OK, "<p>hello</p>");
    /// assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    /// ```
    pub fn html(status: Status, text: impl Into<Bytes>) -> Response {
        Response {
            status,
            headers: Cow::Borrowed(&HTML_HEADERS),
            payload: Payload::Bytes(text.into()),
            call: CallerParts::default(),
        }
    }

    /// Creates a response with bytes of a media type, such as `image/png`.
    ///
    /// ```
    /// use brubeck::{Response, Status};
    ///
    /// let response = Response::bytes(Status::OK, "image/gif", &b"GIF89a"[..]);
    /// assert_eq!(response.headers()["content-type"], "image/gif");
    /// ```
    ///
    /// From a service handler, the caller gets them as a JSON string if they are UTF-8, and as bytes otherwise. A caller in a dialect of the
    /// Python original gets a 500 response then, and an error is logged.
    pub fn bytes(status: Status, media_type: &'static str, bytes: impl Into<Bytes>) -> Response {
        Response::typed(status, media_type, Payload::Bytes(bytes.into()))
    }

    /// Creates a response with a streamed body. Service handlers cannot stream, see [`Payload::Stream`].
    ///
    /// ```
    /// use brubeck::{Body, Response, Status};
    ///
    /// let lines = futures_util::stream::iter(["a\n", "b\n"].map(Ok::<_, std::io::Error>));
    /// let response = Response::stream(Status::OK, "text/csv", Body::from_stream(lines));
    /// ```
    pub fn stream(status: Status, media_type: &'static str, body: Body) -> Response {
        Response::typed(status, media_type, Payload::Stream(body))
    }

    /// Creates a response with a template that the application renders.
    #[cfg(feature = "templates")]
    pub(crate) fn view(status: Status, view: View) -> Response {
        Response {
            status,
            headers: Cow::Borrowed(&HTML_HEADERS),
            payload: Payload::View(view),
            call: CallerParts::default(),
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
            call: CallerParts::default(),
        }
    }

    /// Returns the status.
    ///
    /// ```
    /// use brubeck::{IntoReply, Status};
    ///
    /// assert_eq!("hello".into_reply().status(), &Status::OK);
    /// ```
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Returns the headers: the `content-type` of the payload, and those that were added with [`with_header`](Response::with_header),
    /// [`with_cookie`](Response::with_cookie) or [`headers_mut`](Response::headers_mut).
    ///
    /// ```
    /// use brubeck::IntoReply;
    ///
    /// assert_eq!("hello".into_reply().headers()["content-type"], "text/plain; charset=utf-8");
    /// ```
    ///
    /// Headers that the application and the server add later are not among them, such as the cookies of
    /// [`Cookies`](crate::Cookies) and `content-length`.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the headers mutably.
    ///
    /// ```
    /// use brubeck::{IntoReply};
    ///
    /// let mut response = "hello".into_reply();
    /// response.headers_mut().remove("content-type");
    /// assert!(response.headers().is_empty());
    /// ```
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers.to_mut()
    }

    /// Returns the payload.
    ///
    /// ```
    /// use brubeck::{IntoReply, Payload};
    ///
    /// let response = "hello".into_reply();
    /// assert!(matches!(response.payload(), Payload::Bytes(bytes) if bytes == "hello"));
    /// ```
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Returns the text of a JSON payload. Returns `None` for any other payload.
    ///
    /// ```
    /// use brubeck::{IntoReply, Json};
    ///
    /// assert_eq!(Json(7).into_reply().json_text(), Some("7"));
    /// assert_eq!("7".into_reply().json_text(), None);
    /// ```
    pub fn json_text(&self) -> Option<&str> {
        match &self.payload {
            Payload::Json(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// Splits the response into status, headers and payload.
    ///
    /// ```
    /// use brubeck::{IntoReply, Status};
    ///
    /// let (status, headers, payload) = "hello".into_reply().into_parts();
    /// assert_eq!((status, headers.len()), (Status::OK, 1));
    /// ```
    pub fn into_parts(self) -> (Status, HeaderMap, Payload) {
        let (status, headers, payload) = self.into_shared_parts();
        (status, headers.into_owned(), payload)
    }

    /// Like [`into_parts`](Response::into_parts), without copying headers that are shared.
    pub(crate) fn into_shared_parts(self) -> (Status, Cow<'static, HeaderMap>, Payload) {
        let payload = match self.payload {
            Payload::Json(text) => Payload::Json(json_parts::inline(text, &self.call.parts)),
            other => other,
        };
        (self.status, self.headers, payload)
    }

    /// Creates a response of JSON text and the bytes to which it refers.
    pub(crate) fn from_json_parts(status: Status, (text, parts): (Bytes, Vec<Bytes>)) -> Response {
        let mut response = Response::from_json(status, Ok(text));
        response.call.parts = parts;
        response
    }

    pub(crate) fn with_outcome(mut self, outcome: Outcome) -> Response {
        self.call.outcome = outcome;
        self
    }

    /// Returns how the call has ended that this response is for.
    pub(crate) fn outcome(&self) -> Outcome {
        self.call.outcome
    }

    /// Takes the bytes to which a JSON payload refers. They are empty for any other payload.
    pub(crate) fn take_parts(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.call.parts)
    }

    /// Sets the status. The reason of a [`Problem`] stays the same.
    ///
    /// ```
    /// use brubeck::{IntoReply};
    ///
    /// assert_eq!("made".into_reply().with_status(201).status().code(), 201);
    /// ```
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
    /// ```
    /// use brubeck::{Html, IntoReply};
    ///
    /// let response = Html("<p>fresh</p>").into_reply().with_header("cache-control", "no-store");
    /// assert_eq!(response.headers()["cache-control"], "no-store");
    /// ```
    ///
    /// If the name or the value is not valid in HTTP, the whole response is replaced by a 500 response, and an error is logged.
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

    /// Adds a `set-cookie` header. If the cookie is not [valid](Cookie), the response is 500 and an error is logged.
    ///
    /// ```
    /// use brubeck::{Cookie, IntoReply};
    ///
    /// let response = "hello".into_reply().with_cookie(Cookie::new("theme", "dark"));
    /// assert!(response.headers().contains_key("set-cookie"));
    /// ```
    ///
    /// Unlike [`Cookies::set`](crate::Cookies::set), this does not replace other cookies with the same name. It leaves out `Secure` only for a
    /// cookie that is [`insecure`](Cookie::insecure).
    pub fn with_cookie(mut self, cookie: Cookie) -> Response {
        match cookie.header(true) {
            Ok(header) => {
                self.headers_mut().append(SET_COOKIE, header);
                self
            }
            Err(reason) => {
                tracing::error!(name = ?cookie.name(), reason, "the cookie is not valid");
                Response::new(Status::INTERNAL_SERVER_ERROR)
            }
        }
    }

    pub(crate) fn with_media_type(mut self, media_type: &'static str) -> Response {
        self.headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        self
    }

    /// Replaces the payload. Status and headers, such as the content type, stay the same.
    ///
    /// ```
    /// use brubeck::{IntoReply, Payload};
    ///
    /// let response = "hello".into_reply().with_payload(Payload::Empty);
    /// ```
    pub fn with_payload(mut self, payload: Payload) -> Response {
        self.payload = payload;
        self.call.parts = Vec::new();
        self
    }

    /// Replaces the body of a response that has a streamed one.
    pub(crate) fn map_stream(mut self, replace: impl FnOnce(Body) -> Body) -> Response {
        self.payload = match self.payload {
            Payload::Stream(body) => Payload::Stream(replace(body)),
            other => other,
        };
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
            Payload::Upgrade => f.write_str("Upgrade"),
        }
    }
}
