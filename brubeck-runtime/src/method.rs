//! The method of a message, and the kind of handler that it is for.

use std::fmt;
use std::str::FromStr;

/// The method of a message: an HTTP method, or one of the two methods of services.
///
/// ```
/// use brubeck::Method;
/// use brubeck::prelude::*;
///
/// /// Runs before every web handler.
/// async fn log(method: Method, uri: http::Uri) {
///     tracing::info!(%uri, "{} request", method.as_http());
/// }
///
/// fn app(routes: Routes<()>) -> App<()> {
///     App::new(routes, ()).before(log)
/// }
///
/// assert_eq!("GET".parse(), Ok(Method::Get));
/// assert_eq!(Method::Request.as_str(), "request");
/// ```
///
/// It is an extractor, which never rejects. The attribute of a handler decides which methods reach it.
///
/// The HTTP methods are those of [RFC 9110, section 9.3](https://www.rfc-editor.org/rfc/rfc9110#section-9.3), and PATCH of
/// [RFC 5789](https://www.rfc-editor.org/rfc/rfc5789). [`Request`](Method::Request) and [`Response`](Method::Response) come from the
/// Python original and exist between applications only. A browser cannot send them.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Method {
    /// Reads a resource, with a handler of [`#[get]`](../brubeck/attr.get.html).
    Get,
    /// Submits data to a resource, with a handler of [`#[post]`](../brubeck/attr.post.html).
    Post,
    /// Replaces a resource, with a handler of [`#[put]`](../brubeck/attr.put.html).
    Put,
    /// Changes a part of a resource, with a handler of [`#[patch]`](../brubeck/attr.patch.html).
    Patch,
    /// Removes a resource, with a handler of [`#[delete]`](../brubeck/attr.delete.html).
    Delete,
    /// As [`Get`](Method::Get), without the response body, with a handler of [`#[head]`](../brubeck/attr.head.html) or
    /// [`#[get]`](../brubeck/attr.get.html).
    Head,
    /// Lists the methods of a resource, with a handler of [`#[options]`](../brubeck/attr.options.html) or without one.
    Options,
    /// Returns the request to the client, with a handler of [`#[trace]`](../brubeck/attr.trace.html).
    Trace,
    /// Opens a tunnel through a proxy, for a handler of [`#[connect]`](../brubeck/attr.connect.html).
    Connect,
    /// Calls a handler of [`#[service_handler]`](../brubeck/attr.service_handler.html), unless the caller sets another method.
    Request,
    /// The response of a service, for a handler of [`#[response_handler]`](../brubeck/attr.response_handler.html).
    Response,
}

impl Method {
    /// All methods, in the order of their discriminants.
    ///
    /// ```
    /// use brubeck::Method;
    ///
    /// assert!(Method::ALL.contains(&Method::Get));
    /// ```
    pub const ALL: &'static [Method] = &[
        Method::Get,
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
        Method::Head,
        Method::Options,
        Method::Trace,
        Method::Connect,
        Method::Request,
        Method::Response,
    ];

    /// Returns the name in lower case, as in attributes and in the protocols of services.
    ///
    /// ```
    /// assert_eq!(brubeck::Method::Get.as_str(), "get");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "get",
            Method::Post => "post",
            Method::Put => "put",
            Method::Patch => "patch",
            Method::Delete => "delete",
            Method::Head => "head",
            Method::Options => "options",
            Method::Trace => "trace",
            Method::Connect => "connect",
            Method::Request => "request",
            Method::Response => "response",
        }
    }

    /// Converts an HTTP method. Returns `None` if web handlers cannot have that method. The case counts (RFC 9110, section 9.1): `get`
    /// is not a method.
    ///
    /// ```
    /// use brubeck::Method;
    ///
    /// assert_eq!(Method::from_http(&http::Method::PUT), Some(Method::Put));
    /// ```
    pub fn from_http(method: &http::Method) -> Option<Method> {
        // The most frequent method skips the search.
        if *method == http::Method::GET {
            return Some(Method::Get);
        }
        let is_named = |known: &Method| known.as_http() == method.as_str();
        Method::ALL
            .iter()
            .copied()
            .find(is_named)
            .filter(|m| !matches!(m, Method::Request | Method::Response))
    }

    /// Returns the name in upper case, as in HTTP.
    ///
    /// ```
    /// assert_eq!(brubeck::Method::Get.as_http(), "GET");
    /// ```
    pub const fn as_http(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Head => "HEAD",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Connect => "CONNECT",
            Method::Request => "REQUEST",
            Method::Response => "RESPONSE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error of parsing a [`Method`] from a name that is not one.
///
/// ```
/// use brubeck::{Method, UnknownMethod};
///
/// let error: UnknownMethod = "fetch".parse::<Method>().unwrap_err();
/// assert!(error.to_string().contains("method"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownMethod;

impl fmt::Display for UnknownMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown method; expected one of")?;
        Method::ALL.iter().try_for_each(|m| write!(f, " {m}"))
    }
}

impl std::error::Error for UnknownMethod {}

impl FromStr for Method {
    type Err = UnknownMethod;

    /// Parses the name of a method. Case is ignored, as in the Python original.
    ///
    /// ```
    /// use brubeck::Method;
    ///
    /// assert_eq!("Get".parse(), Ok(Method::Get));
    /// assert!("fetch".parse::<Method>().is_err());
    /// ```
    ///
    /// [`Method::from_http`] converts the method of an HTTP request, whose case counts.
    ///
    /// # Errors
    ///
    /// Returns [`UnknownMethod`] if the name is not one of [`Method::ALL`].
    fn from_str(name: &str) -> Result<Method, UnknownMethod> {
        Method::ALL
            .iter()
            .copied()
            .find(|m| m.as_str().eq_ignore_ascii_case(name))
            .ok_or(UnknownMethod)
    }
}

/// The kind of handler that a message is for.
///
/// ```
/// use brubeck::{Kind, Message, Method};
///
/// assert_eq!(Message::web(Method::Get, "/").kind(), Kind::Web);
/// assert_eq!(Message::service(Method::Request, "/service/slow").kind(), Kind::Service);
/// ```
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A web handler, which responds to browsers through the embedded HTTP server or Mongrel2.
    Web,
    /// A service handler, which responds to calls of other applications.
    Service,
    /// A response handler, which processes the responses to calls of this application.
    Response,
}
