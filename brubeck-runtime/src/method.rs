//! The method of a message, and the kind of handler that it is for.

use std::fmt;
use std::str::FromStr;

/// The method of a message: an HTTP method, or one of the two methods of services.
///
/// ```
/// use brubeck::Method;
///
/// assert_eq!("GET".parse(), Ok(Method::Get));
/// assert_eq!(Method::Request.as_str(), "request");
/// ```
///
/// [`Request`](Method::Request) and [`Response`](Method::Response) come from the Python original and exist between
/// applications only. A browser cannot send them.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// Reads a resource.
    Get,
    /// Submits data to a resource.
    Post,
    /// Replaces a resource.
    Put,
    /// Changes a part of a resource.
    Patch,
    /// Removes a resource.
    Delete,
    /// As [`Get`](Method::Get), without the response body.
    Head,
    /// Lists the methods of a resource.
    Options,
    /// Returns the request to the client.
    Trace,
    /// Opens a tunnel through a proxy.
    Connect,
    /// Calls a service.
    Request,
    /// The response of a service, for a response handler.
    Response,
}

impl Method {
    /// All methods, in the order of their discriminants.
    pub const ALL: [Method; 11] = [
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

    /// Converts an HTTP method, ignoring its case. Returns `None` if web handlers cannot have that method.
    pub fn from_http(method: &http::Method) -> Option<Method> {
        // The most frequent method skips the search.
        if *method == http::Method::GET {
            return Some(Method::Get);
        }
        method
            .as_str()
            .parse()
            .ok()
            .filter(|m| !matches!(m, Method::Request | Method::Response))
    }

    /// Returns the name in upper case, as in HTTP.
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
/// assert_eq!("fetch".parse::<Method>(), Err(UnknownMethod));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    fn from_str(name: &str) -> Result<Method, UnknownMethod> {
        Method::ALL
            .into_iter()
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
pub enum Kind {
    /// A web handler, which responds to browsers through the embedded HTTP server or Mongrel2.
    Web,
    /// A service handler, which responds to calls of other applications.
    Service,
    /// A response handler, which processes the responses to calls of this application.
    Response,
}
