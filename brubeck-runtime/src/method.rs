//! What is asked of a handler: the method, and the kind of message that carries it.

use std::fmt;
use std::str::FromStr;

/// The method of a message.
///
/// ```
/// use brubeck::Method;
///
/// assert_eq!("GET".parse(), Ok(Method::Get));
/// assert_eq!(Method::Request.as_str(), "request");
/// ```
///
/// `Request` and `Response` exist between applications only; a browser cannot send them.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// Read.
    Get,
    /// Submit.
    Post,
    /// Replace.
    Put,
    /// Change in part.
    Patch,
    /// Remove.
    Delete,
    /// [`Get`](Method::Get) without the body.
    Head,
    /// Which methods are there.
    Options,
    /// Loop-back test.
    Trace,
    /// Tunnel.
    Connect,
    /// Asks a service.
    Request,
    /// What a service answered.
    Response,
}

impl Method {
    /// Every method, in the order of their discriminants.
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

    /// The name in lower case, as attributes and the service wire write it.
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

    /// The method of an HTTP request; `None` for one that HTTP handlers cannot have.
    pub fn from_http(method: &http::Method) -> Option<Method> {
        if *method == http::Method::GET {
            return Some(Method::Get);
        }
        method
            .as_str()
            .parse()
            .ok()
            .filter(|m| !matches!(m, Method::Request | Method::Response))
    }

    /// The name in upper case, as HTTP writes it.
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

/// Not the name of a [`Method`].
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

    /// Any case, as the original application lower-cased what it was sent.
    fn from_str(name: &str) -> Result<Method, UnknownMethod> {
        Method::ALL
            .into_iter()
            .find(|m| m.as_str().eq_ignore_ascii_case(name))
            .ok_or(UnknownMethod)
    }
}

/// What sort of handler a message is for.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Browsers, through Mongrel2 or the embedded HTTP server.
    Web,
    /// Other applications, over a service connection.
    Service,
    /// The answer of a service to a call of this application.
    Response,
}
