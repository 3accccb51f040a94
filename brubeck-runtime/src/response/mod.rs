//! What a handler says: [`Reply`] to build one, [`IntoReply`] for everything that is one,
//! [`Response`] for what connections send.

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

/// A reply with its type erased: what connections send.
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

/// The headers of most responses, until one is added: services have no use for them, and do not pay for them.
static JSON: LazyLock<HeaderMap> = LazyLock::new(|| of_type("application/json"));
static TEXT: LazyLock<HeaderMap> = LazyLock::new(|| of_type("text/plain; charset=utf-8"));
static HTML: LazyLock<HeaderMap> = LazyLock::new(|| of_type("text/html; charset=utf-8"));

fn of_type(media_type: &'static str) -> HeaderMap {
    // With room for its length, and for something of the handler.
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers
}

/// The content of a [`Response`].
#[non_exhaustive]
pub enum Payload {
    /// Nothing.
    Empty,
    /// The message of the status: text for browsers, nothing more for services.
    Message,
    /// The text of a JSON value.
    Json(Bytes),
    /// Bytes, whose media type is in the headers.
    Bytes(Bytes),
    /// A body that may still be coming, whose media type is in the headers.
    Stream(Body),
    /// What went wrong, to be told as the client prefers to hear it.
    Problem(Box<Problem>),
    /// A file, of which the client may want a part or nothing new.
    #[cfg(feature = "files")]
    File(super::File),
    /// A template still to be rendered.
    View(View),
    /// The value that a response handler made for the caller that waits.
    HandlerValue(Handled),
}

/// A template and what it shows; the application renders it once the handler has returned.
#[derive(Clone, Debug)]
pub struct View {
    /// The name of the template: its path below the template folder.
    pub name: &'static str,
    /// Templates that were built in: name and text. A template folder is preferred to them.
    pub sources: &'static [(&'static str, &'static str)],
    /// The variables.
    pub context: minijinja::Value,
}

impl Response {
    /// A response that says its status and nothing else.
    pub fn new(status: Status) -> Response {
        Response {
            status,
            headers: Cow::Owned(HeaderMap::new()),
            payload: Payload::Message,
        }
    }

    /// A JSON response; a value that cannot be serialised is logged and becomes 500.
    pub fn json(status: Status, value: &impl Serialize) -> Response {
        Response::written(
            status,
            small_bytes::write_with(|text| serde_json::to_writer(text, value)),
        )
    }

    /// A JSON response of this text, or 500 where it could not be written.
    pub(crate) fn written(status: Status, text: serde_json::Result<Bytes>) -> Response {
        match text {
            Ok(text) => Response {
                status,
                headers: Cow::Borrowed(&JSON),
                payload: Payload::Json(text),
            },
            Err(error) => {
                tracing::error!(%error, "a payload could not be serialised as JSON");
                Response::new(Status::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// A plain text response in UTF-8.
    pub fn text(status: Status, text: impl Into<Bytes>) -> Response {
        Response {
            status,
            headers: Cow::Borrowed(&TEXT),
            payload: Payload::Bytes(text.into()),
        }
    }

    /// An HTML response in UTF-8.
    pub fn html(status: Status, text: impl Into<Bytes>) -> Response {
        Response {
            status,
            headers: Cow::Borrowed(&HTML),
            payload: Payload::Bytes(text.into()),
        }
    }

    /// A response of any media type, such as `image/png`.
    pub fn bytes(status: Status, media_type: &'static str, bytes: impl Into<Bytes>) -> Response {
        Response::typed(status, media_type, Payload::Bytes(bytes.into()))
    }

    /// A response whose content comes piece by piece; callers of services cannot read one.
    pub fn stream(status: Status, media_type: &'static str, body: Body) -> Response {
        Response::typed(status, media_type, Payload::Stream(body))
    }

    /// A page that the application renders.
    pub fn view(status: Status, view: View) -> Response {
        Response {
            status,
            headers: Cow::Borrowed(&HTML),
            payload: Payload::View(view),
        }
    }

    /// The value of a response handler, on its way to the caller that waits for it.
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
            headers: Cow::Owned(of_type(media_type)),
            payload,
        }
    }

    /// The status.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The headers, to change them.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers.to_mut()
    }

    /// The content.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// The text of a JSON content; `None` for any other.
    pub fn json_text(&self) -> Option<&str> {
        match &self.payload {
            Payload::Json(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// Status, headers and content.
    pub fn into_parts(self) -> (Status, HeaderMap, Payload) {
        (self.status, self.headers.into_owned(), self.payload)
    }

    /// The same, with headers that may be shared.
    pub(crate) fn into_shared_parts(self) -> (Status, Cow<'static, HeaderMap>, Payload) {
        (self.status, self.headers, self.payload)
    }

    /// The same response with another status.
    pub fn with_status(mut self, status: impl Into<Status>) -> Response {
        self.status = status.into();
        self
    }

    /// The same response with one more header; several of one name are all sent. A name or value that HTTP does
    /// not allow is logged, and the response becomes 500: nothing of it can reach the client.
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
                tracing::error!("`{}: ..` is not a header", name.as_ref().escape_debug());
                Response::new(Status::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// The same response with these headers too.
    pub(crate) fn with_headers(mut self, headers: HeaderMap) -> Response {
        let own = self.headers.to_mut();
        for (name, value) in &headers {
            // A response has one media type, so this one replaces that of its content.
            match *name == CONTENT_TYPE {
                true => own.insert(name, value.clone()).is_some(),
                false => own.append(name, value.clone()),
            };
        }
        self
    }

    /// The same response with one more cookie.
    pub fn with_cookie(mut self, cookie: Cookie) -> Response {
        self.headers_mut().append(SET_COOKIE, cookie.header());
        self
    }

    pub(crate) fn with_media_type(mut self, media_type: &'static str) -> Response {
        self.headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        self
    }

    /// The same status and headers with another content.
    pub fn with_payload(mut self, payload: Payload) -> Response {
        self.payload = payload;
        self
    }
}

/// Sizes instead of contents: a payload may hold a secret.
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
            Payload::View(view) => write!(f, "View({})", view.name),
            Payload::HandlerValue(_) => f.write_str("HandlerValue(..)"),
        }
    }
}
